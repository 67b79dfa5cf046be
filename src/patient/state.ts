/** The state of a patient chain: who it is, what is open about them, who was let in, what keeps it from erasure. */
import type { Json, LedgerEvent, Nothing } from '../ledger/core/record/event.js';
import type { Hold, HoldPlaced, HoldReleased } from './holds.js';

export type Identifier = { system: string; value: string };

export type PatientEnrolled = LedgerEvent<
  'patient.enrolled/1',
  {
    name: string;
    /** YYYY-MM-DD or null. */
    birthDate: string | null;
    identifiers: Identifier[];
    address: string | null;
    /** FHIR Patient, verbatim, when it came by import. */
    source: Json;
  },
  Nothing
>;

/**
 * Reads of this patient's clinical data by others (design 7). What a reader reads again within the hour of a record is
 * not recorded again: see `recent-reads.ts`.
 */
export type AccessRecorded = LedgerEvent<
  'access.recorded/1',
  {
    reads: {
      reader: { id: string; role: string; org: string | null };
      /** Policy action of the first of these reads, for example `prescription.read`. */
      action: string;
      /** Ids of chains that were read and that no record of the reader's hour names. */
      chains: string[];
      /** The instant of the first of these reads, RFC 3339. */
      at: string;
    }[];
  },
  Nothing
>;

/** What a reader is recorded to have read in the hour that began at `since`. */
export type RecentRead = {
  /** Account or client id. */
  reader: string;
  /** RFC 3339. */
  since: string;
  /** Chain ids. */
  chains: string[];
};

/** Break-glass: access without a relation, for a reason, for a while. Committed before the answer. */
export type AccessBreakGlass = LedgerEvent<'access.break-glass/1', { reason: string }, { until: string }>;

/** Members of one entry's payload, by their names. */
type MembersOfEntry = {
  /** Log index of the entry. */
  index: number;
  /** Id of its chain. */
  chain: string;
  members: string[];
};

/** Members of one entry were given away. Their values never stand here. Committed before the answer. */
export type AccessDisclosed = LedgerEvent<
  'access.disclosed/1',
  MembersOfEntry & {
    /** To whom, in the words of whoever gave it; null: to the auditor. */
    recipient: string | null;
    /** Account or client id of an auditor, who can read it here; null: to the recipient. */
    auditor: string | null;
    reason: string;
  },
  Nothing
>;

/** Whose desk a discrepancy lands on. */
export type Side = 'prescriber' | 'pharmacy' | 'both';
export type DiscrepancyClass = 'D03' | 'D07' | 'D12' | 'D13';

/** A pharmacy that has only reported: it learns that its report disagrees, and nothing of what others did. */
export type Reporter = {
  org: string;
  /** Ids of its own dispenses. */
  dispenses: string[];
};

/** A disagreement in a patient's book. `id` = class + evidence, so that a repeat is the same discrepancy. */
export type Discrepancy = {
  id: string;
  class: DiscrepancyClass;
  /** Prescription or supply chain that it is about. */
  chain: string;
  side: Side;
  /** Organisations that it concerns: they see all of it and may resolve it. */
  orgs: string[];
  /** Pharmacies whose only contact is a report of their own: naming an order, perhaps by guessing, opens nothing. */
  reporters: Reporter[];
  /** What was compared: ids of dispenses, amounts, instants. JSON, encrypted like every payload. */
  evidence: { [member: string]: Json };
};

export type DiscrepancyOpened = LedgerEvent<
  'discrepancy.opened/1',
  // The first of them were recorded without reporters.
  Omit<Discrepancy, 'reporters'> & { reporters?: Reporter[] },
  Nothing
>;
export type DiscrepancyResolved = LedgerEvent<
  'discrepancy.resolved/1',
  {
    id: string;
    /** `gone`: the book no longer shows it (the worker says so). The rest are said by a person of the side concerned. */
    resolution: 'gone' | 'corrected' | 'accepted' | 'rejected' | 'entered-in-error';
    note: string | null;
  },
  Nothing
>;

export type PatientEvent =
  | PatientEnrolled
  | AccessRecorded
  | AccessBreakGlass
  | AccessDisclosed
  | DiscrepancyOpened
  | DiscrepancyResolved
  | HoldPlaced
  | HoldReleased;

/** Resolved discrepancies that stay in the state. Older ones leave it, so that it does not grow for ever. */
export const MOST_RESOLVED = 100;

export type DiscrepancyState = Discrepancy & {
  status: 'open' | 'resolved';
  /** Position on the patient's chain of the event that opened it. */
  seq: number;
  openedAt: string;
  resolvedAt: string | null;
  resolution: DiscrepancyResolved['data']['resolution'] | null;
};

export type Patient = {
  id: string;
  /** RFC 3339; null for a provisional patient, of whom only discrepancies are known. */
  enrolledAt: string | null;
  name: string;
  birthDate: string | null;
  identifiers: Identifier[];
  address: string | null;
  /** All that are open, and the latest that were resolved: see {@link MOST_RESOLVED}. */
  discrepancies: DiscrepancyState[];
  /** How many resolved ones have left the state. The read models keep them. */
  discrepanciesLeft: number;
  /** Break-glass grants that may still run. */
  grants: { actor: string; until: string }[];
  /** The latest disclosures to auditors: `seq` of the events that say so. The read models keep all. */
  disclosures: { seq: number; auditor: string; at: string }[];
  /** Retention holds, those that are over among them. */
  holds: Hold[];
  /** Who is recorded to have read what within the last hour (bounded), the latest last. */
  reads: RecentRead[];
};
