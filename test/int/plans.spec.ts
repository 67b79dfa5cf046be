/**
 * No list, job or erasure reads a whole table. Every statement that the services run in a life in which everything
 * happens is caught on its way to the engine and explained there.
 */
import { DataSource, type QueryRunner } from 'typeorm';
import { describe, expect, it, vi } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { tableName } from '../../src/database/declare.js';
import { TABLES } from '../../src/database/tables/index.js';
import { readModelsOf } from '../../src/ledger/store/tables.js';
import { PatientAccess } from '../../src/access/patient-access.js';
import { PrescriptionAccess } from '../../src/access/prescription-access.js';
import { SuppliesService } from '../../src/dispensing/supplies.service.js';
import { RefusalException } from '../../src/http/problem/problem.js';
import { Clients } from '../../src/identity/machines/clients.js';
import { Organisations } from '../../src/identity/organisations.js';
import { ReadDb } from '../../src/ledger/read/read-db.js';
import { ChainsService } from '../../src/log/chains/chains.service.js';
import { ServedCheckpoint } from '../../src/log/checkpoints/served.js';
import { LogFiles } from '../../src/log/log-files.js';
import { DisclosureService } from '../../src/log/disclosure/disclosure.service.js';
import { ReceiptsService } from '../../src/log/receipts.service.js';
import { PatientService } from '../../src/patient/patient.service.js';
import { DiscrepancyService } from '../../src/reconciliation/discrepancy.service.js';
import { JudgedMarks } from '../../src/reconciliation/judged.js';
import { Sweep } from '../../src/reconciliation/sweep.js';
import { AccessLog } from '../../src/patient/access-log.js';
import { bothEngines } from '../support/engines.js';
import { ALL_GOES_WELL, make } from './access-moves.js';
import { newWorld, sharedService } from './access-world.js';

/** One step of a plan that reads a table. */
interface Step {
  readonly table: string;
  readonly how: string;
}

/** Read whole, and why that is right. */
const WHOLE: Readonly<Record<string, string>> = {
  log_head: 'one row',
  relay_cursor: 'one row for each relay',
  witness_contact: 'one row for each witness',
};

/** Statements are told from each other by their text; lists of placeholders count as one, however long. */
const shortened = (sql: string): string => sql.replace(/\s+/g, ' ').replace(/(?:\?|\$\d+)(?:, (?:\?|\$\d+))+/g, '…');

/** Whatever the engine is asked by any data source of this process. */
class Asked {
  readonly statements = new Map<string, { sql: string; params: unknown[] }>();

  constructor(source: DataSource) {
    const runner: QueryRunner = source.createQueryRunner();
    const prototype = Object.getPrototypeOf(runner) as QueryRunner;
    // eslint-disable-next-line typescript/unbound-method -- called with the runner as `this`
    const query = prototype.query as (...args: unknown[]) => Promise<unknown>;
    const { statements } = this;
    vi.spyOn(prototype, 'query').mockImplementation(function (this: QueryRunner, ...args: unknown[]) {
      const [sql, params] = args as [string, unknown[] | undefined];
      if (/^\s*(SELECT|WITH|UPDATE|DELETE|INSERT)/i.test(sql))
        statements.set(shortened(sql), { sql, params: params ?? [] });
      return query.apply(this, args) as Promise<never>;
    });
  }
}

/** Every whole reading of a table that the plan has, but for pages that end by themselves. */
async function scans(source: DataSource, tables: ReadonlySet<string>, sql: string, params: unknown[]): Promise<Step[]> {
  if (source.options.type === 'postgres') {
    const rows = await source.query<{ 'QUERY PLAN': [{ Plan: Node }] }[]>(`EXPLAIN (FORMAT JSON) ${sql}`, params);
    return inPostgres(rows[0]?.['QUERY PLAN'][0].Plan, false);
  }
  const rows = await source.query<{ detail: string }[]>(`EXPLAIN QUERY PLAN ${sql}`, params);
  const sorted = rows.some(({ detail }) => detail.startsWith('USE TEMP B-TREE FOR ORDER BY'));
  const isPage = !sorted && / LIMIT /.test(sql) && !/ WHERE /.test(sql);
  const aliases = new Map([...sql.matchAll(/(?:FROM|JOIN) (\w+) (\w+)/g)].map(([, table, alias]) => [alias, table]));
  // A page of a sorted list reads an index in its order. Pages of several relations are put together in memory.
  if (sorted && / LIMIT /.test(sql) && !/ UNION /.test(sql))
    return [{ table: 'sorted', how: 'USE TEMP B-TREE FOR ORDER BY' }];
  return rows.flatMap(({ detail }) => {
    const [, name] = /^SCAN (\w+)/.exec(detail) ?? [];
    const table = aliases.get(name) ?? name;
    return table === undefined || !tables.has(table) || isPage ? [] : [{ table, how: detail }];
  });
}

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Filter?: string;
  readonly Plans?: readonly Node[];
}

