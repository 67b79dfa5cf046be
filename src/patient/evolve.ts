/** Computes a patient chain's state from its events. Uses neither clock nor configuration. */
import type { LedgerEvent } from '../ledger/core/record/event.js';
import { unhandled } from '../prescription/evolve-supply.js';
import { withReads } from './recent-reads.js';
import { MOST_RESOLVED, type Patient, type PatientEvent, type Reporter } from './state.js';

/** Every event type and version of a patient chain; a forgotten one is a compile error. */
const PATIENT_EVENTS: Readonly<Record<PatientEvent['type'], true>> = {
  'patient.enrolled/1': true,
  'access.recorded/1': true,
  'access.break-glass/1': true,
  'access.disclosed/1': true,
  'discrepancy.opened/1': true,
  'discrepancy.resolved/1': true,
  'hold.placed/1': true,
  'hold.released/1': true,
};

export function isPatientEvent(event: LedgerEvent): event is PatientEvent {
  return Object.hasOwn(PATIENT_EVENTS, event.type);
}

/**
 * @param before null before the first entry: the enrolment, or what is recorded about a provisional patient
 * @returns the state after the event; the given one is not changed
 * @throws {Error} for an event type that patient chains do not have
 */
export function evolvePatient(before: Patient | null, event: LedgerEvent): Patient {
  if (!isPatientEvent(event)) throw new Error(`a patient chain has no events of type ${event.type}`);
  if (event.type === 'patient.enrolled/1') {
    const { name, birthDate, identifiers, address } = event.data;
    const enrolledAt = event.recordedAt;
    return { ...provisional(event.chain), enrolledAt, name, birthDate, identifiers, address };
  }
  const state = before ?? provisional(event.chain);
  switch (event.type) {
    case 'access.recorded/1':
      return { ...state, reads: withReads(state.reads, event.data.reads, event.recordedAt) };
    case 'access.disclosed/1': {
      const { auditor } = event.data;
      if (auditor === null) return state;
      const at = event.recordedAt;
      // Earlier ones leave the state, so that it does not grow without limit. Their rows stay.
      const latest = state.disclosures.filter((one) => one.at >= at);
      return { ...state, disclosures: [...latest, { seq: event.seq, auditor, at }] };
    }
    case 'access.break-glass/1': {
      const running = state.grants.filter(({ until }) => until > event.recordedAt);
      return { ...state, grants: [...running, { actor: event.actor.id, until: event.derived.until }] };
    }
    case 'discrepancy.opened/1': {
      const others = state.discrepancies.filter(({ id }) => id !== event.data.id);
      const known = state.discrepancies.find(({ id }) => id === event.data.id);
      // An organisation that saw it once still does: read-model rows are never removed.
      const orgs = [...new Set([...(known?.orgs ?? []), ...event.data.orgs])];
      const reporters = reportersOnly([...(event.data.reporters ?? []), ...(known?.reporters ?? [])], orgs);
      const openedAt = event.recordedAt;
      const opened = {
        ...event.data,
        orgs,
        reporters,
        status: 'open' as const,
        seq: event.seq,
        openedAt,
        resolvedAt: null,
        resolution: null,
      };
      return withoutOldest({ ...state, discrepancies: [...others, opened] }, event.recordedAt);
    }
    case 'discrepancy.resolved/1': {
      const { id, resolution } = event.data;
      const resolvedAt = event.recordedAt;
      const discrepancies = state.discrepancies.map((discrepancy) =>
        discrepancy.id === id ? { ...discrepancy, status: 'resolved' as const, resolvedAt, resolution } : discrepancy,
      );
      return withoutOldest({ ...state, discrepancies }, resolvedAt);
    }
    case 'hold.placed/1':
      return { ...state, holds: [...state.holds, { ...event.data, placedAt: event.recordedAt, releasedAt: null }] };
    case 'hold.released/1': {
      const holds = state.holds.map((hold) =>
        hold.holdId === event.data.holdId ? { ...hold, releasedAt: event.recordedAt } : hold,
      );
      return { ...state, holds };
    }
    default:
      return unhandled(event);
  }
}

/**
 * Removes resolved discrepancies beyond the limit, earliest first. One leaves only with an event later than its
 * resolution: by then its row shows that it is resolved.
 */
function withoutOldest(state: Patient, recordedAt: string): Patient {
  const resolved = state.discrepancies.flatMap(({ id, resolvedAt }) =>
    resolvedAt === null ? [] : [{ id, resolvedAt }],
  );
  if (resolved.length <= MOST_RESOLVED) return state;
  const leaving = new Set(
    resolved
      .toSorted((a, b) => Date.parse(a.resolvedAt) - Date.parse(b.resolvedAt))
      .slice(0, resolved.length - MOST_RESOLVED)
      .filter(({ resolvedAt }) => resolvedAt < recordedAt)
      .map(({ id }) => id),
  );
  return {
    ...state,
    discrepancies: state.discrepancies.filter(({ id }) => !leaving.has(id)),
    discrepanciesLeft: state.discrepanciesLeft + leaving.size,
  };
}

/** Each reporter once, without organisations that may see everything. */
function reportersOnly(reporters: readonly Reporter[], orgs: readonly string[]): Reporter[] {
  const byOrg = new Map(reporters.map((reporter) => [reporter.org, reporter]));
  return [...byOrg.values()].filter(({ org }) => !orgs.includes(org));
}

/** A subject known only by chains that are not matched yet. */
function provisional(id: string): Patient {
  return {
    id,
    enrolledAt: null,
    name: '',
    birthDate: null,
    identifiers: [],
    address: null,
    discrepancies: [],
    discrepanciesLeft: 0,
    grants: [],
    disclosures: [],
    holds: [],
    reads: [],
  };
}
