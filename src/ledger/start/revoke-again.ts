import { type ActorKey, KEY_REVOKED, type KeyRevoked, NO_KEYS } from '../log-chain/actor-keys.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import type { IdFile } from '../store/id-file.js';
import type { LedgerReader } from '../ledger.reader.js';
import type { LedgerWriter } from '../ledger.writer.js';
import { LOG_REF, type LogChain, logModel } from '../log-chain/log-chain.js';
import { accept, firstState, refuse, SYSTEM } from '../model.js';
import { LedgerUnavailable, codeOf } from '../unavailable.js';

/** Revoked keys of actors, kept outside the database: a restored backup cannot bring them back. */
export class RevokedKeys {
  constructor(private readonly file: IdFile) {}

  /**
   * Resolves when the revocation is on disk. It MUST NOT be acknowledged before. A revocation that was committed but is
   * not in the file yet is written at the next start, or at the next call.
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
   * Runs at every start, before anything is served. A key that a restored backup put in force again is revoked again. A
   * revocation that only the log has is added to the file.
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
    decide: (view) => {
      const key: ActorKey | undefined = firstState(view, logModel)?.actorKeys.keys[kid];
      // Another process that started at the same moment was first.
      if (!key?.jwk) return refuse('actor-key.revoked');
      const data: KeyRevoked['data'] = { account: key.account, kid, reason: 'other' };
      const derived: KeyRevoked['derived'] = { by: 'restored' };
      return accept({ chain: LOG_CHAIN, type: KEY_REVOKED, data, derived });
    },
  });
}