/** @param page whether a limit ends the reading, with nothing between that reads all of it first */
function inPostgres(node: Node | undefined, page: boolean): Step[] {
  if (!node) return [];
  const { 'Node Type': how, 'Relation Name': table, Plans: below = [] } = node;
  const keeps = page && !['Sort', 'Aggregate', 'Hash', 'Materialize'].includes(how);
  const found = below.flatMap((each) => inPostgres(each, how === 'Limit' || keeps));
  if (table === undefined || how === 'ModifyTable') return found;
  const bounded = node['Index Cond'] !== undefined;
  return bounded || (page && node.Filter === undefined) ? found : [...found, { table, how }];
}

/** A refusal has its plan, too. */
function absent(error: unknown): void {
  if (!(error instanceof RefusalException)) throw error;
}

describe.each(await bothEngines())('plans on $engine', (engine) => {
  const service = sharedService(engine);

  it.skipIf(engine.missing)('of lists, jobs, sweeps and erasures read no whole table', async () => {
    const running = service();
    const { app } = running;
    const asked = new Asked(app.get(DataSource));
    const world = await newWorld(running);
    for (const move of ALL_GOES_WELL) await make(running, world, move);
    const page = { limit: 10, after: 1_000_000 };
    for (const actor of world.actors) {
      for (const filters of [{}, { status: 'active', issueStatus: 'ready', patient: world.patients[0] }]) {
        await app.get(PrescriptionAccess).list(actor, { ...page, ...filters });
        await app.get(PrescriptionAccess).list(actor, { limit: 10, ...filters });
      }
      await app.get(SuppliesService).list(actor, page);
      for (const status of [undefined, 'open'] as const) {
        const filter = status && { status };
        await app.get(DiscrepancyService).list(actor, { limit: 10, ...filter });
        await app.get(DiscrepancyService).list(actor, { limit: 10, after: '1.1.D03:x', ...filter });
      }
      for (const patient of world.patients) {
        await app.get(PatientAccess).read(actor, patient).catch(absent);
        await app.get(PatientService).accesses(actor, patient, { limit: 10 }).catch(absent);
      }
      for (const id of world.prescriptions) await app.get(ChainsService).head(actor, id).catch(absent);
      await app.get(ReceiptsService).read(actor, 3).catch(absent);
      await app.get(DisclosureService).read(actor, 3).catch(absent);
      await app.get(DisclosureService).list(actor, { limit: 10 });
      await app.get(DisclosureService).list(actor, { limit: 10, after: '1.1.1' });
    }
    for (const kind of [undefined, 'pharmacy'] as const)
      for (const after of [undefined, world.pharmacies[0]]) await app.get(Organisations).list(kind, after, 10);
    for (const after of [undefined, world.pharmacies[0]]) await app.get(Clients).list(after, 10);
    await app.get(ServedCheckpoint).page(1_000_000, 10);
    await app.get(LogFiles).chain(0, 10);
    await app.get(Sweep).timers();
    await app.get(Sweep).requests();
    await app.get(Sweep).missed(1_000_000, new Set(), () => Promise.resolve());
    await app.get(JudgedMarks).flush();
    await app.get(AccessLog).flush();

    const db = app.get(ReadDb);
    expect(asked.statements.size).toBeGreaterThan(40);
    const source = app.get(DataSource);
    const tables = new Set([...TABLES, ...readModelsOf(CHAIN_MODELS)].map(tableName));
    const found: string[] = [];
    const runner = source.createQueryRunner();
    try {
      if (db.dialect === 'postgres') {
        await runner.query('SET enable_seqscan = off');
        await runner.query('SET enable_bitmapscan = off');
      }
      const explain = { options: source.options, query: runner.query.bind(runner) } as unknown as DataSource;
      for (const { sql, params } of asked.statements.values()) {
        for (const { table, how } of await scans(explain, tables, sql, params))
          if (!(table in WHOLE)) found.push(`${table} (${how}): ${shortened(sql)}`);
      }
    } finally {
      await runner.release();
    }
    expect(found).toEqual([]);
    // It would be seen.
    const whole = await scans(source, tables, "SELECT chain FROM supply_row WHERE matched = 'x' LIMIT 1", []);
    expect(whole).toMatchObject([{ table: 'supply_row' }]);
  });
});
