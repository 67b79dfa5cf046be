import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Whom the ledger has forgotten, by the random ids that the entries keep anyway. */
export class Erasures1790000700000 implements MigrationInterface {
  name = 'Erasures1790000700000';

  async up(runner: QueryRunner): Promise<void> {
    const postgres = runner.connection.options.type === 'postgres';
    const int = postgres ? 'bigint' : 'integer';
    // `first`, `count`: the entries that ended the chains. Subjects that were forgotten together share them.
    await runner.query(
      `CREATE TABLE erasure (subject ${postgres ? 'uuid' : 'text'} PRIMARY KEY, first ${int} NOT NULL, count integer NOT NULL)`,
    );
    await runner.query('CREATE INDEX erasure_first ON erasure (first)');
  }

  async down(): Promise<void> {
    throw new Error('What was forgotten stays forgotten.');
  }
}
