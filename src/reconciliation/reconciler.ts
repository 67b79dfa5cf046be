import { Injectable } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { Config } from '../config/config.js';
import { inPages, placeholders } from '../database/db.js';
import { type ChainView, LedgerReader } from '../ledger/ledger.reader.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { accept, type ChainRef, type Decision, SYSTEM, type View } from '../ledger/model.js';
import { decideReconcile } from '../patient/decide.js';
import { patientModel } from '../patient/chain-model.js';
import type { Discrepancy, Patient } from '../patient/state.js';
import { prescriptionModel, supplyModel } from '../prescription/chain-models.js';
import type { Prescription, Supply } from '../prescription/state.js';
import type { Book } from './book.js';
import { diff, findDiscrepancies } from './discrepancies.js';
import type { Judging } from './finding.js';
import { JudgedMarks } from './judged.js';

type Loaded = {
  readonly prescriptions: readonly ChainView<Prescription>[];
  readonly supplies: readonly ChainView<Supply>[];
};

/** The discrepancies of a book that have left the patient's state. */
interface Past {
  /** How many had left when the rows were read. */
  readonly left: number;
  /** The ids that were looked up. */
  readonly asked: ReadonlySet<string>;
  /** Those among them that a person has resolved. */
  readonly settled: ReadonlySet<string>;
}

/**
 * Judges a subject's book and records changes on the subject's patient chain. Running it twice, or in two processes at
 * once, changes nothing more: the writer decides again on the states that are current at that moment.
 *
 * A provisional subject has no patient chain; its first discrepancy opens one under the subject's own id. When its
 * chains are matched to a patient they leave its book, and its open discrepancies end as `gone`.
 */
