import type { Db } from '../../database/db.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { LOG_KEY_ROTATED } from '../core/statements/key-rotation.js';
import { type Desk, type Draft, openStaging, seal, stage } from './draft.js';
import type { HeadCache } from './head-cache.js';
import { LOG_REF } from '../log-chain/log-chain.js';
import { handOverCheckpoint, type LogKey, rotationData } from '../crypto/log-key.js';
import { accept, type Command, SYSTEM } from '../model.js';
import type { Tip } from '../store/tip.js';

/**
 * A batch that holds nothing but the event by which `next` takes over, its checkpoint signed by both keys. It answers no
 * command of a queue.
 */
export async function draftRotation(desk: Desk, cache: HeadCache, tip: Tip, now: number, next: LogKey): Promise<Draft> {
  const old = desk.keys.of(tip.vkey);
  const data = rotationData(old, next, tip.size, tip.root);
  const command: Command = {
    actor: SYSTEM,
    chains: [LOG_REF],
    decide: () => accept({ chain: LOG_CHAIN, type: LOG_KEY_ROTATED, data, derived: {} }),
  };
  const known = await cache.read([command], true);
  const { tree, staging } = openStaging(desk, tip, now, cache.nextSubject, cache.log);
  staging.learn(known);
  const result = stage(staging, command, null);
  if (result.kind === 'error') throw result.error;
  const draft = seal(desk, tip, now, tree, staging, []);
  const checkpoint = handOverCheckpoint(old, next, draft.after.size, draft.after.root);
  return { ...draft, after: { ...draft.after, vkey: next.vkey, checkpoint } };
}

/**
 * What stands beside the batch, in its transaction: the head names the new key, and the checkpoint by both is published
 * at once, since whoever has pinned the old key must see it.
 */
export async function publishRotation(db: Db, { vkey, size, checkpoint, time }: Tip): Promise<void> {
  await db.query('UPDATE log_head SET vkey = ?', [vkey]);
  await db.query(
    `INSERT INTO published (size, previous, checkpoint, published_at)
     SELECT ?, coalesce(max(size), -1), ?, ? FROM published`,
    [size, checkpoint, time],
  );
}
