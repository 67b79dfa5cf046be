import { isKeyName } from '../../ledger/core/tlog/note.js';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { createLogger, logStream } from '../../config/logging.js';
import { WitnessFolder, WitnessFolderError } from '../../audit/witness/folder.js';
import { type LogEntry, LogListError, parseLogList, trustedLogs } from '../../audit/witness/logs.js';
import { createWitnessServer } from '../../audit/witness/server.js';
import { openWitnessKey, Witness } from '../../audit/witness/witness.js';
import { contentOf } from '../files.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

export interface WitnessOptions extends CommonOptions {
  readonly dir: string;
  readonly name?: string;
  /** Verifier keys of logs whose origin is the key's name. */
  readonly log: readonly string[];
  /** A file in the format logs/v0. */
  readonly logs?: string;
  readonly host: string;
  readonly port: number;
  readonly printVkey?: boolean;
}

/** `rxledger witness run`: cosigns checkpoints until a signal ends it. */
export async function runWitness(options: WitnessOptions, terminal: Terminal): Promise<ExitCode> {
  const { dir, name, host, port, json } = options;
  if (name !== undefined && !isKeyName(name))
    throw new UsageError('a name has no space, no plus, no control character');
  const logs = await readLogs(options);
  if (logs.size === 0 && !options.printVkey) throw new UsageError('no log to witness: --log <vkey> or --logs <file>');
  const folder = new WitnessFolder(dir);
  try {
    // A running witness has locked its folder; its key can be printed even then.
    if (!options.printVkey || (await folder.read('vkey')) === null) await folder.take();
    const key = await openWitnessKey(folder, name);
    if (options.printVkey) {
      terminal.out(json ? JSON.stringify({ witness: key.verifier.name, vkey: key.vkey }) : key.vkey);
      return EXIT.ok;
    }
    const logger = createLogger(Config.parse(terminal.env), logStream(2));
    const witness = await Witness.open(folder, key, logs, new Clock(), logger);
    const server = createWitnessServer(witness, logger);
    const stopped = new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
    const address = await server.listen({ host, port });
    if (json) terminal.out(JSON.stringify({ address, vkey: key.vkey, logs: [...logs.keys()] }));
    else {
      terminal.out(`witness ${key.verifier.name} listens on ${address}`);
      terminal.out(`  key: ${key.vkey}`);
      for (const origin of logs.keys()) terminal.out(`  log: ${origin}`);
    }
    await stopped;
    logger.info('shutting down');
    await server.close();
    return EXIT.ok;
  } catch (error) {
    if (error instanceof WitnessFolderError) throw new EnvironmentError(`${dir}: ${error.message}`);
    throw error;
  } finally {
    await folder.release();
  }
}

async function readLogs({ log, logs: file }: WitnessOptions) {
  const entries: LogEntry[] = log.map((vkey) => ({ vkey }));
  try {
    if (file !== undefined) entries.push(...parseLogList((await contentOf(file)).toString()));
    return trustedLogs(entries);
  } catch (error) {
    if (error instanceof LogListError) throw new UsageError(error.message);
    throw error;
  }
}
