/**
 * Every event of a prescription chain and of a supply chain, version by version. A published version
 * is never changed: a new shape is a new version, and old versions are read for ever.
 */
import type { Json, LedgerEvent, Nothing } from '../ledger/core/record/event.js';
import type { NewEvent } from '../ledger/model.js';

/** An exact amount: decimal string and UCUM unit (`{tablet}`, `mL`, `g`). Summed only within one unit. */
export type Quantity = { value: string; unit: string };

/** A coded product. RxNorm first: system `http://www.nlm.nih.gov/research/umls/rxnorm`, code = RxCUI. */
export type Medication = { system: string; code: string; display: string };

/** Controlled-substance schedule, 21 CFR 1308. Null: not controlled or not known. */
export type Schedule = 'II' | 'III' | 'IV' | 'V' | null;

/** The outside name of an order: the issuing organisation's id and its own order number. */
export type OrderName = { issuer: string; number: string };

export type OrderIssued = LedgerEventOf<
  'order.issued/1',
  OrderName & {
    patient: string;
    medication: Medication;
    /** Directions for use (sig), free text. */
    directions: string;
    quantity: Quantity;
    /** Days that one issue's quantity lasts. */
    daysSupply: number;
    /** Refills after the original fill. */
    refills: number;
    substitutionAllowed: boolean;
    /** Legal date of writing, YYYY-MM-DD in `derived.zone`. */
    writtenOn: string;
    /** First legal day on which it may be filled; null: at once. */
    earliestFillOn: string | null;
    /** Organisation id of the nominated pharmacy. */
    nominatedPharmacy: string | null;
    note: string | null;
  },
  {
    /** IANA zone of the issuing organisation: every legal date of this order is a day there. */
    zone: string;
    schedule: Schedule;
    ingredient: string | null;
    /** Last legal day on which it may be filled. */
    validUntil: string;
    ruleSet: string;
    ruleSetVersion: string;
    formularyVersion: string;
    tokenGeneration: number;
    /** base64 SHA-256 of the patient's token. */
    tokenHash: string;
  }
>;

/** History from another system: a fact, not an offer. */
export type OrderImported = LedgerEventOf<
  'order.imported/1',
  OrderName & {
    patient: string;
    medication: Medication;
    directions: string | null;
    quantity: Quantity | null;
    daysSupply: number | null;
    refills: number | null;
    /** RFC 3339 or date, as the source said it. */
    authoredOn: string | null;
    /** FHIR MedicationRequest.status as the source said it. */
    sourceStatus: string;
    /** Name of the requester as the source said it. */
    requester: string | null;
    /** The source resource, verbatim. */
    source: Json;
  },
  { zone: string; schedule: Schedule; ingredient: string | null; formularyVersion: string }
>;

/** `held`: the order is not known yet; applied when it arrives. `pending`: a pharmacy holds it. */
export type OrderCancelRequested = LedgerEventOf<
  'order.cancel-requested/1',
  OrderName & { reason: string; note: string | null },
  { effect: 'cancelled' | 'pending' | 'held' }
>;
/** A cancel that was pending or held takes effect. */
export type OrderCancelled = LedgerEventOf<
  'order.cancelled/1',
  Nothing,
  { cause: 'released' | 'dispensed' | 'not-dispensed' | 'arrived' | 'dispense-reversed' }
>;

export type IssueReadied = LedgerEventOf<'issue.readied/1', { issue: number }, Nothing>;
export type IssueExpired = LedgerEventOf<'issue.expired/1', { issue: number }, Nothing>;

export type DispenseClaimed = LedgerEventOf<
  'dispense.claimed/1',
  { issue: number; claimId: string; by: 'token' | 'nomination' | 'holder' },
  {
    /** Organisation id of the holder. */
    pharmacy: string;
    /** base64 SHA-256 of the claim secret. */
    secretHash: string;
  }
>;
export type DispenseReleased = LedgerEventOf<
  'dispense.released/1',
  { issue: number; claimId: string; reason: string },
  Nothing
>;

/** One handing-over. */
type HandedOver = {
  dispenseId: string;
  medication: Medication;
  quantity: Quantity;
  daysSupply: number;
  /** RFC 3339 UTC with milliseconds. */
  whenHandedOver: string;
  note: string | null;
};
export type DispenseRecorded = LedgerEventOf<
  'dispense.recorded/1',
  HandedOver & { issue: number; claimId: string },
  {
    pharmacy: string;
    /** Whether the issue is complete with this dispense. */
    completesIssue: boolean;
    substituted: boolean;
  }
>;
export type DispenseNotDispensed = LedgerEventOf<
  'dispense.not-dispensed/1',
  { issue: number; claimId: string; reason: string },
  Nothing
>;
export type DispenseReversed = LedgerEventOf<'dispense.reversed/1', { dispenseId: string; reason: string }, Nothing>;
/** A dispense that already happened elsewhere: always recorded as a fact; reconciliation judges it. */
export type DispenseReported = LedgerEventOf<
  'dispense.reported/1',
  HandedOver & {
    /** The order it was for, as the pharmacy knows it; null: none known (supply chain). */
    order: OrderName | null;
    issue: number | null;
    /** The patient, when the pharmacy knows the patient's id. */
    patient: string | null;
    reason: string;
  },
  { pharmacy: string }
>;

export type DoseTaken = LedgerEventOf<
  'dose.taken/1',
  { doseId: string; at: string; quantity: Quantity | null; patient: string; medication: Medication | null },
  Nothing
>;
export type DoseSkipped = LedgerEventOf<
  'dose.skipped/1',
  { doseId: string; at: string; reason: string; patient: string; medication: Medication | null },
  Nothing
>;
export type DoseCorrected = LedgerEventOf<
  'dose.corrected/1',
  {
    doseId: string;
    outcome: 'taken' | 'skipped' | 'entered-in-error';
    at: string;
    quantity: Quantity | null;
    reason: string;
  },
  Nothing
>;

/** A dispense or doses without a known prescription were found to belong to one. */
export type SupplyMatched = LedgerEventOf<'supply.matched/1', { prescription: string }, Nothing>;

export type PrescriptionEvent =
  | OrderIssued
  | OrderImported
  | OrderCancelRequested
  | OrderCancelled
  | IssueReadied
  | IssueExpired
  | DispenseClaimed
  | DispenseReleased
  | DispenseRecorded
  | DispenseNotDispensed
  | DispenseReversed
  | DispenseReported
  | DoseTaken
  | DoseSkipped
  | DoseCorrected;

export type SupplyEvent = DispenseReported | DoseTaken | DoseSkipped | DoseCorrected | SupplyMatched;

type LedgerEventOf<T extends string, D, V> = LedgerEvent<T, D, V>;
/** What `decide` answers for one event type. */
export type NewEventOf<E extends LedgerEvent<string, unknown, unknown>> = NewEvent<E['type'], E['data'], E['derived']>;
