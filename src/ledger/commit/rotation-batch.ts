import type { JsonObject } from '../core/record/event.js';
import type { Db } from '../../database/db.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { LOG_KEY_ROTATED } from '../core/statements/key-rotation.js';
import { type BatchTools, closeBatch, type DecidedBatch, decideCommand, openBatch } from './decided-batch.js';
import type { HeadCache } from './head-cache.js';
import type { Locked } from './log-tail.js';
import { LOG_REF } from '../log-chain/log-chain.js';
import { handOverCheckpoint, type LogKey, rotationData } from '../crypto/log-key.js';
import { accept, type Command, SYSTEM } from '../model.js';
import { publishBehindNewest } from '../rows/published.js';
import type { Tip } from '../store/tip.js';

/**
 * Replaces the log's key under the head's lock.
 * @param from verifier key to replace
 * @returns null when that is no longer the log's key
 */
export async function rotateKey(locked: Locked, next: LogKey, from: string): Promise<DecidedBatch | null> {
  const { db, tools, cache, tip, now } = locked;
  if (tip.vkey !== from) return null;
  const old = tools.keys.of(tip.vkey);
  const data = rotationData(old, next, tip.size, tip.root);
  const batch = await logEventBatch(tools, cache, tip, now, LOG_KEY_ROTATED, data);
  const checkpoint = handOverCheckpoint(old, next, batch.after.size, batch.after.root);
  const rotated = { ...batch, after: { ...batch.after, vkey: next.vkey, checkpoint } };
  await locked.write(rotated);
  await publishHandOver(db, rotated.after);
  return rotated;
}

/** A batch that holds nothing but one event of the log chain. It answers no command of a queue. */
export async function logEventBatch(
  tools: BatchTools,
  cache: HeadCache,
  tip: Tip,
  now: number,
  type: string,
  data: JsonObject,
): Promise<DecidedBatch> {
  const command: Command = {
    actor: SYSTEM,
    chains: [LOG_REF],
    decide: () => accept({ chain: LOG_CHAIN, type, data, derived: {} }),
  };
  const open = openBatch(tools, tip, now, cache);
  open.staging.learn(await cache.read([command], true));
  const result = decideCommand(open, command, null);
  if (result.kind === 'error') throw result.error;
  return closeBatch(tools, open, []);
}

/**
 * Additional writes in the transaction that replaces the key. The head names the new key. The checkpoint by both keys
 * is published at once, since whoever has pinned the old key must see it.
 */
export async function publishHandOver(db: Db, { vkey, size, checkpoint, time }: Tip): Promise<void> {
  await db.query('UPDATE log_head SET vkey = ?', [vkey]);
  await publishBehindNewest(db, { size, checkpoint }, time);
}
