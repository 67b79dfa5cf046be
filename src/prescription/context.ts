/** What every `decide` is given beside state and command. No clock, no I/O: each rule test is a table row. */
import type { Actor } from '../ledger/model.js';
import type { Drug } from './drugs/formulary.js';

export interface Context {
  /** Id of the chain that the events go to: `view.ids` at the chain's position. */
  readonly chain: string;
  /** Instant of the batch, ms since 1970: `view.now`. */
  readonly now: number;
  readonly actor: Actor;
}

export interface DrugContext extends Context {
  /** The formulary's drug of an RxCUI; null when it has none. */
  readonly findDrug: (code: string) => Drug | null;
}

export interface IssueContext extends DrugContext {
  /** IANA zone of the issuing organisation. */
  readonly zone: string;
  readonly formularyVersion: string;
  readonly settings: {
    /** Validity of an order that no rule limits, in months. */
    readonly validityMonths: number;
  };
}

/** How far the clocks of callers may be off, in ms, before an instant counts as in the future or before a claim. */
export const CLOCK_GRACE_MS = 60_000;
