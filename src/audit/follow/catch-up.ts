import type { Receipt } from '../../ledger/core/record/receipt.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import { type Entry, LOG_CHAIN } from '../../ledger/core/record/entry.js';
import type { Bundle, FetchFile, LogClient } from '../../ledger/core/tlog/log-client.js';
import { nameInLog, type Renaming } from '../../ledger/core/tlog/policy.js';
import { TILE_WIDTH } from '../../ledger/core/tlog/tiles.js';
import { Alarm, entriesOf } from './alarms.js';
import { entryOf } from './evidence.js';
import { checkShown } from './log-chain.js';
import type { Replica } from './replica/replica.js';
import { type Rule, violationOf } from './entry-rules.js';
import type { FollowStore, Progress } from './chain-ends.js';

/** Number of bundles in one durable step: 4096 entries. */
const STEP = 16;

const WORDS: Readonly<Record<Rule, string>> = {
  form: 'is not an entry',
  log: 'names another log',
  time: 'has a time before that of the entry before it',
  first: 'begins its chain, but not with seq 0',
  again: 'has a seq that its chain had already',
  gap: 'leaves out entries of its chain',
  link: 'has a prev that is not the leaf of the entry before it in its chain',
};

export interface CatchUp {
  readonly origin: string;
  /** The log's earlier names. */
  readonly names: readonly Renaming[];
  /** The events that renamed the log. */
  readonly continued: readonly Receipt[];
  readonly checkpoint: Checkpoint;
  /** Reads the log's files against that checkpoint. */
  readonly client: LogClient;
  readonly fetch: FetchFile;
  readonly store: FollowStore;
  /** Progress so far; its tree is extended in place. */
  readonly before: Progress;
  readonly replica?: Replica | undefined;
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Checks the entries from `before` to the checkpoint. Each step is durable. Memory: one step, one tile per level, and
 * the database's cache.
 * @throws {Alarm} at the first entry that breaks a rule; LogFileError; whatever error the client's `fetch` gives
 */
export async function catchUp(run: CatchUp): Promise<void> {
  const { checkpoint, client, before, progress } = run;
  if (before.size === checkpoint.size) return;
  let end: Progress = before;
  let step: Bundle[] = [];
  // Start at the beginning of a bundle: the replica needs whole bundles.
  for await (const bundle of client.bundles(Math.floor(before.size / TILE_WIDTH) * TILE_WIDTH)) {
    step.push(bundle);
    if (step.length < STEP) continue;
    end = await take(run, end, step);
    step = [];
    progress?.(end.size, checkpoint.size);
  }
  if (step.length > 0) await take(run, end, step);
}

async function take(
  { origin, names, continued, checkpoint, client, fetch, store, replica }: CatchUp,
  from: Progress,
  step: readonly Bundle[],
) {
  const fresh = step.flatMap(({ first, entries, leaves }) =>
    entries.flatMap((bytes, at): { index: number; bytes: Uint8Array; leaf: Uint8Array; entry: Entry | null }[] =>
      first + at < from.size ? [] : [{ index: first + at, bytes, leaf: leaves[at]!, entry: entryOf(bytes) }],
    ),
  );
  const chains = new Set(fresh.flatMap(({ entry }) => entry?.chain ?? []));
  const ends = await store.ends([...chains]);
  let { time } = from;
  for (const { index, bytes, leaf, entry } of fresh) {
    const name = nameInLog({ continued: names }, origin, index);
    const violation = violationOf(name, { size: index, time }, entry ? ends.get(entry.chain) : undefined, entry);
    if (violation || !entry) {
      const { rule, against } = violation ?? { rule: 'form', against: null };
      // For a wrong name the evidence adds entry 0, which carries the log's first name.
      const beside = rule === 'log' && index > 0 ? 0 : against;
      const indexes = beside === null ? [index] : [index, beside];
      const words = `entry ${index} ${WORDS[rule]}${against === null ? '' : ` (entry ${against})`}`;
      const shown = continued.length > 0 && { continued: [...continued] };
      throw new Alarm('entry', words, { entries: await entriesOf(client, checkpoint, indexes), ...shown });
    }
    if (entry.chain === LOG_CHAIN) await checkShown(fetch, index, bytes, entry);
    ends.set(entry.chain, { seq: entry.seq, leaf, index });
    time = entry.time;
    from.tree.append(leaf);
  }
  from.tree.settle();
  // The replica keeps the entries before they count as checked. After a crash in between they are fetched again.
  for (const bundle of step) await replica?.keep(bundle);
  const moved = new Map([...ends].filter(([, { index }]) => index >= from.size));
  await store.advance(from.tree, time, moved);
  return { size: from.tree.size, time, tree: from.tree };
}
