import { Injectable } from '@nestjs/common';
import { RefusalException } from '../../http/problem/problem.js';
import type { By } from '../../http/write/by.js';
import { record, type Recorded } from '../../http/write/record.js';
import { NO_KEYS } from '../../ledger/log-chain/actor-keys.js';
import { LOG_CHAIN } from '../../ledger/core/record/entry.js';
import { type PublicJwk, thumbprint } from '../../ledger/core/record/public-key.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { LOG_REF, type LogChain, logModel } from '../../ledger/log-chain/log-chain.js';
import { type Command, type Decision, refuse } from '../../ledger/model.js';
import { RevokedKeys } from '../../ledger/start/revoke-again.js';
import { decideEnrol, decideRevoke, type EnrolKey, type RevokeKey } from './decide.js';

export interface KeyView {
  readonly kid: string;
  /** Null once it is revoked. */
  readonly jwk: PublicJwk | null;
}

@Injectable()
export class ActorKeysService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly revoked: RevokedKeys,
  ) {}

  async enrol(by: By, command: EnrolKey): Promise<Recorded<LogChain>> {
    const gone = (await this.revoked.all()).has(thumbprint(command.jwk));
    // Null gets a refusal, since an enrolment must be signed to prove possession of the key.
    return this.record(by, by.signature ?? null, (log) => {
      const decided = decideEnrol(log, command, by.actor);
      // The key was enrolled and revoked after the backup that was restored.
      return gone && !('refusal' in decided) ? refuse('actor-key.revoked') : decided;
    });
  }

  async revoke(by: By, command: RevokeKey): Promise<Recorded<LogChain>> {
    try {
      const revoked = await this.record(by, by.signature, (log) => decideRevoke(log, command, by.actor));
      await this.revoked.note([command.kid]);
      return revoked;
    } catch (error) {
      // It was revoked before, but perhaps not written to the file of revoked keys.
      if (error instanceof RefusalException && error.refusal.code === 'actor-key.revoked')
        await this.revoked.note([command.kid]);
      throw error;
    }
  }

  /** Every key that the account ever enrolled, in the order of enrolment. */
  async list(account: string): Promise<KeyView[]> {
    const log = await this.reader.chain<LogChain>(LOG_CHAIN, logModel);
    const { keys } = log?.state.actorKeys ?? NO_KEYS;
    return Object.entries(keys).flatMap(([kid, key]) => (key.account === account ? [{ kid, jwk: key.jwk }] : []));
  }

  private record(
    { actor, idempotency }: By,
    signature: Command['signature'],
    decide: (log: LogChain | null) => Decision,
  ): Promise<Recorded<LogChain>> {
    // The log chain is public: it names the account, but not its organisation.
    const alone = { ...actor, org: null, patient: null };
    return record(this.writer, { actor: alone, idempotency, signature }, [LOG_REF], ([log]) => decide(log));
  }
}
