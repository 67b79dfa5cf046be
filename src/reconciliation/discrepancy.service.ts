import type { JsonObject } from '../ledger/core/record/event.js';
import { ReadDb } from '../ledger/read/read-db.js';
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
import { isPatientEvent } from '../patient/evolve.js';
import type { Discrepancy, DiscrepancyOpened, DiscrepancyState, Patient } from '../patient/state.js';

/** A discrepancy as one organisation sees it. */
export type DiscrepancyView = {
  id: string;
  /** Id of the patient, or of a provisional patient not matched yet; null for a pharmacy that only reported. */
  patient: string | null;
  /** Prescription or supply that it is about. */
  about: string;
  class: Discrepancy['class'];
  side: Discrepancy['side'];
  status: DiscrepancyState['status'];
  openedAt: string;
  resolvedAt: string | null;
  resolution: DiscrepancyState['resolution'];
  /** Compared values. A pharmacy that only reported gets `{dispenses}`, the ids of its own. */
  evidence: JsonObject;
};

export type DiscrepancyPage = { items: DiscrepancyView[]; next: string | null };

export type ListDiscrepancies = {
  readonly status?: DiscrepancyState['status'];
  /** `next` of the previous page. */
  readonly after?: string;
  readonly limit: number;
};

type Found = {
  chain: number;
  id: string;
  status: DiscrepancyState['status'];
  opened_at: number;
  resolved_at: number | null;
  resolution: DiscrepancyState['resolution'];
  about: string;
  class: Discrepancy['class'];
  side: Discrepancy['side'];
  /** Log index of the event that opened it. */
  idx: number;
};

@Injectable()
export class DiscrepancyService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly accessLog: AccessLog,
  ) {}

  /**
   * The discrepancies that concern the actor's organisation or its reports, newest first. Empty for an actor who has no
   * organisation or may not list any.
   */
  async list(actor: Actor, { status, after, limit }: ListDiscrepancies): Promise<DiscrepancyPage> {
    const { org } = actor;
    if (org === null || !may(actor.role, 'discrepancy.list', ['concerned'])) return { items: [], next: null };
    const position = after === undefined ? null : parsePosition(after);
    const found = await this.db.query<Found>(
      `SELECT o.chain, o.id, o.status, o.opened_at, o.resolved_at, o.resolution, d.about, d.class, d.side, e.idx
       FROM discrepancy_org o JOIN discrepancy_row d ON d.chain = o.chain AND d.id = o.id
       JOIN entry e ON e.chain = o.chain AND e.seq = o.seq
       WHERE o.org = ? ${status === undefined ? '' : 'AND o.status = ?'}
         ${position === null ? '' : 'AND (o.opened_at, o.chain, o.id) < (?, ?, ?)'}
       ORDER BY o.opened_at DESC, o.chain DESC, o.id DESC LIMIT ?`,
      [org, ...(status === undefined ? [] : [status]), ...(position ?? []), limit],
    );
    const chains = await this.reader.chains([...new Set(found.map(({ chain }) => chain))], patientModel);
    const patients = new Map(chains.map(({ number, state }) => [number, state]));
    const past = await this.past(found.filter(({ chain, id }) => !isInState(patients.get(chain), id, org)));
    const items = found.flatMap((row) => {
      const patient = patients.get(row.chain);
      if (!patient) return [];
      const event = past.get(row.idx);
      const view = viewOf(patient, row.id, org) ?? (event ? viewOfPast(row, event, org) : null);
      if (!view) return [];
      this.accessLog.record(actor, 'discrepancy.list', patient.id, [view.about]);
      return [view];
    });
    const last = found.length === limit ? found.at(-1) : undefined;
    return { items, next: last ? `${last.opened_at}.${last.chain}.${last.id}` : null };
  }

  /** The opening events, by log index, of discrepancies that have left their patient's state. */
  private async past(rows: readonly Found[]): Promise<Map<number, DiscrepancyOpened>> {
    const events = await this.reader.eventsAt(rows.map(({ idx }) => idx));
    return new Map(
      events.flatMap((event) =>
        isPatientEvent(event) && event.type === 'discrepancy.opened/1' ? [[event.index, event] as const] : [],
      ),
    );
  }

  /**
   * The resolution of a discrepancy that has left its patient's state; null when it is not in the organisation's list.
   */
  private async pastResolution({ org }: Actor, patient: string, id: string): Promise<string | null> {
    const [row] = await this.db.query<{ resolution: string | null }>(
      `SELECT o.resolution FROM chain c JOIN discrepancy_org o ON o.chain = c.num
       WHERE c.id = ? AND o.id = ? AND o.org = ? AND o.status = 'resolved'`,
      [patient, id, org],
    );
    return row?.resolution ?? null;
  }

  /** Records the resolution that a person of one of the concerned sides gives. */
  async resolve(by: By, patient: string, command: ResolveDiscrepancy): Promise<Recorded<Patient>> {
    try {
      return await recordOn(this.writer, by, patientModel, patient, (state, context) =>
        decideResolve(state, command, context),
      );
    } catch (error) {
      // An actor who is not concerned must not learn whether the patient exists.
      const code = error instanceof RefusalException ? error.refusal.code : null;
      if (code === AS_IF_ABSENT.code) throw new RefusalException({ code: 'discrepancy.unknown', facts: {} });
      const resolution =
        code === 'discrepancy.unknown' ? await this.pastResolution(by.actor, patient, command.id) : null;
      if (resolution) throw new RefusalException({ code: 'discrepancy.already-resolved', facts: { resolution } });
      throw error;
    }
  }
}

/** @returns the discrepancy with that id as the organisation may see it; null when it may see none */
export function viewOf(patient: Patient, id: string, org: string): DiscrepancyView | null {
  const found = patient.discrepancies.find((discrepancy) => discrepancy.id === id);
  if (!found) return null;
  const { chain: about, class: kind, side, status, openedAt, resolvedAt, resolution, evidence } = found;
  const seen = { id, about, class: kind, side, status, openedAt, resolvedAt, resolution };
  if (found.orgs.includes(org)) return { ...seen, patient: patient.id, evidence };
  const own = found.reporters.find((reporter) => reporter.org === org);
  return own ? { ...seen, patient: null, evidence: { dispenses: own.dispenses } } : null;
}

const isInState = (patient: Patient | undefined, id: string, org: string): boolean =>
  patient !== undefined && viewOf(patient, id, org) !== null;

/** As {@link viewOf}, for a discrepancy that has left the patient's state: from its row and its opening event. */
function viewOfPast(row: Found, { chain, data }: DiscrepancyOpened, org: string): DiscrepancyView {
  const { id, about, class: kind, side, status, resolution } = row;
  const resolvedAt = row.resolved_at === null ? null : instant(row.resolved_at);
  const seen = { id, about, class: kind, side, status, openedAt: instant(row.opened_at), resolvedAt, resolution };
  if (data.orgs.includes(org)) return { ...seen, patient: chain, evidence: data.evidence };
  const own = data.reporters?.find((reporter) => reporter.org === org);
  // An organisation that only an earlier opening named still has the row. It does not see the later evidence.
  return { ...seen, patient: null, evidence: own ? { dispenses: own.dispenses } : {} };
}

const instant = (at: number): string => new Date(at).toISOString();

/** `<opened at>.<chain number>.<id>`; a malformed position starts at the beginning. */
export const POSITION = /^(\d{1,15})\.(\d{1,15})\.(.{1,60})$/;

function parsePosition(text: string): [number, number, string] | null {
  const match = POSITION.exec(text);
  return match ? [Number(match[1]), Number(match[2]), match[3] ?? ''] : null;
}
