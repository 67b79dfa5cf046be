import { decrypt, VaultError } from '../crypto/aes-gcm.js';
import { type Db, inPages, placeholders } from '../../database/db.js';
import { type ChainRow, needsNoSnapshot, openState, type StateRow, subjectOf } from '../store/chain-row.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import type { LedgerEvent } from '../core/record/event.js';
import type { ChainModel, CommittedEvent } from '../model.js';
import { openClear, openEvent, splitPayload } from '../store/payload.js';
import { type Vault } from '../keys/vault.js';

/** An event with the data that its receipt needs. */
export interface StoredEvent extends CommittedEvent {
  readonly entry: Buffer;
  readonly salt: Buffer;
  readonly text: string;
}

/** The stored form of an event. */
export interface StoredPayload {
  idx: number;
  seq: number;
  entry: Buffer;
  body: Buffer;
}

export function dataKeyOf(vault: Vault, row: ChainRow): Uint8Array {
  return vault.unwrapDataKey(subjectOf(vault, row), row.id, row.data_key);
}

/** Opens stored payloads of one chain. @throws VaultError, PayloadError when they were tampered with */
export function openEvents(vault: Vault, chain: ChainRow, rows: readonly StoredPayload[]): StoredEvent[] {
  const dataKey = chain.id === LOG_CHAIN ? null : dataKeyOf(vault, chain);
  return rows.map(({ idx, seq, entry, body }) => {
    const { salt, text } = dataKey
      ? splitPayload(decrypt(dataKey, vault.aad('payload', chain.id, seq, 'payload'), body))
      : openClear(entry, body);
    return { ...openEvent(text, chain.id, seq), index: idx, entry, salt, text };
  });
}

/** All events of a chain in seq order. */
export async function readEvents(
  db: Db,
  vault: Vault,
  chain: ChainRow,
  upToIndex = Number.MAX_SAFE_INTEGER,
): Promise<StoredEvent[]> {
  const rows = await db.query<StoredPayload>(
    'SELECT e.idx, e.seq, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx WHERE e.chain = ? AND e.idx <= ? ORDER BY e.seq',
    [chain.num, upToIndex],
  );
  return openEvents(vault, chain, rows);
}

/** Events of a chain at this position or before it, newest first. */
export async function readLatestEvents(
  db: Db,
  vault: Vault,
  chain: ChainRow,
  seq: number,
  limit: number,
): Promise<StoredEvent[]> {
  const rows = await db.query<StoredPayload>(
    `SELECT e.idx, e.seq, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx
     WHERE e.chain = ? AND e.seq <= ? ORDER BY e.seq DESC LIMIT ?`,
    [chain.num, seq, limit],
  );
  return openEvents(vault, chain, rows);
}

/**
 * Events of any chains, by log index.
 * @param indexes in ascending order
 * @param chains the rows of all their chains, by number
 */
export async function readEventsAt(
  db: Db,
  vault: Vault,
  indexes: readonly number[],
  chains: ReadonlyMap<number, ChainRow>,
): Promise<StoredEvent[]> {
  const rows = await inPages(indexes, (page) =>
    db.query<StoredPayload & { chain: number }>(
      `SELECT e.idx, e.chain, e.seq, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx WHERE e.idx IN ${placeholders(page)} ORDER BY e.idx`,
      page,
    ),
  );
  return rows.flatMap((row) => {
    const chain = chains.get(row.chain);
    return chain ? openEvents(vault, chain, [row]) : [];
  });
}

/**
 * The newest state of a chain that is not erased. It comes from the snapshot, from the payload of the only entry, or by
 * refolding when another version of the model made the snapshot.
 * @throws {VaultError} when the snapshot or payload is missing or was tampered with
 */
export async function stateOf(
  db: Db,
  vault: Vault,
  row: StateRow,
  model: ChainModel,
  dataKey = dataKeyOf(vault, row),
): Promise<unknown> {
  if (row.state.length === 0) return model.evolve(null, soleEvent(vault, row, dataKey));
  return row.state_version === model.stateVersion ? openState(vault, row, dataKey) : refold(db, vault, row, model);
}

/** @throws {VaultError} when the chain has more than one entry, or its payload is missing or of another kind */
function soleEvent(vault: Vault, row: StateRow, dataKey: Uint8Array): LedgerEvent {
  if (!needsNoSnapshot(row) || row.sole_body === null) throw new VaultError('a chain has no state');
  const { text } = splitPayload(decrypt(dataKey, vault.aad('payload', row.id, 0, 'payload'), row.sole_body));
  const event = openEvent(text, row.id, 0);
  if (event.kind !== row.kind) throw new VaultError('a chain is of another kind than its event');
  return event;
}

/** The state from the chain's events up to a log index. */
export async function refold(
  db: Db,
  vault: Vault,
  chain: ChainRow,
  model: ChainModel,
  upToIndex?: number,
): Promise<unknown> {
  const events = await readEvents(db, vault, chain, upToIndex);
  return events.reduce<unknown>((state, event) => model.evolve(state, event), null);
}
