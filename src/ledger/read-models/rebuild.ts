/**
 * Rebuilds the read models while others read and write. Rows are first gathered in temporary tables. Then one
 * transaction under the head's lock adds rows of later entries and recreates the read models from their declarations.
 * It copies the rows and sets the version. Readers see the previous rows or the new ones. An interrupted rebuild leaves
 * nothing behind and starts again.
 */
import type { DataSource, QueryRunner } from 'typeorm';
import { type Db, DbError, dbOf } from '../../database/db.js';
import { shapeOf, type TableShape } from '../../database/declare.js';
import type { Vault } from '../keys/vault.js';
import type { ChainModel } from '../model.js';
import { readModelsOf } from '../store/tables.js';
import { readHead } from '../store/tip.js';
import { LedgerUnavailable } from '../unavailable.js';
import { chainsAfter, chainsBetween, refoldChains, Unfoldable } from './refold.js';

export { Unfoldable };
import {
  copyGathered,
  countGathered,
  createGathered,
  createStatements,
  dropGathered,
  dropGatheredRows,
  gatherRows,
} from './tables-sql.js';
import { readModelsVersion } from './version.js';

/** Chains that are read together. */
const PAGE = 200;
/** Limit on the newest entries left to the transaction under the lock, since all writers wait for it. */
const LEFT_TO_LOCK = 500;
/** Log indexes whose chains one statement copies, so that it stays far below the engine's time limits. */
const COPIED = 50_000;
/** Attempts of the swap while others hold the tables, and the pause between two, ms. */
const SWAPS = 60;
const PAUSE_MS = 1000;
/** How long a swap on PostgreSQL waits for readers of the previous tables, ms. Everybody else waits behind it. */
const READERS_MS = 2000;
/** An arbitrary constant: one process of a PostgreSQL database rebuilds, the others wait for it. */
const REBUILD_LOCK = 7_295_514_022;

/** The read models were made by a newer version of the program; this one must not replace them. */
export class NewerReadModels extends Error {
  constructor(made: number, own: number) {
    super(
      `a newer version of RxLedger made the lists of this ledger (version ${made}, this program's is ${own}): start the newer one`,
    );
  }
}

export interface Rebuilt {
  readonly version: number;
  readonly chains: number;
  /** Rows in all read models. */
  readonly rows: number;
}

export interface RebuildOptions {
  /** Rebuild only read models that are older than these chain models. */
  readonly ifOlder?: boolean;
  /** Called after each page, and awaited before the next one. @param done chains, of `total` */
  readonly progress?: (done: number, total: number) => void | Promise<void>;
}

/**
 * Rebuilds the read models.
 * @param source the writer's, opened with the declarations; nobody else may use it meanwhile
 * @returns null when {@link RebuildOptions.ifOlder} is set and they already have this version
 * @throws {NewerReadModels} {@link Unfoldable} {@link LedgerUnavailable} when others hold the tables for too long
 */
export async function rebuildReadModels(
  source: DataSource,
  vault: Vault,
  models: readonly ChainModel[],
  { ifOlder = false, progress = () => undefined }: RebuildOptions = {},
): Promise<Rebuilt | null> {
  const version = readModelsVersion(models);
  const shapes = readModelsOf(models).map(shapeOf);
  const create: string[] = [];
  for (const { table } of shapes) create.push(...(await createStatements(source, table)));
  const runner = source.createQueryRunner();
  const rebuild = new Rebuild(runner, vault, models, shapes, create, version, ifOlder);
  try {
    if (!(await rebuild.isDue())) return null;
    await rebuild.begin();
    if (!(await rebuild.isDue())) return null;
    const chains = await rebuild.gather(progress);
    return (await rebuild.swap()) ? { version, chains, rows: await rebuild.rows() } : null;
  } finally {
    await rebuild.end();
    await runner.release();
  }
}

class Rebuild {
  private readonly db: Db;
  private readonly models: ReadonlyMap<string, ChainModel>;
  /** The rows of entries below this index are gathered. */
  private done = 0;
  /** Chains to look at again under the lock. */
  private readonly doubtful = new Set<number>();

  constructor(
    runner: QueryRunner,
    private readonly vault: Vault,
    models: readonly ChainModel[],
    private readonly shapes: readonly TableShape[],
    private readonly create: readonly string[],
    private readonly version: number,
    private readonly ifOlder: boolean,
  ) {
    this.db = dbOf(runner);
    this.models = new Map(models.map((model) => [model.kind, model]));
  }

  /** @throws {NewerReadModels} */
  async isDue(): Promise<boolean> {
    const made = (await readHead(this.db))?.read_models ?? 0;
    if (made > this.version) throw new NewerReadModels(made, this.version);
    return made < this.version || !this.ifOlder;
  }

