import { Inject, Injectable, Logger } from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import { consistencyProof } from '../../ledger/core/tlog/merkle.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import { NoteError, openNote, type VerifierKey } from '../../ledger/core/tlog/note.js';
import { tileNodeReader } from '../../ledger/core/tlog/tiles.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { readHead, tileReader } from '../../ledger/store/tip.js';
import { asUnavailable } from '../../ledger/unavailable.js';
import type { PublishedCheckpoint } from '../../ledger/rows/published.js';
import { Published } from './published.js';
import { type AskedWitness, reaches, WITNESS_POLICY, type WitnessPolicy } from './witness-policy.js';
import { readContacts, readCosignatures, storeCosignature, storeFailure } from './cosignatures.js';
import { addCheckpoint, isAlarm, type WitnessFailure } from './witness-client.js';

/** A round that has no quorum by then is over; a cosignature that comes later still counts for its checkpoint. */
const ROUND_MS = 5000;
/** Requests to one witness in one round: the first, and one more after it said where it stands. */
const REQUESTS = 2;

type Result = { readonly line: string } | { readonly failure: WitnessFailure };

/**
 * Rounds of witnessing (design 3): ONE checkpoint, byte-identical, goes to all witnesses of the policy that have not
 * cosigned it yet. A round ends at the quorum or when its time is over. Running one twice, or two at once, changes
 * nothing.
 */
@Injectable()
export class Rounds {
  private readonly logger = new Logger('Rounds');
  private stopped = false;
  /** What is under way in this process, by witness: one that hangs is not asked again meanwhile. */
  private readonly asking = new Map<string, { readonly asked: Promise<boolean>; abort(): void }>();
  /** What was last said of a witness in the log. */
  private readonly told = new Map<string, WitnessFailure | null>();

  constructor(
    @Inject(WITNESS_POLICY) private readonly policy: WitnessPolicy | null,
    private readonly published: Published,
    private readonly db: ReadDb,
    private readonly writer: LedgerWriter,
    private readonly clock: Clock,
  ) {}

  /** One round, of the newest published checkpoint. @throws on outage of the database */
  async run(): Promise<void> {
    const { policy } = this;
    const newest = policy && (await this.published.newest());
    if (!policy || !newest) return;
    const vkeys = policy.witnesses.map(({ vkey }) => vkey);
    const have = await readCosignatures(this.db, vkeys, newest.size, newest.size);
    const cosigned = new Set(have.map(({ witness }) => witness));
    const wanted = policy.witnesses.filter(({ vkey }) => !cosigned.has(vkey) && !this.asking.has(vkey));
    if (wanted.length === 0) return;
    const contacts = await readContacts(this.db, vkeys);
    if (this.stopped) return;
    const done = () =>
      reaches(
        policy.policy,
        policy.witnesses.filter(({ vkey }) => cosigned.has(vkey)),
      );
    // A quorum that is there already does not end the round: the others are still asked.
    const late = done();
    await new Promise<void>((over) => {
      const timer = setTimeout(over, ROUND_MS);
      const all = wanted.map(async (witness) => {
        const known = contacts.find((contact) => contact.witness === witness.vkey)?.size ?? 0;
        if (await this.ask(witness, known, newest)) cosigned.add(witness.vkey);
        if (!late && done()) over();
      });
      void Promise.all(all).finally(() => {
        clearTimeout(timer);
        over();
      });
    });
  }

  /** Ends what is under way and asks no more. */
  async stop(): Promise<void> {
    this.stopped = true;
    const all = [...this.asking.values()];
    for (const each of all) each.abort();
    await Promise.all(all.map(({ asked }) => asked));
  }

  /** Asks one witness and stores what came of it. Never rejects. @returns whether its cosignature is stored */
  private ask(witness: AskedWitness, known: number, newest: PublishedCheckpoint): Promise<boolean> {
    const controller = new AbortController();
    const asked = this.submit(witness, known, newest, controller.signal)
      .then((result) => this.store(witness, newest.size, result))
      .catch((error: unknown) => {
        const outage = asUnavailable(error);
        this.logger.warn(`witness ${witness.name}: ${outage?.message ?? (error instanceof Error ? error.name : '')}`);
        return false;
      })
      .finally(() => this.asking.delete(witness.vkey));
    this.asking.set(witness.vkey, { asked, abort: () => controller.abort() });
    return asked;
  }

  /** @param known size of the tree that it cosigned last, as far as is known here */
  private async submit(
    witness: AskedWitness,
    known: number,
    { size, checkpoint }: PublishedCheckpoint,
    signal: AbortSignal,
  ): Promise<Result> {
    let old = Math.min(known, size);
    for (let request = 1; ; request++) {
      const answer = await addCheckpoint(witness, old, await this.proof(old, size), checkpoint, signal);
      if (answer.kind === 'failed') return answer;
      if (answer.kind === 'cosigned') return cosignatureIn(answer.lines, checkpoint, witness.key);
      if (answer.size > size) return { failure: (await this.hasHad(answer.size)) ? 'newer' : 'ahead' };
      // So a witness answers, by the text of the specification, when the roots of one size differ.
      if (answer.size === old && old === size) return { failure: 'inconsistent' };
      if (answer.size === old || request === REQUESTS) return { failure: 'malformed' };
      old = answer.size;
    }
  }

  private async proof(old: number, size: number): Promise<Uint8Array[]> {
    if (old === 0 || old === size) return [];
    return consistencyProof(nodeHasher, old, size, tileNodeReader(nodeHasher, tileReader(this.db)));
  }

  /** Another process may have submitted what was published since this round began. */
  private async hasHad(size: number): Promise<boolean> {
    return size <= ((await readHead(this.db))?.size ?? 0);
  }

  private async store({ name, vkey }: AskedWitness, size: number, result: Result): Promise<boolean> {
    if ('failure' in result && this.stopped) return false;
    const failure = 'failure' in result ? result.failure : null;
    this.tell(name, failure, size);
    const now = this.clock.now();
    await this.writer.side((db) =>
      'line' in result
        ? storeCosignature(db, { size, witness: vkey, line: result.line }, now)
        : storeFailure(db, vkey, result.failure, now),
    );
    return failure === null;
  }

  /** A state that does not change is logged once. */
  private tell(name: string, failure: WitnessFailure | null, size: number): void {
    const before = this.told.get(name) ?? null;
    this.told.set(name, failure);
    if (failure === before) return;
    if (failure === null) this.logger.log(`witness ${name} cosigns again`);
    else if (isAlarm(failure)) {
      this.logger.error(
        `ALARM: witness ${name} says ${failure} to the checkpoint of ${size} entries: it has cosigned a tree that is not this log's. The log was forked or set back; its checkpoint file is the evidence`,
      );
    } else this.logger.warn(`witness ${name} does not cosign: ${failure}`);
  }
}

/**
 * The witness's line in its answer, verified against the very checkpoint that it was sent. Lines by others say nothing.
 * Line by line: an answer as a whole could move the end of the note's text.
 */
function cosignatureIn(lines: string, checkpoint: string, key: VerifierKey): Result {
  for (const line of lines.split('\n').filter((text) => text.startsWith(`— ${key.name} `))) {
    try {
      openNote(`${checkpoint}${line}\n`, [key]);
      return { line };
    } catch (error) {
      if (!(error instanceof NoteError)) throw error;
    }
  }
  return { failure: 'bad-cosignature' };
}
