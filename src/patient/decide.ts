/** Decides the events of a patient chain: enrolment, accesses, discrepancies. */
import type { Role } from '../ledger/core/record/event.js';
import { accept, refuse, type Decision, type NewEvent } from '../ledger/model.js';
import type { Context } from '../prescription/context.js';
import type { NewEventOf } from '../prescription/events.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { type Read, unrecorded } from './recent-reads.js';
import type {
  AccessBreakGlass,
  AccessRecorded,
  Discrepancy,
  DiscrepancyOpened,
  DiscrepancyResolved,
  Patient,
  PatientEnrolled,
} from './state.js';

export type EnrolPatient = PatientEnrolled['data'];

const ENROLLING: ReadonlySet<Role> = new Set(['administrator', 'prescriber', 'system']);

/**
 * @param patient null on a new chain
 * @returns `patient.enrolled/1`
 */
export function decideEnrol(patient: Patient | null, command: EnrolPatient, ctx: Context): Decision<RefusalCode> {
  if (!ENROLLING.has(ctx.actor.role)) return refuse('access.forbidden');
  if (patient) return refuse('patient.already-enrolled');
  if (command.name.trim() === '') return refuse('patient.name-missing');
  const enrolled: NewEventOf<PatientEnrolled> = {
    chain: ctx.chain,
    type: 'patient.enrolled/1',
    data: { ...command },
    derived: {},
  };
  return accept(enrolled);
}

/**
 * Records reads of this patient's clinical data by others. They were gathered after the answers were sent (design 7).
 * @returns `access.recorded/1` with the reads that no record of the hour names; no event when there are none
 */
export function decideAccess({ reads: recent }: Patient, gathered: readonly Read[], ctx: Context): Decision<never> {
  const reads = unrecorded(recent, gathered);
  if (reads.length === 0) return accept();
  const recorded: NewEventOf<AccessRecorded> = {
    chain: ctx.chain,
    type: 'access.recorded/1',
    data: { reads },
    derived: {},
  };
  return accept(recorded);
}

/** How long access without a relation lasts, in ms: an emergency, not a habit. */
const BREAK_GLASS_MS = 60 * 60 * 1000;

/** @returns `access.break-glass/1`, `derived.until` one hour from now */
export function decideBreakGlass(
  _: Patient,
  command: { readonly reason: string },
  ctx: Context,
): Decision<RefusalCode> {
  const { actor, now, chain } = ctx;
  if (actor.role !== 'prescriber' && actor.role !== 'pharmacist') return refuse('access.forbidden');
  if (command.reason.trim() === '') return refuse('access.reason-missing');
  const opened: NewEventOf<AccessBreakGlass> = {
    chain,
    type: 'access.break-glass/1',
    data: { reason: command.reason },
    derived: { until: new Date(now + BREAK_GLASS_MS).toISOString() },
  };
  return accept(opened);
}

export interface Reconcile {
  /** All discrepancies of the book; the state may have them already. */
  readonly opened: readonly Discrepancy[];
  /** Ids of open discrepancies that the book no longer shows. */
  readonly gone: readonly string[];
}

/**
 * Records the worker's findings. Discrepancies that are open already or that a person resolved are ignored, so that
 * running it twice changes nothing. One that was `gone` may come back.
 * @param patient null for a provisional patient of whom nothing is recorded yet
 * @returns `discrepancy.opened/1` and `discrepancy.resolved/1` with resolution `gone`; no event when nothing is new
 */
export function decideReconcile(patient: Patient | null, command: Reconcile, ctx: Context): Decision<RefusalCode> {
  if (ctx.actor.role !== 'system') return refuse('access.forbidden');
  const known = new Map(patient?.discrepancies.map((discrepancy) => [discrepancy.id, discrepancy]));
  const fresh = new Map(command.opened.map((found) => [found.id, found]));
  const opened = [...fresh.values()]
    .filter(({ id }) => !known.has(id) || known.get(id)?.resolution === 'gone')
    .map((data): NewEventOf<DiscrepancyOpened> => ({
      chain: ctx.chain,
      type: 'discrepancy.opened/1',
      data: { ...data },
      derived: {},
    }));
  const gone = [...new Set(command.gone)]
    .filter((id) => known.get(id)?.status === 'open')
    .map((id) => resolved(ctx.chain, { id, resolution: 'gone', note: null }));
  return accept(...opened, ...gone);
}

export interface ResolveDiscrepancy {
  readonly id: string;
  readonly resolution: Exclude<DiscrepancyResolved['data']['resolution'], 'gone'>;
  readonly note: string | null;
}

/**
 * Records the resolution by a person of a concerned side. For all others the discrepancy does not exist.
 * @returns `discrepancy.resolved/1`
 */
export function decideResolve(patient: Patient, command: ResolveDiscrepancy, ctx: Context): Decision<RefusalCode> {
  const { role, org } = ctx.actor;
  if (role !== 'prescriber' && role !== 'pharmacist') return refuse('access.forbidden');
  const discrepancy = patient.discrepancies.find(({ id }) => id === command.id);
  if (!discrepancy || org === null || !discrepancy.orgs.includes(org)) return refuse('discrepancy.unknown');
  if (discrepancy.status === 'resolved') {
    return refuse('discrepancy.already-resolved', { resolution: discrepancy.resolution });
  }
  return accept(resolved(ctx.chain, { id: command.id, resolution: command.resolution, note: command.note }));
}

function resolved(
  chain: string,
  data: DiscrepancyResolved['data'],
): NewEvent<'discrepancy.resolved/1', DiscrepancyResolved['data']> {
  return { chain, type: 'discrepancy.resolved/1', data, derived: {} };
}
