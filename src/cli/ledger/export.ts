import { createWriteStream, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { once } from 'node:events';
import { Config } from '../../config/config.js';
import { dbOf } from '../../database/db.js';
import { exportLog } from '../../ledger/verify/export.js';
import { readKeyHistory } from '../../ledger/read/key-history.js';
import { Vault } from '../../ledger/keys/vault.js';
import { type OpenLog, withLog } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, ProgressLine, type Terminal } from '../terminal.js';

export interface ExportOptions extends CommonOptions {
  readonly out?: string;
  readonly withPayloads?: boolean;
}

/** `rxledger log export`: one consistent snapshot of the whole log, written while others write to it. */
export async function runExport(options: ExportOptions, terminal: Terminal): Promise<ExitCode> {
  const config = Config.parse(terminal.env);
  const folder = options.out === undefined ? null : dirname(options.out);
  if (folder !== null && !existsSync(folder))
    throw new EnvironmentError(`there is no ${folder}: nothing was exported. Make the folder, or name another`);
  return withLog(config, async ({ source, head }) => {
    const { first } = await readKeyHistory(dbOf(source), head.origin);
    const vault = options.withPayloads ? Vault.openExisting(config.keysDir, first) : null;
    if (options.withPayloads && !vault) throw new EnvironmentError(`there are no keys in ${config.keysDir}`);
    if (vault) terminal.err('The export holds what happened in the clear: keep it as you keep health records.');
    const lines = counted(exportLog(source, vault), head, new ProgressLine(terminal, options));
    if (options.out === undefined) {
      await write(lines, terminal.stdout);
      return EXIT.ok;
    }
    const size = await writeFile(lines, options.out);
    const answer = { log: head.origin, size, file: options.out, payloads: vault !== null };
    terminal.out(options.json ? JSON.stringify(answer) : `${size} entries of ${head.origin} written to ${options.out}`);
    return EXIT.ok;
  });
}

async function* counted(
  lines: AsyncGenerator<string>,
  head: OpenLog['head'],
  progress: ProgressLine,
): AsyncGenerator<string> {
  let written = -1;
  for await (const line of lines) {
    written += 1;
    progress.show(() => `exporting: ${written} of ${head.size} entries`);
    yield line;
  }
  progress.done();
}

/** @returns the number of entries */
async function writeFile(lines: AsyncGenerator<string>, path: string): Promise<number> {
  // Written under another name first, so that an interrupted export is not taken for a complete one.
  const draft = `${path}.part`;
  let written = -1;
  async function* text(): AsyncGenerator<string> {
    for await (const line of lines) {
      written += 1;
      yield `${line}\n`;
    }
  }
  try {
    await pipeline(text, createWriteStream(draft, { mode: 0o600 }));
    await rename(draft, path);
    return written;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function write(lines: AsyncGenerator<string>, stream: NodeJS.WritableStream): Promise<void> {
  for await (const line of lines) {
    if (!stream.write(`${line}\n`)) await once(stream, 'drain');
  }
}
