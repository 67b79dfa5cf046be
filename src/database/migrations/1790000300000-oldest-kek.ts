import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The oldest key-encryption key that may still wrap a subject's key. It stands in the row that each batch compares and
 * sets, so that a batch which was sealed under a key that is destroyed meanwhile is refused.
 */
export class OldestKek1790000300000 implements MigrationInterface {
  name = 'OldestKek1790000300000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("ALTER TABLE log_head ADD COLUMN oldest_kek text NOT NULL DEFAULT '0001'");
  }

  async down(): Promise<void> {
    throw new Error('A key-encryption key that was destroyed stays destroyed.');
  }
}
