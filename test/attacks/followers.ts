/**
 * Auditors who run `rxledger audit follow` with the pinned key alone, no `--policy`: the program's own follower, as that
 * command line makes it, on a folder of its own.
 */
import type { Kept } from './kept.js';
import { cpSync, readFileSync } from 'node:fs';
import { Clock } from '../../src/time/clock.js';
import { checkEvidence, evidenceSchema } from '../../src/audit/follow/evidence.js';
import { Follower } from '../../src/audit/follow/follower.js';
import { SourceError } from '../../src/audit/follow/source.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly } from '../../src/ledger/core/tlog/policy.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { temporaryFolder } from '../support/ledger.js';
import type { Shown } from './shown.js';

export interface Look {
  /** What the command would exit with for: an alarm, in its words; null: all is well. */
  readonly alarm: string | null;
  /** Whether its evidence convicts the log before others, by `rxledger audit evidence`. */
  readonly proved: boolean;
  /** That the log is away, which the command says, and is no alarm. */
  readonly outage: string | null;
}

/** Looks once, as `rxledger audit follow --once --vkey …` on that folder does, which goes on from here. */
export async function look(folder: string, vkey: string, fetch: FetchFile): Promise<Look> {
  const policy = logOnly(parseVerifierKey(vkey));
  const options = { policy, fetch, url: 'https://log.example', clock: new Clock() };
  const follower = await Follower.open(folder, options);
  try {
    const poll = await follower.poll();
    if (poll.ok) return { alarm: null, proved: false, outage: null };
    const evidence = evidenceSchema.parse(JSON.parse(readFileSync(poll.evidence, 'utf8')));
    const { proved, says } = checkEvidence(nodeHasher, policy, evidence);
    // What the log has signed against itself convicts it before everybody.
    if (!proved && poll.alarm === 'fork') throw new Error(`evidence that is none: ${says}`);
    return { alarm: `${poll.alarm}: ${poll.what}`, proved, outage: null };
  } catch (error) {
    if (error instanceof SourceError) return { alarm: null, proved: false, outage: error.message };
    throw error;
  } finally {
    await follower.close();
  }
}

/** Goes on from where they stood before the attack, each on a copy of that folder. */
async function goingOn<T>(folder: string, auditors: number, work: (folders: string[]) => Promise<T>): Promise<T> {
  const copies = Array.from({ length: auditors }, () => temporaryFolder());
  try {
    for (const { path } of copies) cpSync(folder, path, { recursive: true });
    return await work(copies.map(({ path }) => path));
  } finally {
    for (const copy of copies) copy.remove();
  }
}

const looks = new WeakMap<Shown, Promise<Look>>();

/** An auditor who follows since before the attack: one look at what is shown. */
export function lookNow(shown: Shown, { vkey, follower }: Kept): Promise<Look> {
  const known = looks.get(shown) ?? goingOn(follower, 1, ([folder = '']) => look(folder, vkey, shown.files));
  looks.set(shown, known);
  return known;
}

/** The same; an outage accuses nobody. */
export async function follow(shown: Shown, kept: Kept): Promise<string | null> {
  return (await lookNow(shown, kept)).alarm;
}

/**
 * Two auditors who compare: each is shown something, and then looks at what the other was shown. Only what
 * convicts the log counts: neither has to believe the other.
 */
export async function twoFollowers({ files, elsewhere }: Shown, { vkey, follower }: Kept): Promise<string | null> {
  // Where both are shown the same, comparing adds nothing to what each sees alone.
  if (!elsewhere) return null;
  return goingOn(follower, 2, async ([one = '', other = '']) => {
    await look(one, vkey, files);
    await look(other, vkey, elsewhere.files);
    for (const [mine, theirs] of [
      [one, elsewhere.files],
      [other, files],
    ] as const) {
      const { alarm, proved } = await look(mine, vkey, theirs);
      if (alarm && proved) return `${alarm}, proved`;
    }
    return null;
  });
}