@Injectable()
export class Reconciler {
  private readonly settings: Judging['settings'];

  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly clock: Clock,
    private readonly judged: JudgedMarks,
    config: Config,
  ) {
    this.settings = { earlyRefillFactor: config.env.EARLY_REFILL_FACTOR };
  }

  /**
   * @param subject the subject's number
   * @throws on outage, or when the ledger refuses what it was told
   */
  async reconcile(subject: number): Promise<void> {
    const marks = await this.judge(subject);
    for (const former of await this.formerSubjects(subject, [...marks.keys()])) await this.judge(former);
    this.judged.mark(new Map([...marks].map(([, { number, seq }]) => [number, seq])));
  }

  /** @returns by chain id, the seq up to which each clinical chain of the subject was judged */
  private async judge(subject: number): Promise<Map<string, { number: number; seq: number }>> {
    const chains = await this.chainsOf(subject);
    const marks = new Map(chains.map(({ id, num, seq }) => [id, { number: num, seq }]));
    const numbers = chains.map(({ num }) => num);
    const [owner] = await this.db.query<{ id: string }>('SELECT id FROM subject WHERE num = ?', [subject]);
    // The subject was erased meanwhile: there is no book to judge.
    if (!owner) return marks;
    const loaded: Loaded = {
      prescriptions: await this.reader.chains(numbers, prescriptionModel),
      supplies: await this.reader.chains(numbers, supplyModel),
    };
    for (const { id, number, seq } of [...loaded.prescriptions, ...loaded.supplies]) marks.set(id, { number, seq });
    const patient = await this.reader.chain(owner.id, patientModel);
    const book: Book = {
      patient: owner.id,
      prescriptions: loaded.prescriptions.map(({ state }) => state),
      supplies: loaded.supplies.map(({ state }) => state),
    };
    const found = findDiscrepancies(book, this.clock.now(), this.settings);
    const past = await this.past(patient, found);
    const { open, gone } = diff(found, patient?.state ?? null, past.settled);
    if ((open.length > 0 || gone.length > 0) && !(await this.record(owner.id, loaded, past)))
      return this.judge(subject);
    return marks;
  }

  /** Must run after the state was read: then the rows include everything that has left the state. */
  private async past(patient: ChainView<Patient> | null, found: readonly Discrepancy[]): Promise<Past> {
    const left = patient?.state.discrepanciesLeft ?? 0;
    if (!patient || left === 0) return { left, asked: new Set(), settled: new Set() };
    const known = new Set(patient.state.discrepancies.map(({ id }) => id));
    const asked = found.map(({ id }) => id).filter((id) => !known.has(id));
    const rows = await inPages(asked, (page) =>
      this.db.query<{ id: string }>(
        `SELECT id FROM discrepancy_row WHERE chain = ? AND id IN ${placeholders(page)}
           AND status = 'resolved' AND resolution <> 'gone'`,
        [patient.number, ...page],
      ),
    );
    return { left, asked: new Set(asked), settled: new Set(rows.map(({ id }) => id)) };
  }

  /** @returns false when more has left the patient's state meanwhile: judge the book again */
  private async record(owner: string, { prescriptions, supplies }: Loaded, past: Past): Promise<boolean> {
    let current = true;
    const patient: ChainRef = { id: owner, model: patientModel, mode: 'either', subject: { subject: owner } };
    const outcome = await this.writer.commit({
      actor: SYSTEM,
      chains: [
        patient,
        ...prescriptions.map(({ id }): ChainRef => ({ id, model: prescriptionModel, mode: 'existing' })),
        ...supplies.map(({ id }): ChainRef => ({ id, model: supplyModel, mode: 'existing' })),
      ],
      decide: (view) => {
        const decision = this.decide(owner, prescriptions.length, view, past);
        current = decision !== null;
        return decision ?? accept();
      },
    });
    if (!outcome.ok && !ERASED_MEANWHILE.includes(outcome.refusal.code)) {
      throw new ReconciliationRefused(outcome.refusal.code);
    }
    return current;
  }

  /** @returns null when the decision needs discrepancies that have left the state and were not looked up */
  private decide(
    owner: string,
    prescriptionCount: number,
    { states, ids, now }: View,
    { left, asked, settled }: Past,
  ): Decision | null {
    const [patient, ...others] = states as [Patient | null, ...(Prescription | Supply)[]];
    const book: Book = {
      patient: owner,
      prescriptions: others.slice(0, prescriptionCount) as Prescription[],
      supplies: others.slice(prescriptionCount) as Supply[],
    };
    const { open, gone } = diff(findDiscrepancies(book, now, this.settings), patient, settled);
    if (patient && patient.discrepanciesLeft > 0) {
      const known = new Set(patient.discrepancies.map(({ id }) => id));
      if (patient.discrepanciesLeft !== left || open.some(({ id }) => !known.has(id) && !asked.has(id))) return null;
    }
    return decideReconcile(patient, { opened: open, gone }, { chain: ids[0] ?? owner, now, actor: SYSTEM });
  }

  private chainsOf(subject: number): Promise<{ id: string; num: number; seq: number }[]> {
    return this.db.query(
      `SELECT id, num, seq FROM chain WHERE subject = ? AND kind IN ('prescription', 'supply') ORDER BY num`,
      [subject],
    );
  }

  /** Subjects with an open discrepancy about one of these chains, which were matched to this subject since. */
  private async formerSubjects(subject: number, chains: readonly string[]): Promise<number[]> {
    const rows = await inPages(chains, (page) =>
      this.db.query<{ subject: number }>(
        `SELECT DISTINCT c.subject FROM discrepancy_row d JOIN chain c ON c.num = d.chain
         WHERE d.status = 'open' AND d.about IN ${placeholders(page)} AND c.subject <> ?`,
        [...page, subject],
      ),
    );
    return [...new Set(rows.map((row) => row.subject))];
  }
}

/** The ledger's refusals when a book's chains were erased after they were read. */
const ERASED_MEANWHILE: readonly string[] = ['ledger.erased', 'ledger.chain-unknown'];

/** The ledger refused the worker's findings; the code says why. */
export class ReconciliationRefused extends Error {
  constructor(readonly code: string) {
    super(code);
    this.name = 'ReconciliationRefused';
  }
}
