import { type ActorKey, KEY_REVOKED, type KeyRevoked, NO_KEYS } from '../log-chain/actor-keys.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import type { IdFile } from '../store/id-file.js';
import type { LedgerReader } from '../ledger.reader.js';
import type { LedgerWriter } from '../ledger.writer.js';
import { LOG_REF, type LogChain, logModel } from '../log-chain/log-chain.js';
import { accept, refuse, SYSTEM } from '../model.js';
import { LedgerUnavailable, codeOf } from '../unavailable.js';

/** Actors' keys that were revoked, remembered outside the database, where a restored backup does not bring them back. */
export class RevokedKeys {
  constructor(private readonly file: IdFile) {}

  /**
   * Resolves when the revocation is on the disk; it MUST NOT be acknowledged before. Committed and not yet there, it is
   * written there at the next start, or when this is asked again.
   * @throws {LedgerUnavailable}
   */
  async note(kids: readonly string[]): Promise<void> {
    try {
      await this.file.add(kids);
    } catch (error) {
      throw new LedgerUnavailable(`the file of revoked keys cannot be written (${codeOf(error)})`, 5);
    }
  }

  /** @throws {LedgerUnavailable} */
  async all(): Promise<ReadonlySet<string>> {
    try {
      return await this.file.read();
    } catch (error) {
      throw new LedgerUnavailable(`the file of revoked keys cannot be read (${codeOf(error)})`, 5);
    }
  }

  /**
   * At every start, before anything is served: a key that was revoked and is in force again, in a backup that was restored,
   * is revoked again; and what the log says alone is noted here, too.
   * @throws {LedgerUnavailable}
   */
  async revokeAgain(reader: LedgerReader, writer: LedgerWriter): Promise<void> {
    const log = await reader.chain<LogChain>(LOG_CHAIN, logModel);
    const known = Object.entries((log?.state.actorKeys ?? NO_KEYS).keys);
    const noted = await this.all();
    for (const [kid, { jwk }] of known) if (jwk !== null && noted.has(kid)) await revoke(writer, kid);
    await this.note(known.flatMap(([kid, { jwk }]) => (jwk === null ? [kid] : [])));
  }
}

/** @throws {LedgerUnavailable} */
async function revoke(writer: LedgerWriter, kid: string): Promise<void> {
  await writer.commit({
    actor: SYSTEM,
    chains: [LOG_REF],
    decide: ({ states }) => {
      const log = states[0] as LogChain | null;
      const key: ActorKey | undefined = log?.actorKeys.keys[kid];
      // Another process that starts at the same moment was first.
      if (!key?.jwk) return refuse('actor-key.revoked');
      const data: KeyRevoked['data'] = { account: key.account, kid, reason: 'other' };
      const derived: KeyRevoked['derived'] = { by: 'restored' };
      return accept({ chain: LOG_CHAIN, type: KEY_REVOKED, data, derived });
    },
  });
}
