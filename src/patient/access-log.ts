import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { Clock } from '../config/clock.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { type Actor, SYSTEM } from '../ledger/model.js';
import type { Action } from '../identity/policy.js';
import { decideAccess } from './decide.js';
import { patientModel } from './model.js';
import type { AccessRecorded } from './patient.js';

type Read = AccessRecorded['data']['reads'][number];

/** How long reads are gathered before they are committed. */
const GATHER_MS = 500;
/** Beyond this many patients waiting, a read waits for the commit: nothing is left out. */
const WAITING_PATIENTS = 10_000;

/**
 * Records who read a person's clinical data (design 7): on the patient's chain, within a second, without
 * delaying the answer.
 */
@Injectable()
export class AccessLog implements BeforeApplicationShutdown {
  private readonly logger = new Logger('AccessLog');
  private waiting = new Map<string, Map<string, Read>>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly writer: LedgerWriter,
    private readonly clock: Clock,
  ) {}

  /** Patients' own reads and the service's are not recorded. @param chains the chains that were read */
  record(actor: Actor, action: Action, patient: string, chains: readonly string[]): void {
    if (actor.role === 'system' || actor.patient === patient) return;
    let reads = this.waiting.get(patient);
    if (!reads) this.waiting.set(patient, (reads = new Map()));
    const key = `${actor.id} ${action}`;
    const known = reads.get(key);
    const reader = { id: actor.id, role: actor.role, org: actor.org };
    const all = new Set([...(known?.chains ?? []), ...chains]);
    reads.set(key, { reader, action, chains: [...all], at: known?.at ?? new Date(this.clock.now()).toISOString() });
    if (this.waiting.size >= WAITING_PATIENTS) void this.flush();
    else this.timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }

  /** Commits what was gathered. What cannot be committed now is kept for the next time. */
  async flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const gathered = this.waiting;
    this.waiting = new Map();
    await Promise.all([...gathered].map(([patient, reads]) => this.commit(patient, [...reads.values()])));
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
  }

  private async commit(patient: string, reads: Read[]): Promise<void> {
    try {
      const outcome = await this.writer.commit({
        actor: SYSTEM,
        chains: [{ id: patient, model: patientModel, mode: 'existing' }],
        decide: ({ now }) => decideAccess(reads, { chain: patient, now, actor: SYSTEM }),
      });
      if (!outcome.ok) this.logger.error({ event: 'access.not-recorded', code: outcome.refusal.code });
    } catch {
      for (const read of reads) this.keep(patient, read);
    }
  }

  private keep(patient: string, read: Read): void {
    let reads = this.waiting.get(patient);
    if (!reads) this.waiting.set(patient, (reads = new Map()));
    const key = `${read.reader.id} ${read.action}`;
    const newer = reads.get(key);
    reads.set(key, { ...read, chains: [...new Set([...read.chains, ...(newer?.chains ?? [])])] });
    this.timer ??= setTimeout(() => void this.flush(), GATHER_MS).unref();
  }
}
