import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { Clock } from '../../src/time/clock.js';
import { utf8 } from '../../src/ledger/core/bytes.js';
import { WitnessFolder } from '../../src/audit/witness/folder.js';
import { trustedLogs } from '../../src/audit/witness/logs.js';
import { type Answer, openWitnessKey, Witness } from '../../src/audit/witness/witness.js';

/** Answers `POST /add-checkpoint` (C2SP tlog-witness), given its body. */
export type Ask = (body: string) => Promise<Answer>;

/**
 * Runs the witness of that folder, as a process of its own would. A new folder makes a new witness.
 * @param vkeys of the only log that it knows; several while its key is being replaced
 * @param name of a new one
 */
export async function withWitness<T>(
  path: string,
  vkeys: readonly string[],
  use: (ask: Ask) => Promise<T>,
  name = 'witness.example',
): Promise<T> {
  const folder = new WitnessFolder(path);
  await folder.take();
  try {
    const key = await openWitnessKey(folder, existsSync(join(path, 'vkey')) ? undefined : name);
    const logs = trustedLogs(vkeys.map((vkey) => ({ vkey })));
    const witness = await Witness.open(folder, key, logs, new Clock(), pino({ level: 'silent' }));
    return await use((body) => witness.addCheckpoint(utf8(body)));
  } finally {
    await folder.release();
  }
}

/** Asks it once to cosign. */
export function submit(path: string, vkey: string | readonly string[], body: string): Promise<Answer> {
  return withWitness(path, [vkey].flat(), (ask) => ask(body));
}
