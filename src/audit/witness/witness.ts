import type { Logger } from 'pino';
import type { Clock } from '../../time/clock.js';
import { type Checkpoint, parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { NoteError, openNote, parseVerifierKey } from '../../ledger/core/tlog/note.js';
import { loadKey, loadOrCreateKey } from '../../ledger/crypto/key-files.js';
import { describeError } from '../../config/logging.js';
import { cosignatureTime, decide, provesFork } from './decide.js';
import { checkpointFile, type WitnessFolder, WitnessFolderError } from './folder.js';
import type { TrustedLog } from './logs.js';
import { readSubmission, type Refusal, type Submission } from './submission.js';
import { WitnessKey } from './witness-key.js';

/** One origin a line. */
const KNOWN = 'cosigned';
/** Limit on the requests for one log that wait for the disk; more get 503. */
const MAX_WAITING = 256;

/** What was cosigned last for a log. */
interface Cosigned extends Checkpoint {
  readonly text: string;
  /** POSIX seconds. */
  readonly time: number;
  /** The signed note as stored: the log's signatures, then ours. */
  readonly note: string;
}

interface Book {
  latest: Cosigned | null;
  /** Resolves when the earlier requests have been answered. */
  turn: Promise<unknown>;
  waiting: number;
}

export type Answer =
  | Refusal
  | { readonly status: 200; /** Signature lines. */ readonly cosignature: string }
  /** The disk, the clock or too many requests prevent an answer now. */
  | { readonly status: 503; readonly reason: string };

/**
 * A witness of several logs (C2SP tlog-witness). A cosignature is on disk with its checkpoint before it is sent. Every
 * later cosignature for that log is consistent with it.
 */
export class Witness {
  private constructor(
    private readonly folder: WitnessFolder,
    private readonly key: WitnessKey,
    private readonly logs: ReadonlyMap<string, TrustedLog>,
    private readonly books: ReadonlyMap<string, Book>,
    private readonly known: Known,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /**
   * @param logs by origin
   * @throws {WitnessFolderError} when a stored checkpoint is missing, or is not cosigned by this key
   */
  static async open(
    folder: WitnessFolder,
    key: WitnessKey,
    logs: ReadonlyMap<string, TrustedLog>,
    clock: Clock,
    logger: Logger,
  ): Promise<Witness> {
    const books = new Map<string, Book>();
    const known = await Known.read(folder);
    for (const origin of logs.keys()) {
      const latest = await readLatest(folder, key, origin);
      if (!latest && known.has(origin))
        throw new WitnessFolderError(
          `${checkpointFile(origin)}, what this witness cosigned last for ${origin}, is gone: without it a fork would be cosigned`,
        );
      if (latest && !known.has(origin)) await known.add(origin);
      books.set(origin, { latest, turn: Promise.resolve(), waiting: 0 });
    }
    return new Witness(folder, key, logs, books, known, clock, logger);
  }

  /** Answers `POST /add-checkpoint`. Requests for one log are decided one after the other. */
  async addCheckpoint(body: Uint8Array): Promise<Answer> {
    const submission = readSubmission(body, this.logs);
    if ('status' in submission) return submission;
    const book = this.books.get(submission.log.origin)!;
    if (book.waiting >= MAX_WAITING) return { status: 503, reason: 'too many requests for this log' };
    book.waiting++;
    const answer = book.turn.then(() => this.take(book, submission));
    book.turn = answer.then(() => book.waiting--);
    return answer;
  }

  private async take(book: Book, submission: Submission): Promise<Answer> {
    const { latest } = book;
    const { log, checkpoint, text } = submission;
    try {
      const refusal = decide(latest, submission);
      if (refusal) {
        if (latest && provesFork(latest, submission)) await this.keepFork(latest, submission);
        return refusal;
      }
      const time = cosignatureTime(Math.floor(this.clock.now() / 1000), latest?.time ?? 0);
      if (time === null) {
        this.logger.error({ origin: log.origin }, "the clock is far behind the last cosignature's time");
        return { status: 503, reason: 'the clock of the witness is wrong' };
      }
      // Repeats within a second get the stored cosignature, so that nobody can wear the disk out with them.
      if (latest && latest.time === time && latest.text === text) return cosigned(latest);
      const next = { ...checkpoint, text, time, note: this.key.cosign(submission.note, time) };
      await this.folder.write(checkpointFile(log.origin), next.note);
      if (!latest) await this.known.add(log.origin);
      book.latest = next;
      this.logger.info({ origin: log.origin, oldSize: submission.oldSize, size: checkpoint.size }, 'cosigned');
      return cosigned(next);
    } catch (error) {
      this.logger.error({ origin: log.origin, ...describeError(error) }, 'not stored');
      return { status: 503, reason: 'the witness cannot store the checkpoint' };
    }
  }

  /** Keeps the first two checkpoints of one size that the log has signed: the pair proves the fork. */
  private async keepFork(latest: Cosigned, { log, note }: Submission): Promise<void> {
    const file = `${checkpointFile(log.origin)}.fork`;
    this.logger.error({ origin: log.origin, size: latest.size, file }, 'the log has signed two trees of one size');
    try {
      if ((await this.folder.read(file)) === null) await this.folder.write(file, `${latest.note}\n${note}`);
    } catch (error) {
      // The client still gets its refusal.
      this.logger.error({ origin: log.origin, ...describeError(error) }, 'the proof of a fork is not kept');
    }
  }
}

const cosigned = ({ note }: Cosigned): Answer => ({
  status: 200,
  cosignature: note.slice(note.lastIndexOf('\n—') + 1),
});

/**
 * The witness's key, made at first use together with its name.
 * @param name needed the first time; another name is refused later, since a key cosigns under one name only
 * @throws {WitnessFolderError}
 */
export async function openWitnessKey(folder: WitnessFolder, name?: string): Promise<WitnessKey> {
  const vkey = (await folder.read('vkey'))?.trimEnd();
  if (vkey === undefined) {
    if (name === undefined) throw new WitnessFolderError('a new witness needs a name');
    const key = new WitnessKey(name, loadOrCreateKey(folder.path, 'witness.key'));
    await folder.write('vkey', `${key.vkey}\n`);
    return key;
  }
  const known = nameIn(vkey);
  if (name !== undefined && name !== known) {
    throw new WitnessFolderError(`the witness of this folder is ${known}; another name needs another folder`);
  }
  const seed = loadKey(folder.path, 'witness.key');
  const key = seed && new WitnessKey(known, seed);
  if (key?.vkey !== vkey) throw new WitnessFolderError('witness.key is not the key that vkey names');
  return key;
}

function nameIn(vkey: string): string {
  try {
    return parseVerifierKey(vkey).name;
  } catch (error) {
    if (error instanceof NoteError) throw new WitnessFolderError(`vkey is damaged: ${error.message}`);
    throw error;
  }
}

/** The origins of all logs that were ever cosigned. They show when a stored checkpoint is missing. */
class Known {
  private writing: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly folder: WitnessFolder,
    private readonly origins: Set<string>,
  ) {}

  static async read(folder: WitnessFolder): Promise<Known> {
    const lines = ((await folder.read(KNOWN)) ?? '').split('\n');
    return new Known(folder, new Set(lines.filter((origin) => origin !== '')));
  }

  has(origin: string): boolean {
    return this.origins.has(origin);
  }

  /** Resolves when the origin is durable. Several logs may be new at once, so writes follow one another. */
  add(origin: string): Promise<void> {
    this.origins.add(origin);
    const text = [...this.origins].map((each) => `${each}\n`).join('');
    const written = this.writing.then(() => this.folder.write(KNOWN, text));
    this.writing = written.catch(() => undefined);
    return written;
  }
}

async function readLatest(folder: WitnessFolder, key: WitnessKey, origin: string): Promise<Cosigned | null> {
  const note = await folder.read(checkpointFile(origin));
  if (note === null) return null;
  try {
    const { text, verified } = openNote(note, [key.verifier]);
    const { size, root, ...checkpoint } = parseCheckpoint(text);
    if (checkpoint.origin === origin) return { origin, size, root, text, time: Number(verified[0]?.time), note };
  } catch {
    // Every fault means the same: this witness has not stored that file.
  }
  throw new WitnessFolderError(`${checkpointFile(origin)} is not a checkpoint of ${origin} that this witness cosigned`);
}
