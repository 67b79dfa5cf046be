/**
 * Finds the discrepancies of one patient's book. Pure: the same facts give the same discrepancies, in whatever order
 * they arrived and however often they are judged (design 5). Each class has its file in `classes/`.
 */
import type { Discrepancy, Patient } from '../patient/state.js';
import type { Book } from './book.js';
import { dispensedAfterCancel } from './classes/d03-dispensed-after-cancel.js';
import { overDispense } from './classes/d07-over-dispense.js';
import { orphanDispense } from './classes/d12-orphan-dispense.js';
import { earlyRefill } from './classes/d13-early-refill.js';
import type { Judging } from './finding.js';

/** Returns all discrepancies of one class in a book. To add a class, write its file and list it in {@link CLASSES}. */
export type DiscrepancyFinder = (book: Book, judging: Judging) => Discrepancy[];

const CLASSES: readonly DiscrepancyFinder[] = [dispensedAfterCancel, overDispense, orphanDispense, earlyRefill];

/**
 * @param now ms since 1970
 * @returns every discrepancy that the book shows now, sorted by id, each id once
 */
export function findDiscrepancies(book: Book, now: number, settings: Judging['settings']): Discrepancy[] {
  const found = CLASSES.flatMap((find) => find(book, { now, settings }));
  const byId = new Map(found.map((discrepancy) => [discrepancy.id, discrepancy]));
  return [...byId.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** The changes that make the patient chain agree with the book. */
export type Difference = {
  /** Not open yet. */
  readonly open: Discrepancy[];
  /** Ids that are open though the book no longer shows them. */
  readonly gone: string[];
};

/**
 * Compares the book with the patient chain. A discrepancy that a person resolved stays resolved while its evidence is
 * the same (other evidence has another id). One that was `gone` is opened again when it shows again.
 * @param patient null when the patient chain does not exist yet
 * @param settled ids that a person has resolved and that have left the patient's state since
 */
export function diff(
  found: readonly Discrepancy[],
  patient: Pick<Patient, 'discrepancies'> | null,
  settled: ReadonlySet<string> = new Set(),
): Difference {
  const known = new Map(patient?.discrepancies.map((discrepancy) => [discrepancy.id, discrepancy]));
  const shown = new Set(found.map((discrepancy) => discrepancy.id));
  return {
    open: found.filter(({ id }) => {
      const state = known.get(id);
      if (state === undefined) return !settled.has(id);
      return state.status === 'resolved' && state.resolution === 'gone';
    }),
    gone: [...known.values()].filter(({ id, status }) => status === 'open' && !shown.has(id)).map(({ id }) => id),
  };
}
