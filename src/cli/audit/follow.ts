import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pino } from 'pino';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { checkEvidence, evidenceSchema } from '../../audit/follow/evidence.js';
import { Follower, type Poll, type Standing } from '../../audit/follow/follower.js';
import { createReplicaServer, tokensOf } from '../../audit/follow/replica/replica-server.js';
import { Replica } from '../../audit/follow/replica/replica.js';
import { httpFiles, SourceError } from '../../audit/follow/source.js';
import { FollowFolderError } from '../../audit/follow/chain-ends.js';
import { createLogger } from '../../config/logging.js';
import { CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { NoteError, parseVerifierKey } from '../../ledger/core/tlog/note.js';
import { logsOnly, parsePolicy, type Policy, PolicyError } from '../../ledger/core/tlog/policy.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { ClientToken, tokenIn } from '../keys/client-token.js';
import {
  type CommonOptions,
  EnvironmentError,
  EXIT,
  type ExitCode,
  ProgressLine,
  type Terminal,
  UsageError,
} from '../terminal.js';

export interface TrustOptions extends CommonOptions {
  readonly vkey: readonly string[];
  readonly policy?: string;
}

export interface FollowCommandOptions extends TrustOptions {
  readonly dir: string;
  /** What is followed keeps no payloads. */
  readonly fromReplica?: boolean;
  readonly clientId?: string;
  readonly key?: string;
  /** What the service calls itself, where that is not its URL. */
  readonly audience?: string;
  /** URL of the service by whose tokens entries are read, where that is not what is followed. */
  readonly signIn?: string;
  /** File of an access token. */
  readonly token?: string;
  readonly once?: boolean;
  /** Seconds between two looks. */
  readonly interval: number;
  readonly replica?: boolean;
  readonly host: string;
  readonly port: number;
}

/**
 * `rxledger audit follow`: ends at the first alarm, or after one look with `once`, or by a signal. A copy that it serves is
 * wanted most when the log is caught: it stays until the signal.
 */
export async function runFollow(url: string, options: FollowCommandOptions, terminal: Terminal): Promise<ExitCode> {
  const { dir, json } = options;
  const service = options.signIn ?? url;
  for (const one of [url, service]) checkUrl(one);
  const policy = await policyOf(options);
  const clock = new Clock();
  const stop = new AbortController();
  const token = tokenOf(service, options, clock, stop.signal);
  const line = new ProgressLine(terminal, options);
  const end = () => stop.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const opened: { close(): Promise<unknown> }[] = [];
  try {
    const replica = options.replica ? await Replica.open(join(dir, 'log')) : undefined;
    const follower = await Follower.open(dir, {
      policy,
      fetch: httpFiles(url, token, stop.signal),
      url,
      clock,
      chainShown: !options.fromReplica,
      ...(replica ? { replica } : {}),
      stop: stop.signal,
      progress: (done, total) => line.show(() => `checking entries: ${done} of ${total}`),
    });
    opened.push(follower);
    if (replica && !options.once) {
      const server = createReplicaServer(
        replica,
        tokensOf(service),
        createLogger(Config.parse(terminal.env), pino.destination(2)),
      );
      opened.unshift(server);
      const address = await server.listen({ host: options.host, port: options.port });
      terminal.out(json ? JSON.stringify({ event: 'listening', address }) : `replica listens on ${address}`);
    }
    const code = await follow(follower, options, terminal, line, stop.signal);
    if (code === EXIT.finding && replica?.checkpoint() && !options.once && !stop.signal.aborted) {
      terminal.err('nothing more is looked at; the replica is served as it was before the alarm, until a signal');
      await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
    }
    return code;
  } catch (error) {
    if (error instanceof FollowFolderError) throw new EnvironmentError(`${dir}: ${error.message}`);
    throw error;
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    for (const one of opened) await one.close();
  }
}

async function follow(
  follower: Follower,
  { once, interval, json }: FollowCommandOptions,
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
      if (stopped && once) throw new EnvironmentError('stopped before the look was finished: it says nothing');
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

/** @returns false when the signal ends the waiting */
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
  const { origin, checked, size, entries, lag, witnesses, cosignatureAge, evidence, chain, mended }: Standing =
    poll.standing;
  const age = cosignatureAge === null ? '' : `, cosigned ${cosignatureAge} s ago by ${witnesses.join(', ')}`;
  const behind = lag.entries === 0 ? 'nothing new' : `${entries} new, was ${lag.seconds} s behind`;
  return [
    ...poll.standing.rotations.map(
      (one) =>
        `THE KEY OF THE LOG WAS REPLACED behind ${one.size} entries, signed by the old key; pin the new one: ${one.to}`,
    ),
    `${origin}: ${checked} of ${size} entries checked (${behind})${age}`,
    ...(chain === 'shown' ? [] : ["  whether the log's own chain is shown was not checked: a replica has no payloads"]),
    ...(mended > 0 ? [`  ${mended} files of the replica were missing or damaged, and were fetched again`] : []),
    ...(entries > 0 ? poll.standing.continues.map((words) => `  ${words}`) : []),
    ...(evidence > 0 ? [`  evidence of ${evidence} earlier alarms is kept`] : []),
  ];
}

/** `rxledger audit evidence`: whether a file of evidence convicts the log by itself. */
export async function runEvidence(file: string, options: TrustOptions, terminal: Terminal): Promise<ExitCode> {
  const policy = await policyOf(options);
  let content: unknown;
  try {
    content = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`${file} is not JSON`);
    throw error;
  }
  const { data } = evidenceSchema.safeParse(content);
  if (!data) throw new UsageError(`${file} is no evidence of \`rxledger audit follow\``);
  const { proved, says } = checkEvidence(nodeHasher, policy, data);
  if (options.json) terminal.out(JSON.stringify({ alarm: data.alarm, proved, says }));
  else terminal.out(`${proved ? 'PROVED' : 'not proved'}: ${says}`);
  return proved ? EXIT.ok : EXIT.finding;
}