  async begin(): Promise<void> {
    if (this.db.dialect === 'postgres') await this.takeTurns();
    for (const shape of this.shapes) {
      await dropGathered(this.db, shape);
      await createGathered(this.db, shape);
    }
  }

  /** Processes that start a new version together do the work only once. */
  private async takeTurns(): Promise<void> {
    for (;;) {
      const [row] = await this.db.query<{ mine: boolean }>('SELECT pg_try_advisory_lock(?) AS mine', [REBUILD_LOCK]);
      if (row?.mine) return;
      await pause();
    }
  }

  /** @returns how many chains there are */
  async gather(progress: NonNullable<RebuildOptions['progress']>): Promise<number> {
    this.done = (await readHead(this.db))?.size ?? 0;
    const [count] = await this.db.query<{ n: number }>('SELECT count(*) AS n FROM chain');
    const total = count?.n ?? 0;
    let chains = 0;
    for (let page = await chainsAfter(this.db, -1, PAGE); page.length > 0;) {
      await this.take(page);
      chains += page.length;
      await progress(chains, Math.max(chains, total));
      page = await chainsAfter(this.db, page.at(-1) ?? 0, PAGE);
    }
    for (let size = await this.size(); size - this.done > LEFT_TO_LOCK; size = await this.size())
      await this.catchUp(size);
    return chains;
  }

  private async size(): Promise<number> {
    return (await readHead(this.db))?.size ?? 0;
  }

  /** Gathers the rows of these chains, replacing those gathered before. */
  private async take(numbers: readonly number[]): Promise<void> {
    const { rows, doubtful } = await refoldChains(this.db, this.vault, this.models, numbers);
    for (const shape of this.shapes) {
      const values = rows.filter(({ table }) => table === shape.table).map((row) => row.values);
      await gatherRows(this.db, shape, values);
    }
    for (const number of doubtful) this.doubtful.add(number);
  }

  /** Gathers again the chains with entries since the last look, up to this size. */
  private async catchUp(size: number): Promise<void> {
    await this.again(await chainsBetween(this.db, this.done, size));
    this.done = size;
  }

  private async again(numbers: readonly number[]): Promise<void> {
    for (let at = 0; at < numbers.length; at += PAGE) {
      const page = numbers.slice(at, at + PAGE);
      for (const number of page) this.doubtful.delete(number);
      for (const shape of this.shapes) await dropGatheredRows(this.db, shape, page);
      await this.take(page);
    }
  }

  /** @returns false when another process was faster */
  async swap(): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.trySwap();
      } catch (error) {
        if (!(error instanceof DbError && error.fault === 'outage')) throw error;
        if (attempt === SWAPS) throw new LedgerUnavailable('others hold the lists for too long', 5);
        await pause();
      }
    }
  }

  private async trySwap(): Promise<boolean> {
    const { db } = this;
    const postgres = db.dialect === 'postgres';
    const doubtful = [...this.doubtful];
    await db.query(postgres ? 'BEGIN' : 'BEGIN IMMEDIATE');
    try {
      if (postgres) {
        await db.query('SELECT size FROM log_head WHERE id = 1 FOR UPDATE');
        await db.query(`SET LOCAL lock_timeout = ${READERS_MS}`);
      }
      const due = await this.isDue();
      if (due) await this.fill();
      await db.query(due ? 'COMMIT' : 'ROLLBACK');
      return due;
    } catch (error) {
      await db.query('ROLLBACK').catch(() => undefined);
      for (const number of doubtful) this.doubtful.add(number);
      throw error;
    }
  }

  private async fill(): Promise<void> {
    const { db, shapes } = this;
    const size = await this.size();
    const since = await chainsBetween(db, this.done, size);
    await this.again([...new Set([...since, ...this.doubtful])]);
    const [unfoldable] = this.doubtful;
    if (unfoldable !== undefined) throw new Unfoldable(unfoldable);
    for (const { table } of shapes) await db.query(`DROP TABLE IF EXISTS ${table}`);
    for (const statement of this.create) await db.query(statement);
    for (const shape of shapes)
      for (let from = 0; from < size; from += COPIED) await copyGathered(db, shape, from, from + COPIED);
    await db.query('UPDATE log_head SET read_models = ?', [this.version]);
  }

  async rows(): Promise<number> {
    let rows = 0;
    for (const shape of this.shapes) rows += await countGathered(this.db, shape);
    return rows;
  }

  /** Cleans the connection, which the writer uses afterwards. */
  async end(): Promise<void> {
    for (const shape of this.shapes) await dropGathered(this.db, shape).catch(() => undefined);
    if (this.db.dialect === 'postgres')
      await this.db.query('SELECT pg_advisory_unlock(?)', [REBUILD_LOCK]).catch(() => undefined);
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
