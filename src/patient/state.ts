/** The state of a patient chain: identity, discrepancies, grants of access, recent reads, and retention holds. */
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
 * Reads of this patient's clinical data by others (design 7). Repeated reads within an hour are not recorded: see
 * `recent-reads.ts`.
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

/** The recorded reads of one reader in the hour that began at `since`. */
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

/** Members of one entry were disclosed. Their values are never recorded here. Committed before the answer. */
export type AccessDisclosed = LedgerEvent<
  'access.disclosed/1',
  MembersOfEntry & {
    /** The recipient, in the words of whoever discloses; null: the auditor. */
    recipient: string | null;
    /** Account or client id of an auditor, who can read it here; null: the recipient gets it. */
    auditor: string | null;
    reason: string;
  },
  Nothing
>;

/** The side that has to act on a discrepancy. */
export type Side = 'prescriber' | 'pharmacy' | 'both';
export type DiscrepancyClass = 'D03' | 'D07' | 'D12' | 'D13';

/** A pharmacy that only reported. It learns that its report disagrees, but nothing about others. */
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
  /**
   * Pharmacies whose only contact is a report of their own. A report must not give access, since it may name a guessed
   * order.
   */
  reporters: Reporter[];
  /** The compared values: ids of dispenses, amounts, instants. JSON, encrypted like every payload. */
  evidence: { [member: string]: Json };
};

export type DiscrepancyOpened = LedgerEvent<
  'discrepancy.opened/1',
  // Early events were recorded without reporters.
  Omit<Discrepancy, 'reporters'> & { reporters?: Reporter[] },
  Nothing
>;
export type DiscrepancyResolved = LedgerEvent<
  'discrepancy.resolved/1',
  {
    id: string;
    /** `gone`: the book no longer shows it (the worker says so). A person of the concerned side gives the others. */
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

/**
 * Resolved discrepancies that stay in the state. Older ones leave the state, so that it does not grow without limit.
 */
export const MOST_RESOLVED = 100;

export type DiscrepancyState = Discrepancy & {
  status: 'open' | 'resolved';
  /** Position of the opening event on the patient's chain. */
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
  /** The latest disclosures to auditors; `seq` of the recording events. The read models keep all. */
  disclosures: { seq: number; auditor: string; at: string }[];
  /** Retention holds, including those that are over. */
  holds: Hold[];
  /** Recorded reads of the last hour (bounded), the latest last. */
  reads: RecentRead[];
};
