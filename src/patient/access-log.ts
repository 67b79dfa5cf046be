import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { type Actor, SYSTEM } from '../ledger/model.js';
import type { Action } from '../identity/guard/policy.js';
import { decideAccess } from './decide.js';
import { patientModel } from './chain-model.js';
import type { AccessRecorded } from './state.js';

type Read = AccessRecorded['data']['reads'][number];

/** How long reads are gathered before they are committed. */
const GATHER_MS = 500;
/** With this many patients waiting they are committed at once. */
const MANY_PATIENTS = 10_000;

/**
 * Records who read a person's clinical data (design 7): on the patient's chain, within a second, without
 * delaying the answer. While the ledger takes nothing, reads wait here; nothing is left out.
 */
@Injectable()
export class AccessLog implements OnApplicationShutdown {
  private readonly logger = new Logger('AccessLog');
  /** By patient, then by reader and action. */
  private waiting = new Map<string, Map<string, Read>>();
  private timer: NodeJS.Timeout | null = null;
  private committing: Promise<void> | null = null;
  /** Whether the ledger did not take the last ones: then the timer alone tries again. */
  private behind = false;

  constructor(
    private readonly writer: LedgerWriter,
    private readonly clock: Clock,
  ) {}

  /** Patients' own reads and the service's are not recorded. @param chains the chains that were read */
  record(actor: Actor, action: Action, patient: string, chains: readonly string[]): void {
    if (actor.role === 'system' || actor.patient === patient) return;
    const reader = { id: actor.id, role: actor.role, org: actor.org };
    this.add(patient, { reader, action, chains: [...chains], at: new Date(this.clock.now()).toISOString() });
    if (this.waiting.size >= MANY_PATIENTS && !this.committing && !this.behind) void this.flush();
  }

  /** Resolves when every read so far has been committed; what cannot be committed now is kept for the next time. */
  async flush(): Promise<void> {
    // What is under way was read before, too.
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
    if (this.waiting.size > 0) this.logger.error(`reads of ${this.waiting.size} patients were not recorded`);
  }

  private async commitAll(gathered: ReadonlyMap<string, ReadonlyMap<string, Read>>): Promise<void> {
    await Promise.all([...gathered].map(([patient, reads]) => this.commit(patient, [...reads.values()])));
  }

  private async commit(patient: string, reads: Read[]): Promise<void> {
    try {
      const outcome = await this.writer.commit({
        actor: SYSTEM,
        chains: [{ id: patient, model: patientModel, mode: 'existing' }],
        decide: ({ now }) => decideAccess(reads, { chain: patient, now, actor: SYSTEM }),
      });
      if (!outcome.ok) this.logger.error(`reads of a patient were not recorded: ${outcome.refusal.code}`);
    } catch {
      this.behind = true;
      for (const read of reads) this.add(patient, read);
    }
  }

  /** Reads of one kind by one person are told together, as of the first. */
  private add(patient: string, read: Read): void {
    let reads = this.waiting.get(patient);
    if (!reads) this.waiting.set(patient, (reads = new Map()));
    const key = `${read.reader.id} ${read.action}`;
    const known = reads.get(key);
    const chains = [...new Set([...(known?.chains ?? []), ...read.chains])];
    reads.set(key, { ...read, chains, at: known && known.at < read.at ? known.at : read.at });
    this.timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }
}
