import type { JsonObject } from '../ledger/core/record/event.js';
import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { type Recorded, recordOn } from '../http/write/record.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor } from '../ledger/model.js';
import { may } from '../identity/guard/policy.js';
import { AccessLog } from '../patient/access-log.js';
import { decideResolve, type ResolveDiscrepancy } from '../patient/decide.js';
import { patientModel } from '../patient/chain-model.js';
import type { Discrepancy, DiscrepancyState, Patient } from '../patient/state.js';

/** A discrepancy as one organisation sees it. */
export type DiscrepancyView = {
  id: string;
  /** Id of the patient, or of a provisional patient not matched yet; null for a pharmacy that has only reported. */
  patient: string | null;
  /** Prescription or supply that it is about. */
  about: string;
  class: Discrepancy['class'];
  side: Discrepancy['side'];
  status: DiscrepancyState['status'];
  openedAt: string;
  resolvedAt: string | null;
  resolution: DiscrepancyState['resolution'];
  /** What was compared; for a pharmacy that has only reported `{dispenses}`, the ids of its own. */
  evidence: JsonObject;
};

export type DiscrepancyPage = { items: DiscrepancyView[]; next: string | null };

export type ListDiscrepancies = {
  readonly status?: DiscrepancyState['status'];
  /** `next` of the page before. */
  readonly after?: string;
  readonly limit: number;
};

type Found = { chain: number; id: string; opened_at: number };

@Injectable()
export class DiscrepancyService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly accessLog: AccessLog,
  ) {}

  /** What concerns the actor's organisation or its reports, newest first; nothing for an actor whom none can concern. */
  async list(actor: Actor, { status, after, limit }: ListDiscrepancies): Promise<DiscrepancyPage> {
    const { org } = actor;
    if (org === null || !may(actor.role, 'discrepancy.list', ['concerned'])) return { items: [], next: null };
    const position = after === undefined ? null : parsePosition(after);
    const found = await this.reader.db.query<Found>(
      `SELECT d.chain, d.id, d.opened_at FROM discrepancy_org o JOIN discrepancy_row d ON d.chain = o.chain AND d.id = o.id
       WHERE o.org = ? ${status === undefined ? '' : 'AND d.status = ?'}
         ${position === null ? '' : 'AND (d.opened_at, d.chain, d.id) < (?, ?, ?)'}
       ORDER BY d.opened_at DESC, d.chain DESC, d.id DESC LIMIT ?`,
      [org, ...(status === undefined ? [] : [status]), ...(position ?? []), limit],
    );
    const chains = await this.reader.chains([...new Set(found.map(({ chain }) => chain))], patientModel);
    const patients = new Map(chains.map(({ number, state }) => [number, state]));
    const items = found.flatMap(({ chain, id }) => {
      const patient = patients.get(chain);
      const view = patient && viewOf(patient, id, org);
      if (!view) return [];
      this.accessLog.record(actor, 'discrepancy.list', patient.id, [view.about]);
      return [view];
    });
    const last = found.length === limit ? found.at(-1) : undefined;
    return { items, next: last ? `${last.opened_at}.${last.chain}.${last.id}` : null };
  }

  /** What a person of a side that it concerns says became of it. */
  async resolve(by: By, patient: string, command: ResolveDiscrepancy): Promise<Recorded<Patient>> {
    try {
      return await recordOn(this.writer, by, patientModel, patient, (state, context) =>
        decideResolve(state, command, context),
      );
    } catch (error) {
      // Whether there is such a patient is nobody's business whom it does not concern.
      if (error instanceof RefusalException && error.refusal.code === AS_IF_ABSENT.code)
        throw new RefusalException({ code: 'discrepancy.unknown', facts: {} });
      throw error;
    }
  }
}

/** @returns the discrepancy of that id as the organisation may see it; null when there is none for it */
export function viewOf(patient: Patient, id: string, org: string): DiscrepancyView | null {
  const found = patient.discrepancies.find((discrepancy) => discrepancy.id === id);
  if (!found) return null;
  const { chain: about, class: kind, side, status, openedAt, resolvedAt, resolution, evidence } = found;
  const seen = { id, about, class: kind, side, status, openedAt, resolvedAt, resolution };
  if (found.orgs.includes(org)) return { ...seen, patient: patient.id, evidence };
  const own = found.reporters.find((reporter) => reporter.org === org);
  return own ? { ...seen, patient: null, evidence: { dispenses: own.dispenses } } : null;
}

/** `<opened at>.<chain number>.<id>`; a position that is none starts at the beginning. */
export const POSITION = /^(\d{1,15})\.(\d{1,15})\.(.{1,60})$/;

function parsePosition(text: string): [number, number, string] | null {
  const match = POSITION.exec(text);
  return match ? [Number(match[1]), Number(match[2]), match[3] ?? ''] : null;
}
