import type { Receipt } from '../ledger/core/record/receipt.js';
import { setTimeout as pause } from 'node:timers/promises';
import type { Receipts } from '../http/write/receipt-schema.js';
import type { DiscrepancyClass } from '../patient/state.js';
import type { RefusalCode } from '../refusals/refusals.js';
import type { DiscrepancyPage, DiscrepancyView } from '../reconciliation/discrepancy.service.js';
import type { Calendar } from './calendar.js';
import type { Cast, Person } from './cast.js';
import { type Answer, StoryBroken } from './client.js';
import type { Transcript } from './transcript.js';

/** How long reconciliation may take, in ms of the machine's clock. */
const DEADLINE_MS = 15_000;
/** Between two looks, ms. */
const LOOK_MS = 50;

const CLASSES: Readonly<Record<DiscrepancyClass, string>> = {
  D03: 'dispensed after cancel',
  D07: 'over-dispense',
  D12: 'dispense without an order',
  D13: 'early refill',
};

/** Runs the stories: checks every answer, prints each step, and collects the data of the summary. */
export class Stage {
  /** The receipt of every write so far, as its caller got it. */
  readonly receipts: Receipt[] = [];
  /** Things that reconciliation or the timer did wrongly, or not in time. */
  readonly notAsExpected: string[] = [];
  /** Ids of the discrepancies that the stories expect. */
  private readonly told = new Set<string>();
  private time = '';
  private readonly staff: readonly Person[];

  constructor(
    readonly cast: Cast,
    readonly calendar: Calendar,
    private readonly transcript: Transcript,
    private readonly deadlineMs = DEADLINE_MS,
  ) {
    this.staff = [cast.elm, cast.harbor, cast.corner, cast.mill];
  }

  begin(day: number): void {
    this.transcript.begin(day, this.calendar.words(this.calendar.date(day)));
  }

  at(time: string): void {
    this.time = time;
  }

  /**
   * Prints an action.
   * @param words null: prints nothing; a function makes the words from the answer
   * @throws {StoryBroken} when the action was refused
   */
  did<T extends Partial<Receipts>>(who: Person, words: string | null | ((body: T) => string), answer: Answer<T>): T {
    if (!answer.ok) {
      const { status, code } = answer.problem;
      const what = typeof words === 'string' ? words : 'a request';
      throw new StoryBroken(`${who.name}: ${what} was refused: ${status} ${code}`);
    }
    const { receipt, receipts } = answer.body;
    if (receipts) this.receipts.push(...receipts);
    else if (receipt) this.receipts.push(receipt);
    if (words !== null) this.say(who.name, typeof words === 'string' ? words : words(answer.body));
    return answer.body;
  }

  /**
   * Prints an action that was refused.
   * @throws {StoryBroken} unless it was refused with this code
   */
  refused(who: Person, words: string, code: RefusalCode, answer: Answer<unknown>): void {
    const got = answer.ok ? 'accepted' : answer.problem.code;
    if (answer.ok || got !== code) throw new StoryBroken(`${who.name}: ${words} should be refused ${code}: ${got}`);
    this.transcript.refused(this.time, who.name, words, `${answer.problem.status} ${code}`);
  }

  say(who: string, words: string): void {
    this.transcript.did(this.time, who, words);
  }

  /**
   * Waits until reconciliation has opened a discrepancy, and prints it.
   * @param about id of the prescription or supply
   * @param seenBy somebody who must see it in their list
   */
  async found(kind: DiscrepancyClass, about: string, seenBy: Person, what: string): Promise<DiscrepancyView | null> {
    const found = await this.waitFor(seenBy, (one) => one.class === kind && one.about === about);
    if (!found) {
      this.fail(`${kind} ${CLASSES[kind]} was not found: ${what}`);
      return null;
    }
    this.told.add(found.id);
    const desks = await Promise.all(
      this.staff.map(async (person) =>
        (await this.look(person)).some(({ id }) => id === found.id) ? person.name : [],
      ),
    );
    const told = `told: ${desks.flat().join(', ')}`;
    this.transcript.discrepancy(this.time, `${kind} ${CLASSES[kind]}: ${what}`, this.evidence(found), told);
    return found;
  }

  /** Waits until reconciliation has closed a discrepancy because the records agree again. */
  async gone(found: DiscrepancyView | null, seenBy: Person, words: string): Promise<void> {
    if (!found) return;
    const gone = await this.waitFor(seenBy, ({ id, resolution }) => id === found.id && resolution === 'gone');
    if (gone) this.transcript.resolved(this.time, `${found.class} ${words}`);
    else this.fail(`${found.class} is still open: ${words}`);
  }

  /** Somebody of a concerned side resolves a discrepancy. */
  async resolve(
    found: DiscrepancyView | null,
    by: Person,
    body: { resolution: string; note: string },
    words: string,
  ): Promise<void> {
    if (!found) return;
    const path = `/api/discrepancies/${found.patient}/${encodeURIComponent(found.id)}/resolve`;
    this.did(by, `${found.class} ${words}`, await by.client.post<Receipts>(path, body));
  }

  /** Discrepancies that no story expects. */
  async unexpected(): Promise<DiscrepancyView[]> {
    const lists = await Promise.all(this.staff.map((person) => this.look(person)));
    const all = new Map(lists.flat().map((one) => [one.id, one]));
    return [...all.values()].filter(({ id }) => !this.told.has(id));
  }

  /**
   * Asks repeatedly until there is an answer. Nothing else in the play waits.
   * @returns null when there was none in time
   */
  async until<T>(ask: () => Promise<T | null | undefined | false>): Promise<T | null> {
    const deadline = Date.now() + this.deadlineMs;
    for (;;) {
      const answer = await ask();
      if (answer) return answer;
      if (Date.now() >= deadline) return null;
      await pause(LOOK_MS);
    }
  }

  fail(what: string): void {
    this.notAsExpected.push(what);
    this.transcript.failed(this.time, what);
  }

  private waitFor(who: Person, fits: (one: DiscrepancyView) => boolean): Promise<DiscrepancyView | null> {
    return this.until(async () => (await this.look(who)).find(fits));
  }

  private async look({ client }: Person): Promise<DiscrepancyView[]> {
    return (await client.get<DiscrepancyPage>('/api/discrepancies?limit=200')).items;
  }

  private evidence({ class: kind, evidence }: DiscrepancyView): string {
    const text = (name: string) => {
      const value = evidence[name];
      return typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
    };
    const { calendar } = this;
    switch (kind) {
      case 'D03':
        return `cancelled ${calendar.wordsOf(text('cancelledAt'))}, handed over ${calendar.wordsOf(text('whenHandedOver'))}`;
      case 'D07':
        return `authorised ${text('authorised')}, handed over ${text('dispensed')}`;
      case 'D12':
        return `handed over ${calendar.wordsOf(text('whenHandedOver'))}`;
      case 'D13': {
        const [previous, filled] = [calendar.words(text('previousOn')), calendar.words(text('filledOn'))];
        return `filled ${filled}; the fill of ${previous} lasts ${text('daysSupply')} days`;
      }
      default:
        return '';
    }
  }
}
