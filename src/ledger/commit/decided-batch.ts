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

/** What a batch is made with. */
export interface BatchTools {
  readonly vault: Vault;
  readonly keys: LogKeys;
  readonly tables: readonly BatchTable[];
}

/** What becomes of one command. */
export type Result = Staged | { readonly kind: 'error'; readonly error: unknown };

/** A batch whose commands are being decided. */
export interface OpenBatch {
  readonly before: Tip;
  /** Instant of the batch, ms since 1970. */
  readonly now: number;
  readonly tree: GrowingTree;
  readonly staging: Staging;
}

/** A batch that can be written behind `before`. */
export interface DecidedBatch {
  readonly before: Tip;
  /** The log's tip once the batch is written; `before` when it writes nothing. */
  readonly after: Tip;
  readonly tree: GrowingTree;
  readonly staging: Staging;
  /** By the position of the command in the batch. */
  readonly results: readonly Result[];
  /** Null when there is nothing to write. */
  readonly rows: BatchRows | null;
}

/** @param known the number that the next new subject gets, and the head of the log chain, both as they are at `before` */
export function openBatch(
  { vault }: BatchTools,
  before: Tip,
  now: number,
  { nextSubject, log }: { readonly nextSubject: number; readonly log: ChainHead | null },
): OpenBatch {
  const tree = new GrowingTree(nodeHasher, before.size, before.frontier);
  return { before, now, tree, staging: new Staging(vault, before.origin, tree, now, nextSubject, log) };
}

/**
 * Decides one command. A `decide` or `evolve` that throws fails its own command only.
 * @param key the command's idempotency key as stored
 */
export function decideCommand({ staging }: OpenBatch, command: Command, key: Buffer | null): Result {
  try {
    return staging.stage(command, key);
  } catch (error) {
    return { kind: 'error', error };
  }
}

/**
 * Adds what the batch writes besides its events: tiles and the signed checkpoint.
 * @throws {LedgerUnavailable} when this process does not have the key to sign with
 */
export function closeBatch(
  { vault, keys, tables }: BatchTools,
  { before, now, tree, staging }: OpenBatch,
  results: readonly Result[],
): DecidedBatch {
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
export function firstEntry({ staging }: DecidedBatch): StagedEvent {
  const [first] = staging.entries;
  if (!first) throw new Error('the batch has no entry');
  return first;
}

/** Whether the command left nothing in the batch: refused, or accepted without an event. */
export function wroteNothing(result: Result): boolean {
  return result.kind === 'refusal' || (result.kind === 'events' && result.events.length === 0);
}
