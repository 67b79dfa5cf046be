import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The tables of the log, of what happened and of what is no event. `src/database/tables` declares the same and says
 * what the columns mean. Read-model tables are not made here: they follow from their declarations.
 */
export class Foundation1790000000000 implements MigrationInterface {
  name = 'Foundation1790000000000';

  async up(runner: QueryRunner): Promise<void> {
    const postgres = runner.connection.options.type === 'postgres';
    const int = postgres ? 'bigint' : 'integer';
    const bytes = postgres ? 'bytea' : 'blob';
    const uuid = postgres ? 'uuid' : 'text';
    // A rowid table keyed by its blob would hold every key twice.
    const keyed = postgres ? '' : ' WITHOUT ROWID';
    const statements = [
      `CREATE TABLE log_head (
        id integer PRIMARY KEY NOT NULL, origin text NOT NULL, vkey text NOT NULL, size ${int} NOT NULL,
        root ${bytes} NOT NULL, time ${int} NOT NULL, checkpoint text NOT NULL, oldest_kek text NOT NULL DEFAULT '0001',
        read_models integer NOT NULL DEFAULT 0, CONSTRAINT log_head_one CHECK (id = 1))`,
      `CREATE TABLE entry (
        idx ${int} PRIMARY KEY NOT NULL, chain ${int} NOT NULL, seq ${int} NOT NULL, entry ${bytes} NOT NULL)`,
      'CREATE UNIQUE INDEX entry_chain_seq ON entry (chain, seq)',
      `CREATE TABLE tile (
        level integer NOT NULL, idx ${int} NOT NULL, hashes ${bytes} NOT NULL, PRIMARY KEY (level, idx))`,
      `CREATE TABLE published (
        size ${int} PRIMARY KEY NOT NULL, previous ${int} NOT NULL UNIQUE, checkpoint text NOT NULL,
        published_at ${int} NOT NULL)`,
      `CREATE TABLE cosignature (
        size ${int} NOT NULL, witness text NOT NULL, line text NOT NULL, PRIMARY KEY (size, witness))`,
      'CREATE INDEX cosignature_witness ON cosignature (witness, size)',
      `CREATE TABLE witness_contact (
        witness text PRIMARY KEY NOT NULL, contact_at ${int}, failure text, failed_at ${int})`,
      `CREATE TABLE served (id ${int} PRIMARY KEY NOT NULL, size ${int} NOT NULL)`,
      'INSERT INTO served (id, size) VALUES (1, -1)',

      `CREATE TABLE subject (
        num ${int} PRIMARY KEY NOT NULL, id ${uuid} NOT NULL UNIQUE, kek text NOT NULL, wrapped_key ${bytes} NOT NULL)`,
      `CREATE TABLE chain (
        num ${int} PRIMARY KEY NOT NULL, id ${uuid} NOT NULL UNIQUE, kind text NOT NULL, subject ${int} NOT NULL,
        seq ${int} NOT NULL, leaf ${bytes} NOT NULL, data_key ${bytes} NOT NULL, state_version integer NOT NULL,
        state ${bytes} NOT NULL)`,
      'CREATE INDEX chain_subject ON chain (subject)',
      `CREATE TABLE payload (idx ${int} PRIMARY KEY NOT NULL, body ${bytes} NOT NULL)`,
      `CREATE TABLE name (blind ${bytes} PRIMARY KEY NOT NULL, chain ${int} NOT NULL)${keyed}`,
      'CREATE INDEX name_chain ON name (chain)',
      `CREATE TABLE erasure (subject ${uuid} PRIMARY KEY NOT NULL, first ${int} NOT NULL, count integer NOT NULL)`,
      'CREATE INDEX erasure_first ON erasure (first)',
      `CREATE TABLE idempotency (
        key ${bytes} PRIMARY KEY NOT NULL, request ${bytes} NOT NULL, first ${int} NOT NULL, count integer NOT NULL,
        chains text NOT NULL, used_at ${int})${keyed}`,
      'CREATE INDEX idempotency_used_at ON idempotency (used_at)',

      `CREATE TABLE organisation (
        id ${uuid} PRIMARY KEY NOT NULL, kind text NOT NULL, name text NOT NULL, zone text NOT NULL, npi text)`,
      'CREATE INDEX organisation_kind ON organisation (kind, id)',
      `CREATE TABLE account (
        id ${uuid} PRIMARY KEY NOT NULL, username_index ${bytes} NOT NULL UNIQUE, username ${bytes} NOT NULL,
        name ${bytes} NOT NULL, role text NOT NULL, org ${uuid}, patient ${uuid}, password text, failed integer NOT NULL,
        locked_until ${int}, disabled integer NOT NULL, demo integer NOT NULL, created_at ${int} NOT NULL)`,
      'CREATE INDEX account_patient ON account (patient) WHERE patient IS NOT NULL',
      `CREATE TABLE client (id ${uuid} PRIMARY KEY NOT NULL, keys ${bytes} NOT NULL)`,
      `CREATE TABLE used_assertion (id ${bytes} PRIMARY KEY NOT NULL, kept_until ${int} NOT NULL)${keyed}`,
      'CREATE INDEX used_assertion_kept_until ON used_assertion (kept_until)',
      `CREATE TABLE idempotent_request (
        key ${bytes} PRIMARY KEY NOT NULL, request ${bytes} NOT NULL, ref text NOT NULL, used_at ${int} NOT NULL)${keyed}`,
      'CREATE INDEX idempotent_request_ref ON idempotent_request (ref)',
      'CREATE INDEX idempotent_request_used_at ON idempotent_request (used_at)',

      `CREATE TABLE relay_cursor (name text PRIMARY KEY NOT NULL, next ${int} NOT NULL)`,
      `CREATE TABLE judged (chain ${int} PRIMARY KEY NOT NULL, seq ${int} NOT NULL)`,
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('The ledger is append-only: its first migration is not taken back.');
  }
}
