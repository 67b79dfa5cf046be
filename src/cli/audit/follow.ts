import { basename, dirname, join } from 'node:path';
import { Clock } from '../../time/clock.js';
import { FollowFolderError } from '../../audit/follow/chain-ends.js';
import { Follower, type Poll } from '../../audit/follow/follower.js';
import { Replica } from '../../audit/follow/replica/replica.js';
import { httpFiles, SourceError } from '../../audit/follow/source.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { ClientToken } from '../keys/client-token.js';
import { EnvironmentError, EXIT, type ExitCode, ProgressLine, type Terminal, UsageError } from '../terminal.js';
import { checkUrl, policyOf, type TrustOptions } from './trust.js';

export interface FollowOptions extends TrustOptions {
  readonly dir: string;
  /** The machine account of the follower, needed because entries are not public. */
  readonly clientId?: string;
  /** File of its private key. */
  readonly key?: string;
  readonly once?: boolean;
  /** Seconds between two looks. */
  readonly interval: number;
  /** Whether to keep the log's files in `<dir>/log`. */
  readonly replica?: boolean;
}

/** `rxledger audit follow`: ends at the first alarm, at a signal, or with `once` after one look. */
export async function runFollow(url: string, options: FollowOptions, terminal: Terminal): Promise<ExitCode> {
  const { dir } = options;
  checkUrl(url);
  const policy = await policyOf(options);
  const clock = new Clock();
  const stop = new AbortController();
  const token = tokenOf(url, options, clock, stop.signal);
  const line = new ProgressLine(terminal, options);
  const end = () => stop.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  let follower: Follower | null = null;
  try {
    const replica = options.replica ? await Replica.open(join(dir, 'log')) : undefined;
    follower = await Follower.open(dir, {
      policy,
      fetch: httpFiles(url, token, stop.signal),
      url,
      clock,
      ...(replica ? { replica } : {}),
      stop: stop.signal,
      progress: (done, total) => line.show(() => `checking entries: ${done} of ${total}`),
    });
    return await follow(follower, options, terminal, line, stop.signal);
  } catch (error) {
    if (error instanceof FollowFolderError) throw new EnvironmentError(`${dir}: ${error.message}`);
    throw error;
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    await follower?.close();
  }
}

async function follow(
  follower: Follower,
  { once, interval, json }: FollowOptions,
  terminal: Terminal,
  line: ProgressLine,
  signal: AbortSignal,
): Promise<ExitCode> {
  for (;;) {
    try {
      const poll = await follower.poll();
      line.done();
      if (json) terminal.out(JSON.stringify(asJson(poll)));
      else for (const words of inWords(poll)) terminal.out(words);
      if (!poll.ok) return EXIT.finding;
    } catch (error) {
      const away = error instanceof SourceError || error instanceof EnvironmentError;
      const stopped = signal.aborted && (away || error === signal.reason);
      if (stopped && once)
        throw new EnvironmentError('stopped before the look was finished: it says nothing about the log');
      if (stopped) return EXIT.ok;
      if (!away) throw error;
      if (once) throw new EnvironmentError(error.message);
      line.done();
      if (json) terminal.out(JSON.stringify({ event: 'away', reason: error.message }));
      else terminal.err(`away: ${error.message}`);
    }
    if (once || !(await waited(interval, signal))) return EXIT.ok;
  }
}

/** @returns false when the signal ended the wait */
function waited(seconds: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(false);
    const ended = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', ended);
      resolve(true);
    }, seconds * 1000);
    signal.addEventListener('abort', ended, { once: true });
  });
}

function asJson(poll: Poll): object {
  return poll.ok
    ? { event: 'followed', ...poll.standing }
    : { event: 'alarm', alarm: poll.alarm, what: poll.what, evidence: poll.evidence };
}

function inWords(poll: Poll): string[] {
  if (!poll.ok) return [`ALARM ${poll.alarm}: ${poll.what}`, `  evidence: ${poll.evidence}`];
  const { origin, checked, size, entries, lag, witnesses, cosignatureAge, evidence, mended } = poll.standing;
  const age = cosignatureAge === null ? '' : `, cosigned ${cosignatureAge} s ago by ${witnesses.join(', ')}`;
  const behind = lag.entries === 0 ? 'nothing new' : `${entries} new, was ${lag.seconds} s behind`;
  return [
    ...poll.standing.rotations.map(
      (one) =>
        `THE KEY OF THE LOG WAS REPLACED behind ${one.size} entries, signed by the old key; pin the new one: ${one.to}`,
    ),
    `${origin}: ${checked} of ${size} entries checked (${behind})${age}`,
    ...(mended > 0 ? [`  ${mended} files of the replica were missing or damaged, and were fetched again`] : []),
    ...(entries > 0 ? poll.standing.continues.map((words) => `  ${words}`) : []),
    ...(evidence > 0 ? [`  evidence of ${evidence} earlier alarms is kept`] : []),
  ];
}

/** @returns a function that gives the access token for entries; null without a machine account */
function tokenOf(
  url: string,
  { clientId, key }: FollowOptions,
  clock: Clock,
  stop: AbortSignal,
): (() => Promise<string>) | null {
  if (clientId === undefined && key === undefined) return null;
  if (clientId === undefined || key === undefined) throw new UsageError('--client-id and --key go together');
  const seed = loadKey(dirname(key), basename(key));
  if (!seed) throw new EnvironmentError(`there is no ${key}; \`rxledger keys new machine\` makes one`);
  const machine = new ClientToken(url, clientId, seed, clock, stop);
  return () => machine.get();
}
