import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The checkpoints that `/log/checkpoint` has served, or will: all of them are kept. */
export class Published1790000200000 implements MigrationInterface {
  name = 'Published1790000200000';

  async up(runner: QueryRunner): Promise<void> {
    const int = runner.connection.options.type === 'postgres' ? 'bigint' : 'integer';
    // `previous`: size of the one before, -1 for the first. Unique, so that of several processes that publish at the
    // same time one does, and so that a row taken out of the middle leaves a gap that shows.
    await runner.query(
      `CREATE TABLE published (
        size ${int} PRIMARY KEY, previous ${int} NOT NULL UNIQUE, checkpoint text NOT NULL, published_at ${int} NOT NULL)`,
    );
  }

  async down(): Promise<void> {
    throw new Error('What was published stays published.');
  }
}
