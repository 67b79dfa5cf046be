import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { type Recorded, recordOn } from '../http/write/record.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor, Decision } from '../ledger/model.js';
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

/** What a pharmacy says, with the claim secret itself in place of its hash. */
type WithSecret<T> = Omit<T, 'secretHash'> & { readonly secret: string };

export type NewDispense = WithSecret<Omit<RecordDispense, 'dispenseId' | 'whenHandedOver'>> & {
  /** Null: one is made. */
  readonly dispenseId: string | null;
  /** Null: at the instant it is recorded. */
  readonly whenHandedOver: string | null;
};

/** What a pharmacy does with an order. */
@Injectable()
export class DispensingService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly access: PrescriptionAccess,
    private readonly secrets: Secrets,
  ) {}

  /** @param claimId that the caller proposes; undefined: one is made */
  async claim(
    by: By,
    id: string,
    { token, claimId = randomUUID() }: { token: string | null; claimId?: string | undefined },
  ): Promise<Recorded<Prescription>> {
    const tokenHash = token === null ? null : hashSecret(token);
    const secretHash = (issue: number) => hashSecret(this.secrets.claimSecret(id, issue, claimId));
    return asUnrelated(tokenHash, () =>
      this.record(by, id, (rx, context) => decideClaim(rx, { claimId, tokenHash, secretHash }, context)),
    );
  }

  /**
   * One prescription, for a pharmacy that shows its token.
   * @throws {RefusalException} `claim.token-wrong`, also of an id that is none
   */
  async lookup(actor: Actor, id: string, token: string): Promise<Prescription> {
    const tokenHash = hashSecret(token);
    const read = async () => (await this.access.read(id, actor, 'prescription.read', tokenHash)).state;
    // A token opens nothing to anybody but a pharmacist.
    return actor.role === 'pharmacist' ? asUnrelated(tokenHash, read) : read();
  }

  /** @returns the claim that an accepted `claim` made: of a repeated request, the one it made first */
  claimed({ events }: Recorded<Prescription>): ShownClaim {
    const event = events.find(({ type }) => type === 'dispense.claimed/1');
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

  release(by: By, id: string, { secret, reason }: WithSecret<ReleaseClaim>): Promise<Recorded<Prescription>> {
    return this.record(by, id, (rx, context) => decideRelease(rx, { secretHash: hashSecret(secret), reason }, context));
  }

  dispense(by: By, id: string, { secret, ...said }: NewDispense): Promise<Recorded<Prescription>> {
    const secretHash = hashSecret(secret);
    const dispenseId = said.dispenseId ?? randomUUID();
    return this.record(by, id, (rx, context) => {
      const whenHandedOver = said.whenHandedOver ?? new Date(context.now).toISOString();
      return decideDispense(rx, { ...said, secretHash, dispenseId, whenHandedOver }, { ...context, findDrug });
    });
  }

  notDispensed(by: By, id: string, { secret, reason }: WithSecret<CloseNotDispensed>): Promise<Recorded<Prescription>> {
    return this.record(by, id, (rx, context) =>
      decideNotDispensed(rx, { secretHash: hashSecret(secret), reason }, context),
    );
  }

  reverse(by: By, id: string, command: ReverseDispense): Promise<Recorded<Prescription>> {
    return this.record(by, id, (rx, context) => decideReverse(rx, command, context));
  }

  private record(
    by: By,
    id: string,
    decide: (rx: Prescription, context: Context) => Decision,
  ): Promise<Recorded<Prescription>> {
    return recordOn(this.writer, by, prescriptionModel, id, decide);
  }
}

/** An id that is none is answered like an order to which the pharmacy has no relation. */
async function asUnrelated<T>(tokenHash: string | null, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof RefusalException && error.refusal.code === AS_IF_ABSENT.code)
      throw new RefusalException({ code: unrelated(tokenHash), facts: {} });
    throw error;
  }
}
