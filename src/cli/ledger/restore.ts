import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Clock } from '../../time/clock.js';
import { existingLedger } from './open-log.js';
import { Replica } from '../../audit/follow/replica/replica.js';
import { httpFiles, SourceError } from '../../audit/follow/source.js';
import { FollowFolderError } from '../../audit/follow/chain-ends.js';
import type { FetchFile } from '../../ledger/core/tlog/log-client.js';
import { parseTilePath } from '../../ledger/core/tlog/tiles.js';
import { type Restored, restoreLog } from '../../ledger/upkeep/restore.js';
import { RestoreRefused } from '../../ledger/upkeep/lost-part.js';
import { tokenIn } from '../keys/client-token.js';
import { checkUrl } from '../audit/trust.js';
import { payloadsIn } from './payload-files.js';
import {
  type CommonOptions,
  EnvironmentError,
  EXIT,
  type ExitCode,
  sentence,
  ProgressLine,
  type Terminal,
  UsageError,
} from '../terminal.js';

export interface RestoreOptions extends CommonOptions {
  /** Folder or URL. */
  readonly replica?: string;
  readonly payloads: readonly string[];
  /** File of an access token. */
  readonly token?: string;
}

/** `rxledger log restore`: restores the lost entries of a log from copies that others kept. */
export async function runRestore(options: RestoreOptions, terminal: Terminal): Promise<ExitCode> {
  const config = await existingLedger(terminal);
  const { payloads, token } = options;
  for (const file of token === undefined ? payloads : [...payloads, token])
    if (!existsSync(file)) throw new EnvironmentError(`there is no ${file}`);
  const sources = { replica: await filesOf(options), payloads: payloadsIn(payloads) };
  const line = new ProgressLine(terminal, options);
  try {
    const restored = await restoreLog(config, new Clock(), CHAIN_MODELS, sources, {
      report: (event, detail) => terminal.err(`${event} ${JSON.stringify(detail)}`),
      progress: ({ step, done, total }) => line.show(() => `${step}: ${done} of ${total}`),
    });
    line.done();
    if (options.json) terminal.out(JSON.stringify(inJson(restored)));
    else for (const words of inWords(restored)) terminal.out(words);
    return restored.verified.ok ? EXIT.ok : EXIT.finding;
  } catch (error) {
    line.done();
    if (error instanceof SourceError) throw new EnvironmentError(`the replica: ${error.message}`);
    if (!(error instanceof RestoreRefused)) throw error;
    const { message, missing, written } = error;
    if (options.json) terminal.out(JSON.stringify({ refused: message, missing, written }));
    else
      terminal.err(
        `${sentence(message)} ${written === 0 ? 'Nothing was' : `${written} of the lost entries were`} written.`,
      );
    return EXIT.finding;
  }
}

/** @throws {UsageError} when it is neither a replica's folder nor a URL */
async function filesOf({ replica, token, payloads }: RestoreOptions): Promise<FetchFile | null> {
  if (replica === undefined) {
    if (payloads.length === 0) throw new UsageError('--payloads or --replica: where what was lost is');
    return null;
  }
  if (/^https?:/i.test(replica)) {
    checkUrl(replica);
    return httpFiles(replica, token === undefined ? null : tokenIn(token));
  }
  if (token !== undefined) throw new UsageError('--token is for the URL of a service');
  // `follow --dir <folder> --replica` keeps the replica in a folder below.
  const folder = [join(replica, 'log'), replica].find((one) => existsSync(join(one, 'checkpoint')));
  if (folder === undefined)
    throw new EnvironmentError(
      existsSync(replica) ? `--replica: ${replica} holds no replica` : `there is no ${replica}`,
    );
  try {
    return replicaFiles(await Replica.open(folder));
  } catch (error) {
    if (error instanceof FollowFolderError) throw new EnvironmentError(`${folder}: ${error.message}`);
    throw error;
  }
}

/** The files in a replica's folder, each checked when it is read. */
export function replicaFiles(replica: Replica): FetchFile {
  return async (path) => {
    if (path === 'checkpoint') {
      const note = replica.checkpoint();
      return note === null ? null : Buffer.from(note);
    }
    const tile = parseTilePath(path);
    return tile && replica.read(tile);
  };
}

function inJson({ log, vkey, before, size, verified }: Restored) {
  const { ok, tampered, missing, findings } = verified;
  return { log, vkey, before, size, restored: size - before, verified: ok, tampered, missing, findings };
}

function inWords({ log, before, size, verified }: Restored): string[] {
  const { ok, entries, payloads, tampered, missing } = verified;
  return [
    `${log} has its ${size} entries again: ${size - before} were brought back`,
    ok
      ? `verified: ${entries} entries, ${payloads} payloads`
      : `it does NOT verify: ${tampered} tampered, ${missing} missing (\`rxledger log verify\` says where)`,
    'accounts, organisations, clients and remembered requests since the backup are not in the log and stay lost',
    'accounts and clients that were disabled since, and keys of clients that were replaced, are in force again: end them again',
  ];
}
