import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The largest checkpoint that was ever served, by any process, under whatever policy it had. */
export class Served1790000600000 implements MigrationInterface {
  name = 'Served1790000600000';

  async up(runner: QueryRunner): Promise<void> {
    const int = runner.connection.options.type === 'postgres' ? 'bigint' : 'integer';
    // One row. Which of the checkpoints published before were served nobody wrote down: all may have been.
    const statements = [
      `CREATE TABLE served (id ${int} PRIMARY KEY, size ${int} NOT NULL)`,
      'INSERT INTO served (id, size) SELECT 1, coalesce(max(size), -1) FROM published',
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('What was served cannot be taken back.');
  }
}
