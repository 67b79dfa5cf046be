import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Witnesses' cosignatures of published checkpoints, and how each witness answered last. */
export class Cosignatures1790000500000 implements MigrationInterface {
  name = 'Cosignatures1790000500000';

  async up(runner: QueryRunner): Promise<void> {
    const int = runner.connection.options.type === 'postgres' ? 'bigint' : 'integer';
    // `witness`: its verifier key, by which a cosignature can be checked whatever the policy is by then.
    const statements = [
      `CREATE TABLE cosignature (size ${int} NOT NULL, witness text NOT NULL, line text NOT NULL, PRIMARY KEY (size, witness))`,
      `CREATE INDEX cosignature_witness ON cosignature (witness, size)`,
      // `failure`: code of the last answer when that was no cosignature.
      `CREATE TABLE witness_contact (witness text PRIMARY KEY, contact_at ${int}, failure text, failed_at ${int})`,
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('What witnesses have cosigned is kept.');
  }
}
