import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The ledger's tables, the read models, and the rows that are no events.
 * A chain's number is the log index of its first entry: keys and indexes hold it instead of the UUID.
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
      // The log: what anybody can check.
      `CREATE TABLE log_head (
        id integer PRIMARY KEY CHECK (id = 1), origin text NOT NULL, vkey text NOT NULL,
        size ${int} NOT NULL, root ${bytes} NOT NULL, time ${int} NOT NULL, checkpoint text NOT NULL)`,
      `CREATE TABLE entry (idx ${int} PRIMARY KEY, chain ${int} NOT NULL, seq ${int} NOT NULL, entry ${bytes} NOT NULL)`,
      `CREATE UNIQUE INDEX entry_chain_seq ON entry (chain, seq)`,
      `CREATE TABLE tile (level integer NOT NULL, idx ${int} NOT NULL, hashes ${bytes} NOT NULL, PRIMARY KEY (level, idx))`,
      // What happened, encrypted beside it.
      `CREATE TABLE subject (num ${int} PRIMARY KEY, id ${uuid} NOT NULL UNIQUE, kek text NOT NULL, wrapped_key ${bytes} NOT NULL)`,
      `CREATE TABLE chain (
        num ${int} PRIMARY KEY, id ${uuid} NOT NULL UNIQUE, kind text NOT NULL, subject ${int} NOT NULL, seq ${int} NOT NULL,
        leaf ${bytes} NOT NULL, data_key ${bytes} NOT NULL, state_version integer NOT NULL, state ${bytes} NOT NULL)`,
      `CREATE INDEX chain_subject ON chain (subject)`,
      `CREATE TABLE payload (idx ${int} PRIMARY KEY, body ${bytes} NOT NULL)`,
      `CREATE TABLE name (blind ${bytes} PRIMARY KEY, chain ${int} NOT NULL)${keyed}`,
      // Writer's memory of requests.
      `CREATE TABLE idempotency (key ${bytes} PRIMARY KEY, request ${bytes} NOT NULL, first ${int} NOT NULL, count integer NOT NULL, chains text NOT NULL)${keyed}`,
      // Read models: derived from chain state alone.
      `CREATE TABLE prescription_row (
        chain ${int} PRIMARY KEY, patient ${int} NOT NULL, issuer text NOT NULL, order_status text, issue_status text,
        nominated text, drug text, valid_until text, timer_at ${int}, recorded_at ${int} NOT NULL)`,
      `CREATE INDEX prescription_row_patient ON prescription_row (patient, chain)`,
      `CREATE INDEX prescription_row_issuer ON prescription_row (issuer, chain)`,
      `CREATE INDEX prescription_row_nominated ON prescription_row (nominated, chain) WHERE nominated IS NOT NULL`,
      `CREATE INDEX prescription_row_timer ON prescription_row (timer_at) WHERE timer_at IS NOT NULL`,
      `CREATE TABLE custody (chain ${int} NOT NULL, org text NOT NULL, since ${int} NOT NULL, PRIMARY KEY (chain, org))`,
      `CREATE INDEX custody_org ON custody (org, chain)`,
      `CREATE TABLE supply_row (chain ${int} PRIMARY KEY, patient ${int} NOT NULL, org text, matched text, recorded_at ${int} NOT NULL)`,
      `CREATE INDEX supply_row_patient ON supply_row (patient, chain)`,
      `CREATE INDEX supply_row_org ON supply_row (org, chain)`,
      `CREATE TABLE patient_row (chain ${int} PRIMARY KEY, enrolled_at ${int} NOT NULL)`,
      `CREATE TABLE discrepancy_row (
        chain ${int} NOT NULL, id text NOT NULL, about text NOT NULL, class text NOT NULL, status text NOT NULL, side text NOT NULL,
        opened_at ${int} NOT NULL, resolved_at ${int}, PRIMARY KEY (chain, id))`,
      `CREATE TABLE discrepancy_org (chain ${int} NOT NULL, id text NOT NULL, org text NOT NULL, PRIMARY KEY (chain, id, org))`,
      `CREATE INDEX discrepancy_org_org ON discrepancy_org (org, chain, id)`,
      // Rows that are no events.
      `CREATE TABLE organisation (id ${uuid} PRIMARY KEY, kind text NOT NULL, name text NOT NULL, zone text NOT NULL, npi text)`,
      `CREATE TABLE account (
        id ${uuid} PRIMARY KEY, username_index ${bytes} NOT NULL UNIQUE, username ${bytes} NOT NULL, name ${bytes} NOT NULL, role text NOT NULL,
        org ${uuid}, patient ${uuid}, password text NOT NULL, failed integer NOT NULL, locked_until ${int}, disabled integer NOT NULL,
        demo integer NOT NULL, created_at ${int} NOT NULL)`,
      `CREATE TABLE idempotent_request (key ${bytes} PRIMARY KEY, request ${bytes} NOT NULL, ref text NOT NULL)${keyed}`,
      `CREATE TABLE relay_cursor (name text PRIMARY KEY, next ${int} NOT NULL)`,
      `CREATE TABLE judged (chain ${int} PRIMARY KEY, seq ${int} NOT NULL)`,
    ];
    for (const statement of statements) await runner.query(statement);
  }

  async down(): Promise<void> {
    throw new Error('The ledger is append-only: its first migration is not taken back.');
  }
}
