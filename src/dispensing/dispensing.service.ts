import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Accepted, RefusalException } from '../http/problem/problem.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor, CommandSignature, Decision, Idempotency, Outcome, Refusal } from '../ledger/model.js';
import type { Context } from '../prescription/context.js';
import type { DispenseClaimed } from '../prescription/events.js';
import { findDrug } from '../prescription/drugs/formulary.js';
import { prescriptionModel } from '../prescription/chain-models.js';
import type { Prescription } from '../prescription/state.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { heldIssue } from '../prescription/queries.js';
import { hashSecret, Secrets } from '../prescription/secrets.js';
import {
  type CloseNotDispensed,
  decideClaim,
  decideDispense,
  decideNotDispensed,
  decideRelease,
  mayRecoverSecret,
  type RecordDispense,
  type ReleaseClaim,
  unrelated,
} from './decide.js';
import { decideReverse, type ReverseDispense } from './decide-afterwards.js';

/** What the holder of an issue shows. */
export interface ShownClaim {
  readonly claimId: string;
  readonly issue: number;
  readonly secret: string;
}

export type NewDispense = Omit<RecordDispense, 'secretHash' | 'dispenseId' | 'whenHandedOver'> & {
  /** Null: one is made. */
  readonly dispenseId: string | null;
  /** Null: at the instant it is recorded. */
  readonly whenHandedOver: string | null;
};

/** What a pharmacy does with an order. Position 0 of every outcome is the prescription. */
@Injectable()
export class DispensingService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly access: PrescriptionAccess,
    private readonly secrets: Secrets,
  ) {}

  /** @param claimId that the caller proposes; undefined: one is made */
  async claim(
    actor: Actor,
    id: string,
    { token, claimId = randomUUID() }: { token: string | null; claimId?: string | undefined },
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    const tokenHash = token === null ? null : hashSecret(token);
    const secretHash = (issue: number) => hashSecret(this.secrets.claimSecret(id, issue, claimId));
    const command = { claimId, tokenHash, secretHash };
    const outcome = await this.commit(actor, id, idempotency, signature, (rx, ctx) => decideClaim(rx, command, ctx));
    return outcome.ok ? outcome : { ...outcome, refusal: asUnrelated(outcome.refusal, tokenHash) };
  }

  /**
   * One prescription, for a pharmacy that shows its token.
   * @throws {RefusalException} `claim.token-wrong`, also of an id that is none
   */
  async lookup(actor: Actor, id: string, token: string): Promise<Prescription> {
    const tokenHash = hashSecret(token);
    try {
      return (await this.access.read(id, actor, 'prescription.read', tokenHash)).state;
    } catch (error) {
      // A token opens nothing to anybody but a pharmacist.
      if (!(error instanceof RefusalException) || actor.role !== 'pharmacist') throw error;
      throw new RefusalException(asUnrelated(error.refusal, tokenHash));
    }
  }

  /** @returns the claim that an accepted `claim` made: of a repeated request, the one it made first */
  claimed(outcome: Accepted): ShownClaim {
    const event = outcome.events.find(({ type }) => type === 'dispense.claimed/1');
    if (!event) throw new Error('a claim was accepted and made no claim');
    const { issue, claimId } = event.data as DispenseClaimed['data'];
    return { claimId, issue, secret: this.secrets.claimSecret(event.chain, issue, claimId) };
  }

  /**
   * The claim that the actor's pharmacy holds, after a lost answer.
   * @throws {RefusalException} as if absent for a pharmacy that never held it; `claim.none`; `claim.not-holder`
   */
  async recover(actor: Actor, id: string): Promise<ShownClaim> {
    const { state } = await this.access.read(id, actor, 'claim.recover');
    const mine = mayRecoverSecret(state, actor);
    if (!mine) throw new RefusalException({ code: heldIssue(state) ? 'claim.not-holder' : 'claim.none', facts: {} });
    const { issue, claim } = mine;
    return { claimId: claim.claimId, issue, secret: this.secrets.claimSecret(id, issue, claim.claimId) };
  }

  release(
    actor: Actor,
    id: string,
    secret: string,
    reason: ReleaseClaim['reason'],
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    const command = { secretHash: hashSecret(secret), reason };
    return this.commit(actor, id, idempotency, signature, (rx, ctx) => decideRelease(rx, command, ctx));
  }

  dispense(
    actor: Actor,
    id: string,
    secret: string,
    said: NewDispense,
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    const secretHash = hashSecret(secret);
    const dispenseId = said.dispenseId ?? randomUUID();
    return this.commit(actor, id, idempotency, signature, (rx, ctx) => {
      const whenHandedOver = said.whenHandedOver ?? new Date(ctx.now).toISOString();
      return decideDispense(rx, { ...said, secretHash, dispenseId, whenHandedOver }, { ...ctx, findDrug });
    });
  }

  notDispensed(
    actor: Actor,
    id: string,
    secret: string,
    reason: CloseNotDispensed['reason'],
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    const command = { secretHash: hashSecret(secret), reason };
    return this.commit(actor, id, idempotency, signature, (rx, ctx) => decideNotDispensed(rx, command, ctx));
  }

  reverse(
    actor: Actor,
    id: string,
    command: ReverseDispense,
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    return this.commit(actor, id, idempotency, signature, (rx, ctx) => decideReverse(rx, command, ctx));
  }

  private commit(
    actor: Actor,
    id: string,
    idempotency: Idempotency | undefined,
    signature: CommandSignature | undefined,
    decide: (rx: Prescription, ctx: Context) => Decision,
  ): Promise<Outcome> {
    return this.writer.commit({
      actor,
      signature,
      chains: [{ id, model: prescriptionModel, mode: 'existing' }],
      ...(idempotency && { idempotency }),
      decide: ({ states, now }) => decide(states[0] as Prescription, { chain: id, now, actor }),
    });
  }
}

/** An id that is none is answered like an order to which the pharmacy has no relation. */
function asUnrelated(refusal: Refusal, tokenHash: string | null): Refusal {
  return refusal.code === 'ledger.chain-unknown' ? { code: unrelated(tokenHash), facts: {} } : refusal;
}
