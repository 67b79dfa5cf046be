import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Machines: accounts that have public keys in place of a password, and what they have signed in with. */
export class Clients1790000100000 implements MigrationInterface {
  name = 'Clients1790000100000';

  async up(runner: QueryRunner): Promise<void> {
    const postgres = runner.connection.options.type === 'postgres';
    const int = postgres ? 'bigint' : 'integer';
    const bytes = postgres ? 'bytea' : 'blob';
    const uuid = postgres ? 'uuid' : 'text';
    const keyed = postgres ? '' : ' WITHOUT ROWID';
    const statements = [
      ...(postgres ? ['ALTER TABLE account ALTER COLUMN password DROP NOT NULL'] : ACCOUNT_WITHOUT_PASSWORD),
      // `keys`: its JWK Set, sealed like a name, so that nobody without the key-encryption key can put in their own.
      `CREATE TABLE client (id ${uuid} PRIMARY KEY, keys ${bytes} NOT NULL)`,
      `CREATE TABLE used_assertion (id ${bytes} PRIMARY KEY, kept_until ${int} NOT NULL)${keyed}`,
      'CREATE INDEX used_assertion_kept_until ON used_assertion (kept_until)',
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('Accounts without a password cannot be taken back.');
  }
}

/** SQLite cannot take a NOT NULL back: the table is made anew. */
const ACCOUNT_WITHOUT_PASSWORD = [
  `CREATE TABLE account_next (
    id text PRIMARY KEY, username_index blob NOT NULL UNIQUE, username blob NOT NULL, name blob NOT NULL, role text NOT NULL,
    org text, patient text, password text, failed integer NOT NULL, locked_until integer, disabled integer NOT NULL,
    demo integer NOT NULL, created_at integer NOT NULL)`,
  `INSERT INTO account_next (id, username_index, username, name, role, org, patient, password, failed, locked_until, disabled, demo, created_at)
   SELECT id, username_index, username, name, role, org, patient, password, failed, locked_until, disabled, demo, created_at FROM account`,
  'DROP TABLE account',
  'ALTER TABLE account_next RENAME TO account',
];
