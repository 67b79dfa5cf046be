import { Injectable } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import { type Action, may, type Relation } from '../identity/guard/policy.js';
import { type ChainView, LedgerReader } from '../ledger/ledger.reader.js';
import { ReadDb } from '../ledger/read/read-db.js';
import type { Actor } from '../ledger/model.js';
import { AccessLog } from '../patient/access-log.js';
import { patientModel } from '../patient/chain-model.js';
import { prescriptionModel } from '../prescription/chain-models.js';
import type { Prescription } from '../prescription/state.js';
import { type Filter, ofPatient, pageOfChains } from './related-chains.js';
import { isGranted, relationsTo } from './relations.js';

export interface ListPrescriptions {
  readonly status?: string | undefined;
  readonly issueStatus?: string | undefined;
  /** Chain number of the last item of the previous page. */
  readonly after?: number | undefined;
  readonly limit: number;
  /** One patient only. */
  readonly patient?: string | undefined;
}

/** Reads prescriptions for people: checks their relation to each, and records who read. */
@Injectable()
export class PrescriptionAccess {
  constructor(
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly accessLog: AccessLog,
    private readonly clock: Clock,
  ) {}

  /**
   * @param tokenHash of a token that the actor showed; a wrong one of a pharmacist is refused whatever the relation
   * @throws {RefusalException} `ledger.chain-unknown` when there is none or the actor has no relation to it
   */
  async read(
    id: string,
    actor: Actor,
    action: Action,
    tokenHash: string | null = null,
  ): Promise<ChainView<Prescription>> {
    const view = await this.reader.chain(id, prescriptionModel);
    if (!view) throw new RefusalException(AS_IF_ABSENT);
    const tokenWrong = tokenHash !== null && tokenHash !== view.state.order?.tokenHash;
    if (tokenWrong && actor.role === 'pharmacist') throw new RefusalException(AS_IF_ABSENT);
    const relations: Relation[] = relationsTo(view.state, actor, tokenHash);
    const patient = view.state.order?.patient ?? null;
    if (!may(actor.role, action, relations) && patient !== null && (await this.isGranted(actor, patient)))
      relations.push('granted');
    if (!may(actor.role, action, relations)) throw new RefusalException(AS_IF_ABSENT);
    if (patient !== null) this.accessLog.record(actor, action, patient, [id]);
    return view;
  }

  /** Whether break-glass of this actor still runs. */
  private async isGranted(actor: Actor, patient: string): Promise<boolean> {
    const view = await this.reader.chain(patient, patientModel);
    return view !== null && isGranted(view.state, actor, this.clock.now());
  }

  /** What each role starts from, newest first: a practice what it issued, a pharmacy what it holds, held or is nominated for, a patient their own. */
  async list(
    actor: Actor,
    { status, issueStatus, after, limit, patient }: ListPrescriptions,
  ): Promise<{ items: Prescription[]; next: string | null }> {
    const filters: Filter[] = [];
    if (status !== undefined) filters.push({ column: 'order_status', value: status });
    if (issueStatus !== undefined) filters.push({ column: 'issue_status', value: issueStatus });
    if (patient !== undefined) filters.push(ofPatient(patient));
    const page = pageOfChains(actor, 'prescription.list', 'prescription', { after, limit, filters });
    if (!page) return { items: [], next: null };
    const rows = await this.db.query<{ chain: number }>(page.text, page.values);
    const views = await this.reader.chains(
      rows.map(({ chain }) => chain),
      prescriptionModel,
    );
    const readable = views.filter(({ state }) => may(actor.role, 'prescription.read', relationsTo(state, actor)));
    for (const { id, state } of readable) {
      if (state.order) this.accessLog.record(actor, 'prescription.list', state.order.patient, [id]);
    }
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return { items: readable.map(({ state }) => state), next: last ? String(last.chain) : null };
  }
}
