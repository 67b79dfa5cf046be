import { EntitySchema, type EntitySchemaColumnOptions } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import type { Config } from '../../src/config/config.js';
import { openReader, openWriter } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { bigint, key, nullable, text } from '../../src/database/declare.js';
import type { ChainModel, ChainNumbers, Row } from '../../src/ledger/model.js';
import { readModelsVersion } from '../../src/ledger/read-models/version.js';
import { type Ledger, openLedger, StartRefused } from '../../src/ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { rebuildLedger } from '../../src/ledger/upkeep/rebuild-ledger.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { prescriptionModel } from '../../src/prescription/chain-models.js';
import { prescriptionRow } from '../../src/prescription/read-models.js';
import type { Prescription } from '../../src/prescription/state.js';
import { Clock, SettableClock } from '../../src/time/clock.js';
import { claim, PHARMACY_A } from '../support/domain.js';
import { sharedPostgres } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { BEGUN, copyOlderLedger, fillLedger, issueOf, PRESCRIPTIONS, stepOn } from '../support/older-ledger.js';

const { readModels } = prescriptionModel;
const rowsOf = (rx: Prescription, numbers: ChainNumbers): readonly Row[] => prescriptionModel.rows(rx, numbers);
const variant = (change: Partial<ChainModel<Prescription>>): ChainModel[] =>
  CHAIN_MODELS.map((model) =>
    model.kind === 'prescription' ? { ...prescriptionModel, rowsVersion: 2, ...change } : model,
  );

const drugRow = new EntitySchema({
  name: 'drug_row',
  columns: { chain: key(bigint), drug: nullable(text) },
  indices: [{ name: 'drug_row_drug', columns: ['drug', 'chain'], where: 'drug IS NOT NULL' }],
});
const withTable = variant({
  readModels: [...readModels, drugRow],
  rows: (rx, numbers) => [
    ...rowsOf(rx, numbers),
    { table: 'drug_row', values: { chain: numbers.chain, drug: rx.order?.medication.code ?? null } },
  ],
});

const { drug: _drug, ...others } = prescriptionRow.options.columns as Record<string, EntitySchemaColumnOptions>;
/** A column that there was not, in place of one that there was. */
const otherRow = new EntitySchema({
  name: 'prescription_row',
  columns: { ...others, refills: nullable(bigint) },
  indices: prescriptionRow.options.indices,
});
const withColumn = variant({
  readModels: readModels.map((schema) => (schema === prescriptionRow ? otherRow : schema)),
  rows: (rx, numbers) =>
    rowsOf(rx, numbers).map((row) =>
      row.table === 'prescription_row'
        ? { ...row, values: { ...row.values, refills: rx.order?.refills ?? null } }
        : row,
    ),
});

const withOtherRows = variant({
  rows: (rx, numbers) =>
    rowsOf(rx, numbers).map((row) =>
      row.table === 'prescription_row' ? { ...row, values: { ...row.values, drug: `drug ${rx.name.number}` } } : row,
    ),
});

async function verified(config: Config, ledger: Ledger, models: readonly ChainModel[]) {
  const source = await openReader(config);
  try {
    const { vault, writer } = ledger;
    return await verifyDatabase({ source, vkey: writer.vkey, vault, remembered: null, models });
  } finally {
    await source.destroy();
  }
}

const rows = (ledger: Ledger, sql: string): Promise<unknown[]> => dbOf(ledger.source).query(sql);

const postgres = await sharedPostgres();

interface Engine {
  readonly name: string;
  readonly missing: boolean;
  readonly clock: Clock;
  /** A ledger of the current models that {@link fillLedger} filled. */
  readonly make: (folder: string) => Promise<Config>;
}
const ENGINES: readonly Engine[] = [
  {
    name: 'SQLite, a file of an older commit',
    missing: false,
    // An hour after the fixture was made.
    clock: new SettableClock(BEGUN + 3_600_000),
    make: (folder) => {
      copyOlderLedger(folder);
      return Promise.resolve(testConfig(folder));
    },
  },
  {
    name: 'PostgreSQL',
    missing: postgres.missing !== null,
    clock: new Clock(),
    make: async (folder) => {
      const config = testConfig(folder, { DATABASE_URL: await postgres.createDatabase() });
      const ledger = await openLedger(config, new Clock(), CHAIN_MODELS);
      await fillLedger(ledger);
      await ledger.close();
      return config;
    },
  },
];

