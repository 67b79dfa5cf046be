import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openSqliteReadOnly, openWriter } from '../../src/database/data-source.js';
import { shapeOf, tableName } from '../../src/database/declare.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import type { ChainModel, Command } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { LEDGER_TABLES } from '../../src/ledger/store/tables.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import {
  COUNTING,
  count,
  type Counter,
  counterModel,
  counterRef,
  openTestLedger,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { LONG, rounds } from '../support/length.js';

/** A counter whose state fills every read model that there is. */
const wideModel: ChainModel<Counter> = {
  ...counterModel,
  readModels: CHAIN_MODELS.flatMap(({ readModels }) => readModels),
  rows: ({ total }, { chain }) =>
    wideModel.readModels.map(shapeOf).map(({ table, columns }) => ({
      table,
      values: Object.fromEntries(
        columns.map(({ name, type }) => [
          name,
          name === 'chain' ? chain : type === 'text' ? `${name} ${chain}` : total,
        ]),
      ),
    })),
};
const wide = (id: string, by: number, more: Partial<Command> = {}): Command =>
  count(id, by, { chains: [{ ...counterRef(id), model: wideModel }], ...more });

const READ_MODELS = wideModel.readModels.map(tableName);
/** Tables whose every column `verify` answers for. */
const TABLES = ['log_head', ...LEDGER_TABLES.map(({ table }) => table), ...READ_MODELS];

/** The same life under another kind, so that a kind that was changed is known, too. */
const MODELS: readonly ChainModel[] = [wideModel, { ...wideModel, kind: 'supply' }];
const openWide = (config: Config): Promise<Ledger> => openLedger(config, new Clock(), MODELS);

/** What no column should hold, or few. */
const VALUES = ['NULL', "''", "'x'", '-1', '1e300', '9223372036854775807', "x''", "CAST(x'ff' AS TEXT)"];

/** What `verify` says of a SQLite file, with keys and head file of the configuration. */
async function verifyFile(file: string, config: Config, vkey: string): Promise<VerifyReport> {
  const source = await openSqliteReadOnly(file);
  try {
    return await verifyDatabase({
      source,
      vkey,
      vault: Vault.openExisting(config.keysDir, 'test.example/log'),
      remembered: await readHeadFile(config.headFile),
      models: MODELS,
    });
  } finally {
    await source.destroy();
  }
}

/** A copy of the configuration's database, opened as an operator with root would. */
function openCopy(config: Config, copy: string): Promise<DataSource> {
  for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true });
  copyFileSync(config.sqliteFile, copy);
  return openWriter(testConfig(dirname(copy), { DATABASE_URL: `sqlite:${copy}` }));
}

interface Column {
  readonly table: string;
  readonly column: string;
  /** SQL for what identifies a row of the table. */
  readonly key: string;
  readonly isKey: boolean;
}

async function columnsOf(file: string): Promise<Column[]> {
  const source = await openSqliteReadOnly(file);
  const columns: Column[] = [];
  for (const table of TABLES) {
    const rows = await source.query<{ name: string; pk: number }[]>(
      `SELECT name, pk FROM pragma_table_info('${table}') ORDER BY cid`,
    );
    const keys = rows.filter(({ pk }) => pk > 0).toSorted((x, y) => x.pk - y.pk);
    const key = keys.map(({ name }) => name).join(` || ' ' || `);
    columns.push(...rows.map(({ name, pk }) => ({ table, column: name, key, isKey: pk > 0 })));
  }
  await source.destroy();
  return columns;
}

/** The row in the middle: neither first nor last. */
const middle = (table: string): string => `(SELECT count(*) / 2 FROM ${table})`;

/** What an erased payload said of its request is gone with it: such a row may go, too. */
const binding = (table: string): string =>
  table === 'idempotency'
    ? 'first NOT IN (SELECT e.idx FROM entry e JOIN chain c ON c.num = e.chain WHERE length(c.data_key) = 0)'
    : 'true';

const blames = (report: VerifyReport, table: string): boolean =>
  report.findings.some((finding) => finding.table === table);

