import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Failed sign-ins stand in a table of their own, so that a user name that no account has costs what any other costs. */
export class SignInAttempts1790000000001 implements MigrationInterface {
  name = 'SignInAttempts1790000000001';

  async up(runner: QueryRunner): Promise<void> {
    const postgres = runner.connection.options.type === 'postgres';
    const int = postgres ? 'bigint' : 'integer';
    const bytes = postgres ? 'bytea' : 'blob';
    const keyed = postgres ? '' : ' WITHOUT ROWID';
    const statements = [
      `CREATE TABLE sign_in_attempt (
        key ${bytes} PRIMARY KEY NOT NULL, failed integer NOT NULL, locked_until ${int}, last_at ${int} NOT NULL)${keyed}`,
      'CREATE INDEX sign_in_attempt_last_at ON sign_in_attempt (last_at)',
      `CREATE TABLE sign_in_address (key ${bytes} PRIMARY KEY NOT NULL, last_at ${int} NOT NULL)${keyed}`,
      'CREATE INDEX sign_in_address_last_at ON sign_in_address (last_at)',
      'ALTER TABLE account DROP COLUMN failed',
      'ALTER TABLE account DROP COLUMN locked_until',
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('The ledger only goes forward. Restore an earlier backup instead.');
  }
}
