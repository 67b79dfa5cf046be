import { Injectable } from '@nestjs/common';
import { NO_KEYS } from '../../ledger/log-chain/actor-keys.js';
import { LOG_CHAIN } from '../../ledger/core/record/entry.js';
import { type PublicJwk, thumbprint } from '../../ledger/core/record/public-key.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { LOG_REF, type LogChain, logModel } from '../../ledger/log-chain/log-chain.js';
import {
  type Actor,
  type Command,
  type CommandSignature,
  type Decision,
  type Idempotency,
  type Outcome,
  refuse,
} from '../../ledger/model.js';
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

  async enrol(
    actor: Actor,
    command: EnrolKey,
    idempotency: Idempotency | undefined,
    signature: CommandSignature | undefined,
  ): Promise<Outcome> {
    // Always signed: the new key has to show that its owner has it.
    const gone = (await this.revoked.all()).has(thumbprint(command.jwk));
    return this.commit(actor, idempotency, signature ?? null, (log) => {
      const decided = decideEnrol(log, command, actor);
      // Enrolled and revoked in what a restored backup does not know.
      return gone && !('refusal' in decided) ? refuse('actor-key.revoked') : decided;
    });
  }

  async revoke(
    actor: Actor,
    command: RevokeKey,
    idempotency: Idempotency | undefined,
    signature: CommandSignature | undefined,
  ): Promise<Outcome> {
    const outcome = await this.commit(actor, idempotency, signature, (log) => decideRevoke(log, command, actor));
    // Also where it was revoked before: that may not have been noted then.
    if (outcome.ok || outcome.refusal.code === 'actor-key.revoked') await this.revoked.note([command.kid]);
    return outcome;
  }

  /** Every key that the account ever enrolled, in the order of enrolment. */
  async list(account: string): Promise<KeyView[]> {
    const log = await this.reader.chain<LogChain>(LOG_CHAIN, logModel);
    const { keys } = log?.state.actorKeys ?? NO_KEYS;
    return Object.entries(keys).flatMap(([kid, key]) => (key.account === account ? [{ kid, jwk: key.jwk }] : []));
  }

  private commit(
    actor: Actor,
    idempotency: Idempotency | undefined,
    signature: Command['signature'],
    decide: (log: LogChain | null) => Decision,
  ): Promise<Outcome> {
    return this.writer.commit({
      // Everybody reads the log chain: it says which account, not whose colleague.
      actor: { ...actor, org: null, patient: null },
      chains: [LOG_REF],
      signature,
      decide: ({ states }) => decide(states[0] as LogChain | null),
      ...(idempotency && { idempotency }),
    });
  }
}