describe('verify names what was done to the database', () => {
  const folder = temporaryFolder();
  const copy = join(folder.path, 'copy.sqlite');
  const ids = Array.from({ length: 40 }, () => randomUUID());
  /** Number of the chain that is erased. */
  const ERASED = 5;
  const [org, auditor] = [randomUUID(), randomUUID()];
  let config: Config;
  let vkey: string;
  let columns: Column[];

  beforeAll(async () => {
    config = testConfig(folder.path);
    const ledger = await openWide(config);
    ({ vkey } = ledger.writer);
    for (let round = 0; round < 8; round++) {
      await Promise.all(
        ids.map((id, i) =>
          ledger.writer.commit(
            wide(id, i + 1, { idempotency: { client: testActor.id, key: `${round}-${i}`, request: 'r' } }),
          ),
        ),
      );
    }
    await ledger.writer.side(async (db) => {
      await ledger.vault.newSubject(db, org);
      await ledger.vault.newSubject(db, auditor);
      await db.query("INSERT INTO organisation (id, kind, name, zone) VALUES (?, 'practice', 'P', 'UTC')", [org]);
      await db.query(
        `INSERT INTO account (id, username_index, username, name, role, password, disabled, demo, created_at)
         VALUES (?, x'01', x'02', x'03', 'auditor', '', 0, 0, 0)`,
        [auditor],
      );
    });
    await ledger.writer.erase(ids[ERASED] as string, testActor);
    await ledger.close();
    columns = await columnsOf(config.sqliteFile);
  });
  afterAll(() => folder.remove());

  /** Runs SQL on a copy, and verifies that. */
  async function after(...statements: string[]): Promise<VerifyReport> {
    const source = await openCopy(config, copy);
    for (const statement of statements) await source.query(statement);
    await source.destroy();
    return verifyFile(copy, config, vkey);
  }

  it('says verified when nothing was', async () => {
    const report = await after();
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      ok: true,
      size: 321,
      entries: 321,
      payloads: 313,
      chains: 39,
      erased: 1,
      payloadsChecked: true,
      vkeyFrom: 'option',
      missing: 0,
      tampered: 0,
    });
  });

  it('finds a flipped byte in any column of any ledger table', async () => {
    const unseen: string[] = [];
    expect(columns.length).toBeGreaterThan(65);
    for (const each of columns) {
      const { table, column, key } = each;
      const flipped = `CASE typeof(${column})
        WHEN 'integer' THEN ${column} + 100000
        WHEN 'blob' THEN CASE length(${column}) WHEN 0 THEN x'01' ELSE CAST(substr(${column}, 1, length(${column}) / 2)
          || CASE substr(${column}, length(${column}) / 2 + 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END
          || substr(${column}, length(${column}) / 2 + 2) AS BLOB) END
        ELSE CASE substr(${column}, 1, 1) WHEN '1' THEN '2' ELSE '1' END || substr(${column}, 2) END`;
      const ofErased = { chain: ERASED, entry: 320, payload: 320 }[table];
      const picks = [`(SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT 1 OFFSET ${middle(table)})`];
      if (ofErased !== undefined) picks.push(String(ofErased));
      for (const pick of picks) {
        const report = await after(
          // CHECK (id = 1) would refuse an edit that somebody with the file's bytes can make.
          'PRAGMA ignore_check_constraints = ON',
          `UPDATE ${table} SET ${column} = ${flipped} WHERE ${key} = ${pick}`,
        );
        if (report.ok || !blames(report, table))
          unseen.push(`${table}.${column} ${pick}: ${JSON.stringify(report.findings.slice(0, 2))}`);
      }
    }
    expect(unseen).toEqual([]);
  });

  it('finds a row deleted from any table', async () => {
    const unseen: string[] = [];
    for (const table of TABLES) {
      const key = columns.find((each) => each.table === table)?.key ?? '';
      const report = await after(
        `DELETE FROM ${table} WHERE ${key} = (SELECT ${key} FROM ${table} WHERE ${binding(table)} ORDER BY ${key} LIMIT 1 OFFSET ${middle(table)})`,
      );
      if (!report.findings.some((finding) => finding.kind === 'missing' && finding.table === table))
        unseen.push(`${table}: ${JSON.stringify(report.findings.slice(0, 2))}`);
    }
    expect(unseen).toEqual([]);
  });

  it('finds two values swapped in any column of any table', async () => {
    const unseen: string[] = [];
    let swapped = 0;
    for (const { table, column, key, isKey } of columns) {
      if (isKey || table === 'log_head') continue;
      const two = `SELECT ${key} AS k, ${column} AS v FROM ${table} ORDER BY ${key} LIMIT 2 OFFSET ${middle(table)}`;
      const source = await openSqliteReadOnly(config.sqliteFile);
      const [differing] = await source.query<{ n: number }[]>(`SELECT count(DISTINCT v) AS n FROM (${two})`);
      await source.destroy();
      if (differing?.n !== 2) continue;
      swapped++;
      const [first, second] = ['LIMIT 1', 'LIMIT 1 OFFSET 1'].map((which) => `FROM kept ORDER BY rowid ${which})`);
      const report = await after(
        `CREATE TEMP TABLE kept AS ${two}`,
        // By way of another value: some columns are unique.
        `UPDATE ${table} SET ${column} = 'swap' WHERE ${key} = (SELECT k ${first}`,
        `UPDATE ${table} SET ${column} = (SELECT v ${first} WHERE ${key} = (SELECT k ${second}`,
        `UPDATE ${table} SET ${column} = (SELECT v ${second} WHERE ${key} = (SELECT k ${first}`,
      );
      if (!blames(report, table)) unseen.push(`${table}.${column}: ${JSON.stringify(report.findings.slice(0, 2))}`);
    }
    expect(swapped).toBeGreaterThan(30);
    expect(unseen).toEqual([]);
  });

  it.each([
    ['an entry', 'DELETE FROM entry WHERE idx = 100', 'missing', 'entry', { index: 100 }],
    ['a payload', 'DELETE FROM payload WHERE idx = 100', 'missing', 'payload', { index: 100 }],
    ['a tile', 'DELETE FROM tile WHERE level = 0 AND idx = 0', 'missing', 'tile', { level: 0, index: 0 }],
    ['a chain row', 'DELETE FROM chain WHERE num = 3', 'missing', 'chain', { num: 3 }],
    ['a name', 'DELETE FROM name WHERE chain = 3', 'missing', 'name', { chain: 3 }],
    ['a read-model row', 'DELETE FROM patient_row WHERE chain = 3', 'missing', 'patient_row', { chain: 3 }],
    ['a subject', 'DELETE FROM subject WHERE num = 3', 'missing', 'subject', { num: 3 }],
    ["an organisation's subject", 'DELETE FROM subject WHERE num = -1', 'missing', 'subject', { id: org }],
    ["an auditor's subject", 'DELETE FROM subject WHERE num = -2', 'missing', 'subject', { id: auditor }],
    ['a request', 'DELETE FROM idempotency WHERE first = 100', 'missing', 'idempotency', { first: 100 }],
    ['the head', 'DELETE FROM log_head', 'missing', 'log_head', {}],
  ])('names a deleted row: %s', async (_, sql, kind, table, where) => {
    const report = await after(sql);
    expect(report.ok).toBe(false);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ kind, table, where: expect.objectContaining(where) as object }),
    );
  });

  it('takes a key-encryption key that there never was for an edit, not for a loss', async () => {
    const { findings, missing } = await after("UPDATE subject SET kek = '0011' WHERE num = 3");
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'tampered', table: 'subject', where: { num: 3 } }));
    expect(missing).toBe(0);
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
        models: COUNTING,
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
    expect(await verifyExport(lines, ledger.writer.vkey, CHAIN_MODELS)).toMatchObject({
      ok: true,
      size: 4,
      erased: 1,
      payloads: 1,
    });
    for (const header of [{ size: 3 }, { vkey: 'other.example/log+00000000+AA==' }]) {
      const [first = '', ...others] = exported;
      writeFileSync(lines, [JSON.stringify({ ...(JSON.parse(first) as object), ...header }), ...others].join('\n'));
      const report = await verifyExport(lines, ledger.writer.vkey, CHAIN_MODELS);
      expect(report.findings).toEqual([expect.objectContaining({ table: 'export', where: { line: 1 } })]);
    }
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

  it.each([
    ['kind', "UPDATE chain SET kind = 'supply' WHERE num = 5", 'chain'],
    ['state version', 'UPDATE chain SET state_version = 1 WHERE num = 5', 'chain'],
    ['subject', 'UPDATE chain SET subject = (SELECT max(subject) + 1 FROM chain) WHERE num = 5', 'chain'],
    ['seal', "UPDATE chain SET state = x'' WHERE num = 5", 'chain'],
    ['not remembered', 'DELETE FROM erasure', 'erasure'],
    ['remembered elsewhere', 'UPDATE erasure SET first = first - 1', 'erasure'],
    ['remembered as more', 'UPDATE erasure SET count = 2', 'erasure'],
    ['remembered of one who is there', 'INSERT INTO erasure SELECT id, 0, 0 FROM subject LIMIT 1', 'erasure'],
    [
      'an account that is left',
      `INSERT INTO account (id, username_index, username, name, role, patient, password, disabled, demo, created_at)
       SELECT '${randomUUID()}', x'07', x'08', x'09', 'patient', subject, '', 0, 0, 0 FROM erasure`,
      'account',
    ],
  ])('checks an erased chain: %s', async (_, sql, table) => {
    expect(blames(await after(sql), table)).toBe(true);
  });

  it('finds a subject that is there again after its erasure', async () => {
    const source = await openSqliteReadOnly(config.sqliteFile);
    const [row] = await source.query<{ subject: number }[]>('SELECT subject FROM chain WHERE num = ?', [ERASED]);
    await source.destroy();
    const subject = row?.subject ?? 0;
    const vault = new Vault(config.keysDir, 'test.example/log');
    const id = ids[ERASED] as string;
    const { kek, wrapped } = vault.wrapSubjectKey(vault.freshSubject(subject, id));
    const report = await after(
      `INSERT INTO subject (num, id, kek, wrapped_key) VALUES (${subject}, '${id}', '${kek}', x'${wrapped.toString('hex')}')`,
    );
    expect(report.findings).toMatchObject([
      { table: 'erasure', where: { id } },
      { table: 'subject', where: { num: subject } },
    ]);
  });

  it('checks the time of an empty log', async () => {
    const own = temporaryFolder();
    const empty = testConfig(own.path);
    await (await openWide(empty)).close();
    const file = join(own.path, 'copy.sqlite');
    for (const [time, ok] of [
      [0, true],
      [5, false],
    ] as const) {
      const source = await openCopy(empty, file);
      await source.query('UPDATE log_head SET time = ?', [time]);
      await source.destroy();
      const reader = await openSqliteReadOnly(file);
      const report = await verifyDatabase({ source: reader, vkey: null, vault: null, remembered: null, models: [] });
      await reader.destroy();
      expect(report).toMatchObject({ ok, size: 0, vkeyFrom: 'database', payloadsChecked: false });
    }
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

  it('never throws, whatever a column holds', async () => {
    const own = temporaryFolder();
    const small = testConfig(own.path);
    const ledger = await openWide(small);
    const [gone, ...others] = [randomUUID(), randomUUID(), randomUUID()] as const;
    for (const id of [gone, ...others, gone, ...others])
      await ledger.writer.commit(wide(id, 1, { idempotency: { client: 'c', key: randomUUID(), request: 'r' } }));
    await ledger.writer.erase(gone, testActor);
    await ledger.close();
    const file = join(own.path, 'copy.sqlite');
    const problems: string[] = [];
    let edits = 0;
    const source = await openCopy(small, file);
    await source.query('PRAGMA ignore_check_constraints = ON');
    for (const [at, { table, column, key }] of columns.entries()) {
      for (const end of ['ASC', 'DESC']) {
        const pick = `(SELECT ${key} FROM ${table} ORDER BY ${key} ${end} LIMIT 1)`;
        for (const [nth, value] of VALUES.entries()) {
          // The short form tries each column with each second value, half of them at either end.
          if (!LONG && (at + nth) % 4 !== (end === 'ASC' ? 0 : 2)) continue;
          const what = `${table}.${column} = ${value} (${end})`;
          const [was] = await source.query<{ v: string }[]>(
            `SELECT quote(${column}) AS v FROM ${table} WHERE ${key} = ${pick}`,
          );
          await source.query('CREATE TEMP TABLE kept AS SELECT * FROM ' + table);
          try {
            await source.query(`UPDATE ${table} SET ${column} = ${value} WHERE ${key} = ${pick}`);
          } catch {
            // SQLite itself holds no such value there.
            await source.query('DROP TABLE kept');
            continue;
          }
          const [same] = await source.query<{ n: number }[]>(
            `SELECT count(*) AS n FROM (SELECT * FROM ${table} EXCEPT SELECT * FROM kept)`,
          );
          if (same?.n !== 0) {
            edits++;
            try {
              const report = await verifyFile(file, small, ledger.writer.vkey);
              if (report.ok) problems.push(`${what}, which was ${was?.v}: not seen`);
            } catch (error) {
              problems.push(`${what}: ${String(error)}`);
            }
          }
          await source.query(`DELETE FROM ${table}`);
          await source.query(`INSERT INTO ${table} SELECT * FROM kept`);
          await source.query('DROP TABLE kept');
        }
      }
    }
    await source.destroy();
    expect((await verifyFile(file, small, ledger.writer.vkey)).findings).toEqual([]);
    expect(problems).toEqual([]);
    expect(edits).toBeGreaterThan(rounds(125, 500));
    own.remove();
  });
});
