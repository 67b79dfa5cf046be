import { bareSubjects, dropBareSubjects, emptyWal, forgetRequests } from '../../ledger/upkeep/complete-erasures.js';
import type { Ledger } from '../../ledger/start/open-ledger.js';
import { existingLedger, withLedger } from '../ledger/open-log.js';
import { type CommonOptions, EXIT, type ExitCode, ProgressLine, type Terminal } from '../terminal.js';

export interface RotateEncryptionOptions extends CommonOptions {
  readonly destroyOld?: boolean;
}

/** Subject keys rewrapped in one transaction; others can write between two of them. */
const CHUNK = 500;

/**
 * `rxledger keys rotate-encryption`: makes a new key-encryption key and rewraps all subject keys under it. The service
 * may run meanwhile.
 */
export async function runRotateEncryption(options: RotateEncryptionOptions, terminal: Terminal): Promise<ExitCode> {
  const line = new ProgressLine(terminal, options);
  const config = await existingLedger(terminal);
  return withLedger(config, terminal, async (ledger) => {
    let rewrapped = 0;
    const count = (more: number): void => {
      rewrapped += more;
      line.show(() => `rewrapping: ${rewrapped} subject keys`);
    };
    const kek = ledger.vault.keks.add();
    let destroyed: string[] = [];
    let emptied: boolean | null = true;
    const { writer, vault, db: reading } = ledger;
    const bare = options.destroyOld ? await bareSubjects(reading) : [];
    await rewrap(ledger, count);
    if (options.destroyOld) {
      await writer.side((db) => vault.keks.retireOld(db));
      // Rewraps keys that were written under an old key until that moment.
      await rewrap(ledger, count);
      await writer.side((db) => dropBareSubjects(db, bare));
      await forgetRequests(reading, vault, writer);
      destroyed = await writer.side((db) => vault.keks.destroyOld(db));
      emptied = await emptyWal(config);
    }
    line.done();
    if (options.json) terminal.out(JSON.stringify({ kek, rewrapped, destroyed, emptied }));
    else for (const words of inWords(kek, rewrapped, destroyed, emptied)) terminal.out(words);
    return emptied === false ? EXIT.finding : EXIT.ok;
  });
}

async function rewrap({ writer, vault }: Ledger, count: (more: number) => void): Promise<void> {
  for (;;) {
    const done = await writer.side((db) => vault.rewrapSubjects(db, CHUNK));
    if (done === 0) return;
    count(done);
  }
}

const LEFT_IN_FILES = {
  false: ['somebody reads the database: deleted rows stand in its write-ahead log until this is run again'],
  null: [
    'PostgreSQL keeps what was deleted, encrypted or hashed, in its tables until VACUUM FULL and in its write-ahead log',
    '  (pg_wal and archives) until that is written over: both are yours to do',
  ],
  true: [],
} as const;

function inWords(kek: string, rewrapped: number, destroyed: readonly string[], emptied: boolean | null): string[] {
  return [
    `key-encryption key ${kek} wraps from now on; ${rewrapped} subject keys rewrapped`,
    destroyed.length > 0
      ? `destroyed: ${destroyed.join(', ')}; copies of them in backups of the keys folder are yours to destroy. No backup of the database from before opens any more: take a new one`
      : 'older key-encryption keys are still there: no erasure is complete before they are destroyed (--destroy-old)',
    ...LEFT_IN_FILES[`${emptied}`],
  ];
}
