import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.js';
import { openSqliteReadOnly, openWriter } from '../../src/database/data-source.js';
import { exportLog } from '../../src/ledger/export.js';
import { readHeadFile } from '../../src/ledger/head-file.js';
import { Vault } from '../../src/ledger/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { count, counterModel, openTestLedger, temporaryFolder, testActor, testConfig } from '../support/ledger.js';

/** Tables whose every column `verify` answers for. */
const TABLES = ['log_head', 'entry', 'payload', 'chain', 'subject', 'tile', 'name', 'idempotency', 'patient_row'];

describe('verify names what was done to the database', () => {
  const folder = temporaryFolder();
  const copy = join(folder.path, 'copy.sqlite');
  let config: Config;
  let vkey: string;
  let columns: { table: string; column: string }[] = [];

  beforeAll(async () => {
    config = testConfig(folder.path);
    const ledger = await openTestLedger(config);
    ({ vkey } = ledger.writer);
    const ids = Array.from({ length: 40 }, () => randomUUID());
    for (let round = 0; round < 8; round++) {
      await Promise.all(
        ids.map((id, i) =>
          ledger.writer.commit(
            count(id, 1, { idempotency: { client: testActor.id, key: `${round}-${i}`, request: 'r' } }),
          ),
        ),
      );
    }
    await ledger.close();
  });
  afterAll(() => folder.remove());

  /** Runs SQL as an operator with root would, on a copy, and verifies that. */
  async function after(...statements: string[]): Promise<VerifyReport> {
    for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true });
    copyFileSync(config.sqliteFile, copy);
    const edited = testConfig(folder.path, { DATABASE_URL: `sqlite:${copy}` });
    const source = await openWriter(edited);
    for (const statement of statements) await source.query(statement);
    columns = (
      await Promise.all(
        TABLES.map(async (table) =>
          (await source.query<{ name: string }[]>(`SELECT name FROM pragma_table_info('${table}')`)).map(
            ({ name }) => ({ table, column: name }),
          ),
        ),
      )
    ).flat();
    await source.destroy();
    const reader = await openSqliteReadOnly(copy);
    try {
      return await verifyDatabase({
        source: reader,
        vkey,
        vault: Vault.openExisting(config.keysDir, 'test.example/log'),
        remembered: await readHeadFile(config.headFile),
        models: [counterModel],
      });
    } finally {
      await reader.destroy();
    }
  }

  it('says verified when nothing was', async () => {
    const report = await after();
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      ok: true,
      size: 320,
      entries: 320,
      payloads: 320,
      chains: 40,
      missing: 0,
      tampered: 0,
    });
  });

  it('finds a flipped byte in any column of any ledger table', async () => {
    await after();
    const unseen: string[] = [];
    expect(columns.length).toBeGreaterThan(35);
    for (const { table, column } of columns) {
      // The row in the middle: neither first nor last.
      const key = (await primaryKey(table)).join(' || ');
      const pick = `(SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT 1 OFFSET (SELECT count(*) / 2 FROM ${table}))`;
      const flipped = `CASE typeof(${column})
        WHEN 'integer' THEN ${column} + 100000
        WHEN 'blob' THEN CAST(substr(${column}, 1, length(${column}) / 2)
          || CASE substr(${column}, length(${column}) / 2 + 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END
          || substr(${column}, length(${column}) / 2 + 2) AS BLOB)
        ELSE CASE substr(${column}, 1, 1) WHEN '1' THEN '2' ELSE '1' END || substr(${column}, 2) END`;
      const report = await after(
        // CHECK (id = 1) would refuse an edit that somebody with the file's bytes can make.
        'PRAGMA ignore_check_constraints = ON',
        `UPDATE ${table} SET ${column} = ${flipped} WHERE ${key} = ${pick}`,
      );
      const blamed =
        report.findings.some((finding) => finding.table === table) || (column === 'id' && table === 'log_head');
      if (report.ok || !blamed) unseen.push(`${table}.${column}: ${JSON.stringify(report.findings.slice(0, 2))}`);
    }
    expect(unseen).toEqual([]);
  }, 240_000);

  async function primaryKey(table: string): Promise<string[]> {
    const source = await openSqliteReadOnly(config.sqliteFile);
    const rows = await source.query<{ name: string }[]>(
      `SELECT name FROM pragma_table_info('${table}') WHERE pk > 0 ORDER BY pk`,
    );
    await source.destroy();
    return rows.map(({ name }) => name);
  }

  it.each([
    ['an entry', 'DELETE FROM entry WHERE idx = 100', 'missing', 'entry', { index: 100 }],
    ['a payload', 'DELETE FROM payload WHERE idx = 100', 'missing', 'payload', { index: 100 }],
    ['a tile', 'DELETE FROM tile WHERE level = 0 AND idx = 0', 'missing', 'tile', { level: 0, index: 0 }],
    ['a chain row', 'DELETE FROM chain WHERE num = 3', 'missing', 'chain', { num: 3 }],
    ['a name', 'DELETE FROM name WHERE chain = 3', 'missing', 'name', { chain: 3 }],
    ['a read-model row', 'DELETE FROM patient_row WHERE chain = 3', 'missing', 'patient_row', { chain: 3 }],
    ['a subject', 'DELETE FROM subject WHERE num = 3', 'missing', 'subject', { num: 3 }],
    ['the head', 'DELETE FROM log_head', 'missing', 'log_head', {}],
  ])('names a deleted row: %s', async (_, sql, kind, table, where) => {
    const report = await after(sql);
    expect(report.ok).toBe(false);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ kind, table, where: expect.objectContaining(where) as object }),
    );
  });

  it.each([
    ['entries', 'entry', 'entry', 'idx', 100, 101, 'index'],
    ['payloads', 'payload', 'body', 'idx', 100, 101, 'index'],
    ['states', 'chain', 'state', 'num', 3, 4, 'num'],
    ['tiles', 'tile', 'hashes', 'idx', 0, 1, 'index'],
  ])('names both of two swapped %s', async (_, table, column, key, a, b, place) => {
    const report = await after(
      `CREATE TEMP TABLE kept AS SELECT ${key} AS k, ${column} AS v FROM ${table} WHERE ${key} IN (${a}, ${b})${table === 'tile' ? ' AND level = 0' : ''}`,
      `UPDATE ${table} SET ${column} = (SELECT v FROM kept WHERE k = CASE ${table}.${key} WHEN ${a} THEN ${b} ELSE ${a} END) WHERE ${key} IN (${a}, ${b})${table === 'tile' ? ' AND level = 0' : ''}`,
    );
    for (const where of [a, b]) {
      expect(report.findings).toContainEqual(
        expect.objectContaining({ table, where: expect.objectContaining({ [place]: where }) as object }),
      );
    }
  });

  it('tells an erasure from a loss, and a false erasure from a true one', async () => {
    const own = temporaryFolder();
    const config2 = testConfig(own.path);
    const ledger = await openTestLedger(config2);
    const [gone, stays] = [randomUUID(), randomUUID()];
    for (const id of [gone, stays, gone]) await ledger.writer.commit(count(id, 1));
    await ledger.writer.erase(gone, testActor);
    await ledger.close();
    const check = async (...statements: string[]): Promise<VerifyReport> => {
      const source = await openWriter(config2);
      for (const statement of statements) await source.query(statement);
      await source.destroy();
      const reader = await openSqliteReadOnly(config2.sqliteFile);
      const vault = Vault.openExisting(config2.keysDir, 'test.example/log');
      const report = await verifyDatabase({
        source: reader,
        vkey: null,
        vault,
        remembered: null,
        models: [counterModel],
      });
      await reader.destroy();
      return report;
    };
    expect(await check()).toMatchObject({ ok: true, size: 4, erased: 1, chains: 1, missing: 0, findings: [] });
    const lines = join(own.path, 'export');
    const reader = await openSqliteReadOnly(config2.sqliteFile);
    const exported: string[] = [];
    for await (const line of exportLog(reader, null)) exported.push(line);
    await reader.destroy();
    writeFileSync(lines, exported.join('\n'));
    expect(await verifyExport(lines, ledger.writer.vkey)).toMatchObject({ ok: true, size: 4, erased: 1, payloads: 1 });
    const back = await check("INSERT INTO payload (idx, body) VALUES (0, x'00')");
    expect(back.findings).toContainEqual(expect.objectContaining({ table: 'payload', where: { index: 0 } }));
    const claimed = await check(
      'DELETE FROM payload WHERE idx IN (0, 1)',
      "UPDATE chain SET data_key = x'', state = x'' WHERE num = 1",
    );
    expect(claimed).toMatchObject({ ok: false, erased: 1 });
    expect(claimed.findings.map(({ what }) => what)).toContain('has no key, but was not erased');
    own.remove();
  });

  it('notices a ledger that was set back behind its head file, and rows nobody wrote', async () => {
    const back = await after('DELETE FROM entry WHERE idx >= 310', 'UPDATE log_head SET size = 310');
    expect(back.findings.map(({ what }) => what).join()).toContain('set back');
    const forged = await after(
      'INSERT INTO patient_row (chain, enrolled_at) VALUES (4711, 1)',
      "INSERT INTO entry (idx, chain, seq, entry) VALUES (900, 3, 99, x'00')",
    );
    expect(forged.findings.map(({ table }) => table)).toEqual(expect.arrayContaining(['patient_row', 'entry']));
  });
});
