import { type Db, placeholders } from '../../database/db.js';
import { groupBy } from '../core/group-by.js';
import type { Vault } from '../keys/vault.js';
import type { ChainModel } from '../model.js';
import { openEvents, type StoredPayload } from '../read/chain-events.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow, isErased, keepRows, type StoredRow } from '../store/chain-row.js';

/** A chain's rows cannot be computed. The message names the chain by number, for the operator. */
export class Unfoldable extends Error {
  constructor(chain: number) {
    super(`the events of chain ${chain} do not give its rows: \`rxledger log verify\` says what is wrong with them`);
  }
}

export interface Refolded {
  readonly rows: readonly StoredRow[];
  /** Numbers of chains without rows, because something is wrong or was changed while they were read. */
  readonly doubtful: readonly number[];
}

/** Numbers of up to `limit` chains after a number, in ascending order. */
export async function chainsAfter(db: Db, number: number, limit: number): Promise<number[]> {
  const rows = await db.query<{ num: number }>('SELECT num FROM chain WHERE num > ? ORDER BY num LIMIT ?', [
    number,
    limit,
  ]);
  return rows.map(({ num }) => num);
}

/** Numbers of the chains that have entries from one log index up to another, which is excluded. */
export async function chainsBetween(db: Db, from: number, to: number): Promise<number[]> {
  const rows = await db.query<{ chain: number }>('SELECT DISTINCT chain FROM entry WHERE idx >= ? AND idx < ?', [
    from,
    to,
  ]);
  return rows.map(({ chain }) => chain);
}

/**
 * Folds chains from their first event, ignoring stored snapshots, and computes the rows of each state. An erased chain
 * has none.
 * @param numbers of a page of chains
 */
export async function refoldChains(
  db: Db,
  vault: Vault,
  models: ReadonlyMap<string, ChainModel>,
  numbers: readonly number[],
): Promise<Refolded> {
  if (numbers.length === 0) return { rows: [], doubtful: [] };
  const chains = await db.query<ChainRow>(
    `SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE c.num IN ${placeholders(numbers)} ORDER BY c.num`,
    numbers,
  );
  const payloads = groupBy(
    await db.query<StoredPayload & { chain: number }>(
      `SELECT e.idx, e.chain, e.seq, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx
       WHERE e.chain IN ${placeholders(numbers)} ORDER BY e.chain, e.seq`,
      numbers,
    ),
    ({ chain }) => chain,
  );
  const rows: StoredRow[] = [];
  const doubtful: number[] = [];
  for (const chain of chains) {
    if (isErased(chain)) continue;
    try {
      rows.push(...refoldChain(vault, models, chain, payloads.get(chain.num) ?? []));
    } catch {
      doubtful.push(chain.num);
    }
  }
  return { rows, doubtful };
}

/** @throws when a payload is missing or cannot be opened, or an event does not fit the state before it */
function refoldChain(
  vault: Vault,
  models: ReadonlyMap<string, ChainModel>,
  chain: ChainRow,
  payloads: readonly StoredPayload[],
): Iterable<StoredRow> {
  const model = models.get(chain.kind);
  if (!model || payloads.length !== chain.seq + 1) throw new Unfoldable(chain.num);
  const rows = new Map<string, StoredRow>();
  openEvents(vault, chain, payloads).reduce<unknown>((before, event) => {
    const state = model.evolve(before, event);
    keepRows(rows, model, state, chain.num, chain.subject);
    return state;
  }, null);
  return rows.values();
}
