import { pino } from 'pino';
import { Clock } from '../../src/config/clock.js';
import { utf8 } from '../../src/ledger/core/bytes.js';
import { WitnessFolder } from '../../src/witness/folder.js';
import { trustedLogs } from '../../src/witness/logs.js';
import { type Answer, openWitnessKey, Witness } from '../../src/witness/witness.js';

/**
 * Asks the witness of that folder to cosign, as a process of its own would be asked. A new folder makes a new witness.
 * @param vkey of the only log that it knows; several while its key is being replaced
 * @param body of `POST /add-checkpoint` (C2SP tlog-witness)
 */
export async function submit(path: string, vkey: string | readonly string[], body: string): Promise<Answer> {
  const folder = new WitnessFolder(path);
  await folder.take();
  try {
    const key = await openWitnessKey(folder, 'witness.example');
    const logs = trustedLogs([vkey].flat().map((each) => ({ vkey: each })));
    const witness = await Witness.open(folder, key, logs, new Clock(), pino({ level: 'silent' }));
    return await witness.addCheckpoint(utf8(body));
  } finally {
    await folder.release();
  }
}
