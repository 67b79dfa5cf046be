import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { Recent } from '../ledger/core/recently-used.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { type Actor, firstState, refuse, SYSTEM } from '../ledger/model.js';
import type { Action } from '../identity/guard/policy.js';
import { decideAccess } from './decide.js';
import { patientModel } from './chain-model.js';
import { type Read, unrecorded } from './recent-reads.js';
import type { RecentRead } from './state.js';

/** How long reads are gathered before they are committed. */
const GATHER_MS = 500;
/** When this many patients wait, their reads are committed at once. */
const MANY_PATIENTS = 10_000;
/** Patients whose recent records this process remembers, so that reloading a page costs the writer nothing. */
const REMEMBERED = 10_000;

/**
 * Records who read a person's clinical data (design 7): on the patient's chain, within a second, without delaying the
 * answer. While the ledger accepts no writes, reads wait here; none is lost. Repeated reads within the hour of a record
 * are not recorded again (see `recent-reads.ts`). The patient's state decides that, so it holds after a restart and
 * among several processes.
 */
@Injectable()
export class AccessLog implements OnApplicationShutdown {
  private readonly logger = new Logger('AccessLog');
  /** By patient, then by reader, action and hour of the clock. */
  private waiting = new Map<string, Map<string, Read>>();
  private timer: NodeJS.Timeout | null = null;
  private committing: Promise<void> | null = null;
  /** By patient, as of this process's last commit. */
  private readonly recorded = new Recent<string, readonly RecentRead[]>(REMEMBERED);
  /** Whether the last commit failed: then only the timer tries again. */
  private behind = false;

  constructor(
    private readonly writer: LedgerWriter,
    private readonly clock: Clock,
  ) {}

  /** Patients' own reads and the service's are not recorded. @param chains the chains that were read */
  record(actor: Actor, action: Action, patient: string, chains: readonly string[]): void {
    if (actor.role === 'system' || actor.patient === patient) return;
    const reader = { id: actor.id, role: actor.role, org: actor.org };
    const read = { reader, action, chains: [...chains], at: new Date(this.clock.now()).toISOString() };
    if (unrecorded(this.recorded.get(patient) ?? [], [read]).length === 0) return;
    this.add(patient, read);
    if (this.waiting.size >= MANY_PATIENTS && !this.committing && !this.behind) void this.flush();
  }

  /** Resolves when every read so far was committed, or is kept for the next try because the commit failed. */
  async flush(): Promise<void> {
    // A commit under way holds earlier reads: it must end first.
    while (this.committing) await this.committing;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const gathered = this.waiting;
    this.waiting = new Map();
    this.behind = false;
    this.committing = this.commitAll(gathered).finally(() => (this.committing = null));
    await this.committing;
  }

  /** After the last request was answered and before the ledger closes. */
  async onApplicationShutdown(): Promise<void> {
    await this.flush();
    if (this.timer) clearTimeout(this.timer);
    if (this.waiting.size > 0)
      this.logger.error(`who read the data of ${this.waiting.size} patients could not be recorded`);
  }

  private async commitAll(gathered: ReadonlyMap<string, ReadonlyMap<string, Read>>): Promise<void> {
    await Promise.all([...gathered].map(([patient, reads]) => this.commit(patient, [...reads.values()])));
  }

  private async commit(patient: string, reads: Read[]): Promise<void> {
    try {
      const outcome = await this.writer.commit({
        actor: SYSTEM,
        chains: [{ id: patient, model: patientModel, mode: 'existing' }],
        decide: (view) => {
          const state = firstState(view, patientModel);
          if (!state) return refuse('ledger.chain-unknown');
          return decideAccess(state, reads, { chain: patient, now: view.now, actor: SYSTEM });
        },
      });
      if (outcome.ok) this.recorded.set(patient, firstState(outcome, patientModel)?.reads ?? []);
      else this.logger.error(`who read the data of a patient could not be recorded: ${outcome.refusal.code}`);
    } catch {
      this.behind = true;
      for (const read of reads) this.add(patient, read);
    }
  }

  /** Reads of one kind by one person are recorded together, with the instant of the first. */
  private add(patient: string, read: Read): void {
    let reads = this.waiting.get(patient);
    if (!reads) this.waiting.set(patient, (reads = new Map()));
    // After an outage longer than an hour, each hour gets a record of its own.
    const key = `${read.reader.id} ${read.action} ${read.at.slice(0, '2026-01-01T00'.length)}`;
    const known = reads.get(key);
    const chains = [...new Set([...(known?.chains ?? []), ...read.chains])];
    reads.set(key, { ...read, chains, at: known && known.at < read.at ? known.at : read.at });
    this.timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }
}