describe.each(ENGINES.filter(({ missing }) => !missing))('read models are made anew: $name', ({ make, clock }) => {
  let folder: ReturnType<typeof temporaryFolder>;
  let config: Config;
  const open: Ledger[] = [];
  beforeEach(async () => {
    folder = temporaryFolder();
    config = await make(folder.path);
  });
  afterEach(async () => {
    for (const ledger of open.splice(0)) await ledger.close();
    folder.remove();
  });

  async function start(models: readonly ChainModel[], options = {}): Promise<Ledger> {
    const ledger = await openLedger(config, clock, models, undefined, options);
    open.push(ledger);
    return ledger;
  }

  it('a start with a new table makes and fills it', async () => {
    const told: number[][] = [];
    const ledger = await start(withTable, { rebuilding: (...step: number[]) => told.push(step) });
    const found = await rows(ledger, 'SELECT drug FROM drug_row ORDER BY chain');
    // One of the three patients is erased, with their four prescriptions.
    expect(found).toEqual(Array.from({ length: 8 }, () => ({ drug: '1' })));
    expect(told.at(-1)).toEqual([16, 16]);
    expect(await verified(config, ledger, withTable)).toMatchObject({ ok: true, findings: [], erased: 5 });
  });

  it('a start with a new column fills it', async () => {
    const ledger = await start(withColumn);
    const found = await rows(ledger, 'SELECT refills FROM prescription_row ORDER BY chain');
    const living = PRESCRIPTIONS.filter((n) => n % 3 !== 2);
    expect(found).toEqual(living.map((n) => ({ refills: n % 3 })));
    expect(await verified(config, ledger, withColumn)).toMatchObject({ ok: true, findings: [] });
  });

  it('a start with other rows replaces the previous ones', async () => {
    const ledger = await start(withOtherRows);
    const found = await rows(ledger, 'SELECT drug FROM prescription_row ORDER BY chain LIMIT 1');
    expect(found).toEqual([{ drug: 'drug 10' }]);
    expect(await verified(config, ledger, withOtherRows)).toMatchObject({ ok: true, findings: [] });
    // The next start finds them made.
    const told: number[] = [];
    await start(withOtherRows, { rebuilding: (done: number) => told.push(done) });
    expect(told).toEqual([]);
  });

  it('a row that is missing comes back, and one that nobody gave goes', async () => {
    const ledger = await start(CHAIN_MODELS);
    const before = await rows(ledger, 'SELECT * FROM custody ORDER BY chain, org');
    const [first] = await rows(ledger, 'SELECT min(chain) AS chain FROM custody');
    const { chain } = first as { chain: number };
    await ledger.writer.side(async (db) => {
      await db.query('DELETE FROM custody WHERE chain = ?', [chain]);
      await db.query("INSERT INTO custody (chain, org, since) VALUES (?, 'nobody', 1)", [chain]);
    });
    const finding = { table: 'custody', where: { chain } };
    expect((await verified(config, ledger, CHAIN_MODELS)).findings).toEqual([
      expect.objectContaining({ kind: 'missing', ...finding }),
      expect.objectContaining({ kind: 'tampered', ...finding }),
    ]);
    const rebuilt = await rebuildLedger(config, CHAIN_MODELS);
    expect(rebuilt).toMatchObject({ version: readModelsVersion(CHAIN_MODELS), chains: 16 });
    expect(await rows(ledger, 'SELECT * FROM custody ORDER BY chain, org')).toEqual(before);
    expect((await verified(config, ledger, CHAIN_MODELS)).findings).toEqual([]);
    // The service beside it goes on.
    expect(await ledger.writer.commit(issueOf(30))).toMatchObject({ ok: true });
    expect((await verified(config, ledger, CHAIN_MODELS)).findings).toEqual([]);
  });

  it('what is written or erased meanwhile counts; until the swap readers see the previous rows', async () => {
    const ledger = await start(CHAIN_MODELS);
    const before = await rows(ledger, 'SELECT chain, drug FROM prescription_row ORDER BY chain');
    let during: unknown[] = [];
    await rebuildLedger(config, withOtherRows, async () => {
      // The chain that is opened here is another page.
      if (during.length > 0) return;
      during = await rows(ledger, 'SELECT chain, drug FROM prescription_row ORDER BY chain');
      expect(await ledger.writer.commit(issueOf(30))).toMatchObject({ ok: true });
      expect(await ledger.writer.commit(stepOn(13, claim(PHARMACY_A)))).toMatchObject({ ok: true });
      expect(await ledger.writer.erase('0b6c4a7e-0000-4000-8000-000000000002', PHARMACY_A)).toMatchObject({ ok: true });
    });
    expect(during).toEqual(before);
    expect(await rows(ledger, 'SELECT drug FROM prescription_row ORDER BY chain')).toEqual(
      ['12', '15', '18', '21', '30'].map((number) => ({ drug: `drug ${number}` })),
    );
    expect((await verified(config, ledger, withOtherRows)).findings).toEqual([]);
  });

  it.each([
    ['a table', withTable],
    ['a column', withColumn],
    ['other rows', withOtherRows],
  ])('a process with older read models writes no more, nor starts: %s', async (_, newer) => {
    const older = await start(CHAIN_MODELS);
    expect(await older.writer.commit(issueOf(30))).toMatchObject({ ok: true });
    await rebuildLedger(config, newer);
    for (let attempt = 0; attempt < 2; attempt++) {
      const refused = older.writer.commit(issueOf(31));
      await expect(refused).rejects.toBeInstanceOf(LedgerUnavailable);
      await expect(refused).rejects.toThrow('another version of RxLedger');
    }
    await expect(openLedger(config, clock, CHAIN_MODELS)).rejects.toThrow(StartRefused);
    const now = await start(newer);
    const model = newer.find(({ kind }) => kind === 'prescription');
    expect(await now.writer.commit(issueOf(31, model))).toMatchObject({ ok: true });
    expect((await verified(config, now, newer)).findings).toEqual([]);
  });

  it('a process with older read models is told so when it reads what is not there any more', async () => {
    const older = await start(CHAIN_MODELS);
    const query = 'SELECT drug FROM prescription_row';
    expect(await older.db.query(query)).toHaveLength(8);
    await rebuildLedger(config, withColumn);
    await expect(older.db.query(query)).rejects.toBeInstanceOf(LedgerUnavailable);
    // A fault of its own stays one.
    await expect((await start(withColumn)).db.query(query)).rejects.toMatchObject({ fault: 'rejected' });
  });

  it('begins again where it was interrupted, and leaves nothing behind', async () => {
    const interrupted = rebuildLedger(config, withTable, () => Promise.reject(new Error('power cut')));
    await expect(interrupted).rejects.toThrow('power cut');
    const before = await start(CHAIN_MODELS);
    expect((await verified(config, before, CHAIN_MODELS)).findings).toEqual([]);
    const writer = await openWriter(config);
    const master = before.source.options.type === 'postgres' ? 'pg_class WHERE relname' : 'sqlite_master WHERE name';
    expect(
      await writer.query(`SELECT 1 FROM ${master} LIKE '%drug_row%' OR ${master.split(' ').at(-1)} LIKE 'gathered%'`),
    ).toEqual([]);
    await writer.destroy();
    await rebuildLedger(config, withTable);
    const after = await start(withTable);
    expect((await verified(config, after, withTable)).findings).toEqual([]);
  });

  it('says which events give no rows, and changes nothing', async () => {
    const writer = await openWriter(config);
    const [{ idx } = { idx: -1 }] = await writer.query<{ idx: number }[]>(
      'SELECT idx FROM entry WHERE chain = (SELECT min(chain) FROM custody) AND seq = 0',
    );
    const kept = await writer.query<unknown[]>('SELECT * FROM prescription_row ORDER BY chain');
    await writer.query(`DELETE FROM payload WHERE idx = ${idx}`);
    await expect(rebuildLedger(config, withColumn)).rejects.toThrow(`the events of chain ${idx} do not give its rows`);
    expect(await writer.query('SELECT * FROM prescription_row ORDER BY chain')).toEqual(kept);
    await writer.destroy();
  });
});

it('the fixture is what a ledger gives today', async () => {
  const folder = temporaryFolder();
  const config = testConfig(folder.path);
  const ledger = await openLedger(config, new SettableClock(BEGUN), CHAIN_MODELS);
  await fillLedger(ledger);
  expect(await verified(config, ledger, CHAIN_MODELS)).toMatchObject({ ok: true, size: 31, chains: 11, erased: 5 });
  await ledger.close();
  folder.remove();
});
