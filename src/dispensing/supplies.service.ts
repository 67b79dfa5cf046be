import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { existing, record, type Recorded } from '../http/write/record.js';
import { type Action, may } from '../identity/guard/policy.js';
import { type ChainView, LedgerReader } from '../ledger/ledger.reader.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor, ChainRef, NamedChainRef } from '../ledger/model.js';
import { refuse } from '../ledger/model.js';
import { AccessLog } from '../patient/access-log.js';
import { patientModel } from '../patient/chain-model.js';
import type { OrderName } from '../prescription/events.js';
import { orderName, prescriptionModel, supplyModel } from '../prescription/chain-models.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { pageOfChains } from '../access/related-chains.js';
import { relationsToSupply } from '../access/relations.js';
import { decideReport, type ReportDispense, decideMatch } from './decide-afterwards.js';

export type NewReport = Omit<ReportDispense, 'dispenseId'> & {
  /** Null: one is made. */
  readonly dispenseId: string | null;
  /** Chain id that the caller proposes; absent: one is made. */
  readonly id?: string | undefined;
};

export interface ListSupplies {
  /** Chain number of the last item of the previous page. */
  readonly after?: number | undefined;
  readonly limit: number;
}

/** What was handed over outside a claim, and supplies that belong to no known order. */
@Injectable()
export class SuppliesService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly access: PrescriptionAccess,
    private readonly accessLog: AccessLog,
  ) {}

  /**
   * Records a dispense that already happened. It goes on the chain of the order that it names, and opens that chain when
   * nobody has named it yet. Without an order it opens a supply chain. A known order keeps its patient, whoever was named.
   */
  async report(by: By, { id = randomUUID(), ...said }: NewReport): Promise<Recorded<Prescription | Supply>> {
    const command: ReportDispense = { ...said, dispenseId: said.dispenseId ?? randomUUID() };
    const { order, patient } = command;
    const subject = patient === null ? { newSubject: randomUUID() } : { subject: patient };
    const target: ChainRef<Prescription | Supply> | NamedChainRef<Prescription | Supply> =
      order === null
        ? { id, model: supplyModel, mode: 'new', subject }
        : { name: orderName(order), otherwise: { id, model: prescriptionModel, mode: 'new', subject } };
    const named = patient === null ? [] : [existing(patientModel, patient)];
    try {
      return await record(this.writer, by, [target, ...named], ([state, ...patients], context) =>
        patients.every(({ enrolledAt }) => enrolledAt !== null)
          ? decideReport(state, command, context)
          : refuse('ledger.chain-unknown'),
      );
    } catch (error) {
      if (order && error instanceof RefusalException && 'statement' in error.refusal.facts)
        await this.recordAsked(by.actor, order);
      throw error;
    }
  }

  /** The statement to sign names the order's chain, by which whoever asks learns that there is such an order. */
  private async recordAsked(actor: Actor, order: OrderName): Promise<void> {
    const id = await this.reader.byName(orderName(order));
    const view = id === null ? null : await this.reader.chain(id, prescriptionModel);
    if (view?.state.order) this.accessLog.record(actor, 'dispense.report', view.subject, [view.id]);
  }

  /** @throws {RefusalException} `ledger.chain-unknown` when there is none or the actor has no relation to it */
  async read(id: string, actor: Actor): Promise<ChainView<Supply>> {
    const view = await this.reader.chain(id, supplyModel);
    if (!view || !mayRead(actor, view)) throw new RefusalException(AS_IF_ABSENT);
    this.record(actor, 'supply.read', [view]);
    return view;
  }

  /** A pharmacy's own reports, a patient's own supplies, newest first. */
  async list(actor: Actor, { after, limit }: ListSupplies): Promise<{ items: Supply[]; next: string | null }> {
    const page = pageOfChains(actor, 'supply.read', 'supply', { after, limit });
    if (!page) return { items: [], next: null };
    const rows = await this.db.query<{ chain: number }>(page.text, page.values);
    const views = await this.reader.chains(
      rows.map(({ chain }) => chain),
      supplyModel,
    );
    const readable = views.filter((view) => mayRead(actor, view));
    this.record(actor, 'supply.read', readable);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return { items: readable.map(({ state }) => state), next: last ? String(last.chain) : null };
  }

  /**
   * Says that a supply was for this prescription; it is then its patient's.
   * @throws {RefusalException} `ledger.chain-unknown` when the actor may not read the prescription
   */
  async match(by: By, id: string, prescription: string): Promise<Recorded<Supply>> {
    const { state } = await this.access.read(prescription, by.actor, 'prescription.read');
    if (!state.order) throw new RefusalException(AS_IF_ABSENT);
    const theirs = { subject: { subject: state.order.patient }, adopt: true } as const;
    return record(
      this.writer,
      by,
      [{ ...existing(supplyModel, id), ...theirs }, existing(prescriptionModel, prescription)],
      ([supply, rx], context) => decideMatch(supply, rx, context),
    );
  }

  /** A provisional patient has no chain on which to record it. */
  private record(actor: Actor, action: Action, views: readonly ChainView<Supply>[]): void {
    for (const { id, subject, state } of views) {
      if (state.patient !== null || state.matchedTo !== null) this.accessLog.record(actor, action, subject, [id]);
    }
  }
}

function mayRead(actor: Actor, { state, subject }: ChainView<Supply>): boolean {
  return may(actor.role, 'supply.read', relationsToSupply(state, actor, subject));
}