/** @throws {UsageError} for what is no URL of a service */
export function checkUrl(url: string): void {
  const { protocol, username, password, search, hash } = URL.canParse(url) ? new URL(url) : ({} as Partial<URL>);
  if (!protocol || !/^https?:$/.test(protocol) || username || password || search || hash)
    throw new UsageError('the URL is that of a service: https://host, without user, query or fragment');
}

async function policyOf({ vkey, policy }: TrustOptions): Promise<Policy> {
  if ((vkey.length === 0) === (policy === undefined))
    throw new UsageError('whom to trust: either --vkey <vkey> or --policy <file>');
  try {
    if (vkey.length > 0) return logsOnly(vkey.map(parseVerifierKey));
    const parsed = parsePolicy(await readFile(policy ?? ''));
    if (parsed.logs.length === 0) throw new UsageError('--policy: it names no log');
    return parsed;
  } catch (error) {
    if (error instanceof PolicyError) throw new UsageError(`--policy: ${error.message}`);
    if (error instanceof NoteError || error instanceof CheckpointError)
      throw new UsageError('--vkey: not the verifier key of a log (`rxledger log vkey` prints one)');
    throw error;
  }
}

/** @returns gives the token for entries; null when there is none */
function tokenOf(
  service: string,
  { clientId, key, audience, token }: FollowCommandOptions,
  clock: Clock,
  stop: AbortSignal,
): (() => Promise<string>) | null {
  if (audience !== undefined && clientId === undefined) throw new UsageError('--audience goes with --client-id');
  if (token !== undefined) {
    if (clientId !== undefined || key !== undefined)
      throw new UsageError('--token stands in the place of --client-id and --key');
    return tokenIn(token);
  }
  if (clientId === undefined && key === undefined) return null;
  if (clientId === undefined || key === undefined) throw new UsageError('--client-id and --key go together');
  const seed = loadKey(dirname(key), basename(key));
  if (!seed) throw new UsageError(`there is no ${key} (\`rxledger keys new machine\` makes one)`);
  const machine = new ClientToken(service, clientId, seed, clock, audience, stop);
  return () => machine.get();
}
