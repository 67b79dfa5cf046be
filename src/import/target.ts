import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../database/db.js';
import type { LedgerReader } from '../ledger/ledger.reader.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor } from '../ledger/model.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import type { Vault } from '../ledger/keys/vault.js';

/** The ledger that an import goes to. */
export interface ImportTarget {
  /** Without `side`, only events can be written: rows of organisations are not made (`rehearsal`). */
  readonly writer: Pick<LedgerWriter, 'commit'> & Partial<Pick<LedgerWriter, 'side'>>;
  readonly reader: LedgerReader;
  readonly db: Db;
  readonly vault: Vault;
}

/** The actor of imported history, which no account here has done. */
export const IMPORT_ACTOR: Actor = { id: 'import', role: 'system', org: null, patient: null };

/** Total attempts at a write while the ledger is unavailable. */
const ATTEMPTS = 6;

/**
 * A target that waits and retries while the ledger is away. A write that was recorded despite the error is found by its
 * outside name, so nothing is recorded twice.
 */
export function persistent({ writer, reader, db, vault }: ImportTarget, pause: typeof sleep = sleep): ImportTarget {
  async function often<T>(write: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await write();
      } catch (error) {
        if (!(error instanceof LedgerUnavailable) || attempt === ATTEMPTS) throw error;
        await pause(error.retryAfterSeconds * 1000);
      }
    }
  }
  const side: LedgerWriter['side'] | undefined = writer.side && ((job) => often(() => writer.side!(job)));
  return {
    writer: { commit: (command) => often(() => writer.commit(command)), ...(side && { side }) },
    reader,
    db,
    vault,
  };
}
