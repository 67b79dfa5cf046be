/**
 * The state of a prescription chain. Only the prescriber changes the order; execution has its own
 * state, per issue (design 4). `evolve` in `evolve.ts` is the only way it comes about.
 */
import type { Medication, OrderName, Quantity, Schedule } from './events.js';

export type OrderStatus =
  | 'active'
  | 'on-hold'
  | 'completed'
  | 'cancelled'
  | 'stopped'
  | 'replaced'
  | 'entered-in-error';

export type IssueStatus =
  | 'future'
  | 'ready'
  | 'claimed'
  | 'part-dispensed'
  | 'dispensed'
  | 'not-dispensed'
  | 'expired'
  | 'cancelled';

export type Order = {
  /** Imported history is a fact, not an offer: without a quantity it cannot be claimed. */
  historical: boolean;
  patient: string;
  /** Account id and organisation of the prescriber; of an import: `import` and the issuer. */
  prescriber: { id: string; org: string | null };
  medication: Medication;
  directions: string | null;
  quantity: Quantity | null;
  daysSupply: number | null;
  refills: number | null;
  substitutionAllowed: boolean;
  writtenOn: string | null;
  earliestFillOn: string | null;
  nominatedPharmacy: string | null;
  note: string | null;
  zone: string;
  schedule: Schedule;
  ingredient: string | null;
  validUntil: string | null;
  ruleSet: string | null;
  tokenGeneration: number;
  tokenHash: string | null;
  /** When it was recorded here, RFC 3339. */
  recordedAt: string;
};

export type Claim = { claimId: string; pharmacy: string; secretHash: string; claimedAt: string };

export type Issue = {
  /** 0 = original, then refills. */
  number: number;
  status: IssueStatus;
  /** First legal day on which it may be filled; null: no bound. */
  earliestFillOn: string | null;
  claim: Claim | null;
};

export type Dispense = {
  dispenseId: string;
  /** Null: reported without naming an issue. */
  issue: number | null;
  pharmacy: string;
  medication: Medication;
  quantity: Quantity;
  daysSupply: number;
  whenHandedOver: string;
  recordedAt: string;
  /** Reported after the fact instead of dispensed under a claim. */
  reported: boolean;
  /** The claim under which it was dispensed; null when it was reported. */
  claim: Claim | null;
  reversed: boolean;
  seq: number;
};

export type Dose = {
  doseId: string;
  outcome: 'taken' | 'skipped' | 'entered-in-error';
  at: string;
  quantity: Quantity | null;
  seq: number;
};

export type CancelRequest = {
  by: { id: string; org: string | null };
  reason: string;
  recordedAt: string;
  /** `held`: order not known yet; `pending`: a pharmacy holds an issue; `applied`: in effect. */
  effect: 'held' | 'pending' | 'applied';
};

/** A pharmacy that holds or held a claim of it; `since` is its first claim, RFC 3339. */
export type Custody = { org: string; since: string };

export type Prescription = {
  id: string;
  name: OrderName;
  /** When its first entry was recorded, RFC 3339. */
  recordedAt: string;
  /** Null until the order arrives (early cancel, early report). */
  order: Order | null;
  /** Null until the order arrives. */
  status: OrderStatus | null;
  issues: Issue[];
  cancel: CancelRequest | null;
  /** The pharmacy that dispensed last: the remaining refills stay there (us-federal). */
  refillHolder: string | null;
  /** In order of first claim. */
  pharmacies: Custody[];
  /** All handings-over, reversed ones included, in ledger order. */
  dispenses: Dispense[];
  /** The latest doses (bounded, see evolve), in ledger order. */
  doses: Dose[];
};

/** A dispense or doses that name no known prescription, until matched. */
export type Supply = {
  id: string;
  /** When its first entry was recorded, RFC 3339. */
  recordedAt: string;
  patient: string | null;
  /** What the pharmacy said the order was. */
  claimedOrder: OrderName | null;
  pharmacy: string | null;
  dispenses: Dispense[];
  doses: (Dose & { medication: Medication | null })[];
  matchedTo: string | null;
};
