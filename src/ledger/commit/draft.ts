import { contentOf } from './batch-content.js';
import type { ChainHead } from '../store/chain-row.js';
import type { BatchRows, BatchTable } from '../store/batch-statement.js';
import { GrowingTree } from '../core/tlog/merkle.js';
import type { LogKeys } from '../keys/log-key-files.js';
import type { Command } from '../model.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { type Staged, type StagedEvent, Staging } from './staging.js';
import { T } from '../store/tables.js';
import { growTiles, type Tip } from '../store/tip.js';
import type { Vault } from '../keys/vault.js';

export type Result = Staged | { readonly kind: 'error'; readonly error: unknown };

/** A batch that is decided and can be written behind `before`. */
export interface Draft {
  readonly before: Tip;
  /** The end of the log once it is written; `before` when nothing is. */
  readonly after: Tip;
  readonly tree: GrowingTree;
  readonly staging: Staging;
  /** By the position of the command in the batch. */
  readonly results: readonly Result[];
  /** Null when there is nothing to write. */
  readonly rows: BatchRows | null;
}

export interface Desk {
  readonly vault: Vault;
  readonly keys: LogKeys;
  readonly tables: readonly BatchTable[];
}

/** @param key the command's idempotency key as stored. Decides one command; a `decide` or `evolve` that throws fails its own command only. */
export function stage(staging: Staging, command: Command, key: Buffer | null): Result {
  try {
    return staging.stage(command, key);
  } catch (error) {
    return { kind: 'error', error };
  }
}

/** A batch that is being decided. */
export function openStaging(
  desk: Desk,
  before: Tip,
  now: number,
  nextSubject: number,
  log: ChainHead | null,
): { tree: GrowingTree; staging: Staging } {
  const tree = new GrowingTree(nodeHasher, before.size, before.frontier);
  return { tree, staging: new Staging(desk.vault, before.origin, tree, now, nextSubject, log) };
}

/**
 * Everything that the batch writes: rows, tiles, the signed checkpoint.
 * @throws {LedgerUnavailable} when the key by which to sign is not here
 */
export function seal(
  { vault, keys, tables }: Desk,
  before: Tip,
  now: number,
  tree: GrowingTree,
  staging: Staging,
  results: readonly Result[],
): Draft {
  if (staging.entries.length === 0) return { before, after: before, tree, staging, results, rows: null };
  const rows = contentOf(staging, vault, tables);
  const { written, partialTiles } = growTiles(before, tree);
  for (const { level, index, hashes } of written) rows.add(T.tile, [level, index, hashes]);
  const root = Buffer.from(tree.root());
  const checkpoint = keys.of(before.vkey).checkpoint(tree.size, root);
  const after = { ...before, size: tree.size, root, time: now, checkpoint, partialTiles, frontier: tree.frontier() };
  return { before, after, tree, staging, results, rows };
}

/** @returns the first entry of the batch, by which it is found again in the log */
export function firstEntry({ staging }: Draft): StagedEvent {
  const [first] = staging.entries;
  if (!first) throw new Error('the batch has no entry');
  return first;
}

/** Whether the command left nothing in the batch: refused, or accepted without an event. */
export function wroteNothing(result: Result): boolean {
  return result.kind === 'refusal' || (result.kind === 'events' && result.events.length === 0);
}
