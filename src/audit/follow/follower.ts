import type { Clock } from '../../time/clock.js';
import { EncodingError, equal, fromUtf8 } from '../../ledger/core/bytes.js';
import { type FetchFile, LogFileError } from '../../ledger/core/tlog/log-client.js';
import { lossInWords } from '../../ledger/core/statements/continuation.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { Alarm, EvidenceFolder, fileAlarm } from './alarms.js';
import { catchUp } from './catch-up.js';
import { checkContinues, checkKept } from './consistent.js';
import { continuedText, fetchContinued, namesIn } from './continued.js';
import { type AlarmKind, quorumInWords } from './evidence.js';
import { readRemembered, type Remembered, type Signed, writeKept } from './kept.js';
import { alongTrust, checkMoves, keepMoves, type KeyMove, movesText, readMoves } from './key-moves.js';
import { checkForm, NO_CHECKPOINT, openServed } from './open-served.js';
import type { Replica } from './replica/replica.js';
import { SourceError } from './source.js';
import { FollowFolderError, FollowStore } from './chain-ends.js';

/** How the log and the follower stand after a poll without alarm. */
export interface Standing {
  readonly origin: string;
  /** Number of entries that the newest checkpoint signs. */
  readonly size: number;
  /** base64 */
  readonly root: string;
  /** Entries that are checked. */
  readonly checked: number;
  /** Entries that this poll has checked. */
  readonly entries: number;
  /**
   * How far behind the follower was when the poll began: new entries, and the age in seconds of the last checked one.
   */
  readonly lag: { readonly entries: number; readonly seconds: number };
  /** Names of the policy's witnesses that have cosigned. */
  readonly witnesses: readonly string[];
  /** Age of the newest cosignature, seconds; null without one. */
  readonly cosignatureAge: number | null;
  /** All files of evidence in the folder. */
  readonly evidence: number;
  /** For each former name of the log, in words: what was continued and how much of it was lost. Newest first. */
  readonly continues: readonly string[];
  /** Files of the replica that were missing or damaged and were fetched again. */
  readonly mended: number;
  /** Keys that this poll has accepted in place of older ones. Both keys have signed each replacement. */
  readonly rotations: readonly {
    readonly from: string;
    readonly to: string;
    /** Number of entries when the key was replaced. */ readonly size: number;
  }[];
}

export type Poll =
  | { readonly ok: true; readonly standing: Standing }
  | {
      readonly ok: false;
      readonly alarm: AlarmKind;
      readonly what: string;
      /** Path of the evidence file. */ readonly evidence: string;
    };

export interface FollowOptions {
  /** The follower's own choice of keys and witnesses. It must not come from whoever runs the log. */
  readonly policy: Policy;
  readonly fetch: FetchFile;
  /** Address of the service, for the evidence. */
  readonly url: string;
  readonly clock: Clock;
  /** Receives every entry that was checked. */
  readonly replica?: Replica;
  readonly progress?: (done: number, total: number) => void;
  /** Ends the poll's own work. Requests under way are ended by `fetch`. */
  readonly stop?: AbortSignal;
}

/**
 * The auditor's monitor of one log. The newest checkpoint that continues all earlier ones is written to disk before any
 * of its entries is requested. So the log can never take it back. Entries are then checked up to it, step by step.
 */
export class Follower {
  private readonly evidence: EvidenceFolder;
  /** The last files that this poll was served, for evidence. */
  private readonly served = new Map<string, Uint8Array | null>();

  private constructor(
    private readonly folder: string,
    private readonly store: FollowStore,
    private readonly options: FollowOptions,
    private remembered: Remembered,
    /** The replacements of the log's key that this follower has accepted. */
    private moves: readonly KeyMove[],
  ) {
    this.evidence = new EvidenceFolder(folder);
  }

  /** Locks the folder for this process. @throws {FollowFolderError} when it belongs to another log than the policy's */
  static async open(folder: string, options: FollowOptions): Promise<Follower> {
    const store = await FollowStore.open(folder);
    try {
      const { policy, replica } = options;
      const moves = await readMoves(folder, replica);
      const remembered = await readRemembered(folder, policy, moves, replica);
      if ((await store.progress()).size > (remembered.kept?.checkpoint.size ?? 0))
        throw new FollowFolderError('follow.sqlite is ahead of the checkpoint beside it: one of them was replaced');
      return new Follower(folder, store, options, remembered, moves);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.store.close();
  }

  /**
   * Fetches the checkpoint once and checks everything new. The evidence of an alarm is durable before this resolves.
   * @throws {SourceError} when the log cannot be reached; entries checked so far are not requested again
   * @throws {FollowFolderError}; the reason of `stop` when that ends the poll
   */
  async poll(): Promise<Poll> {
    const found = await this.fetchNote();
    const { kept } = this.remembered;
    let known = this.moves;
    const fetch: FetchFile = async (path) => {
      const file = await this.options.fetch(path);
      // The last few are enough: the file at fault is among those served just before.
      this.served.delete(path);
      this.served.set(path, file);
      for (const old of this.served.keys()) if (this.served.size > 16) this.served.delete(old);
      return file;
    };
    try {
      const trust = { policy: this.options.policy, fetch: this.options.fetch, moves: known };
      await checkForm(found, trust);
      const { signed, moves } = await openServed(found, trust);
      known = moves;
      return { ok: true, standing: await this.check(signed, moves, fetch) };
    } catch (error) {
      const alarm = error instanceof LogFileError ? fileAlarm(error, this.served) : error;
      if (!(alarm instanceof Alarm)) throw error;
      const evidence = await this.evidence.keep({
        format: 'rxledger-evidence/1',
        alarm: alarm.kind,
        what: alarm.what,
        at: new Date(this.options.clock.now()).toISOString(),
        url: this.options.url,
        found,
        kept: kept?.note ?? null,
        ...(known.length > 0 && { rotations: known.map(({ receipt }) => receipt) }),
        ...alarm.more,
      });
      return { ok: false, alarm: alarm.kind, what: alarm.what, evidence };
    } finally {
      this.served.clear();
    }
  }

  private async fetchNote(): Promise<string> {
    const file = await this.options.fetch('checkpoint');
    if (!file) throw new SourceError('checkpoint: not there');
    try {
      return fromUtf8(file);
    } catch (error) {
      if (error instanceof EncodingError) throw new SourceError(NO_CHECKPOINT);
      throw error;
    }
  }

  private async check(found: Signed, moves: readonly KeyMove[], fetch: FetchFile): Promise<Standing> {
    const { policy, clock } = this.options;
    const { checkpoint, quorum } = found;
    const earlier = [this.remembered.kept, this.remembered.shown].filter((one) => one !== null);
    const client = await checkContinues(earlier, found, fetch);
    const moved = moves.filter(({ rotation }) => this.moves.every((known) => known.rotation.to !== rotation.to));
    if (moved.length > 0) for (const one of earlier) checkKept(policy, moves, one);
    await checkMoves(moved, checkpoint, client);
    if (!quorum.met) throw new Alarm('quorum', quorumInWords(policy, quorum));
    if (moved.length > 0) await this.keepMoves(moves);
    await this.keep(found);

    const before = await this.store.progress();
    if (!equal(await client.rootAt(before.size), before.tree.root()))
      throw new FollowFolderError('follow.sqlite does not fit the checkpoint beside it: one of them was replaced');
    const now = Math.floor(clock.now() / 1000);
    const { replica, progress, stop } = this.options;
    const { origin } = checkpoint;
    const continued = await fetchContinued(fetch);
    const names = await namesIn(continued, checkpoint, client);
    const shown = continued.filter(({ said }) => names.includes(said)).map(({ receipt }) => receipt);
    await catchUp({
      origin,
      names,
      continued: shown,
      checkpoint,
      client,
      fetch,
      store: this.store,
      before,
      replica,
      progress,
    });
    if (replica && moves.length > 0) await replica.keepRotations(movesText(moves));
    await replica?.keepContinued(names.length > 0 ? continuedText(continued) : null);
    const mended = (await replica?.publish(found.note, checkpoint, client, { progress, stop })) ?? 0;
    this.remembered = { kept: found, shown: null };
    const lag = checkpoint.size - before.size;
    const cosigned = quorum.witnesses.map(({ time }) => Number(time));
    return {
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: Buffer.from(checkpoint.root).toString('base64'),
      checked: checkpoint.size,
      entries: lag,
      lag: { entries: lag, seconds: lag === 0 || before.time === '' ? 0 : now - Date.parse(before.time) / 1000 },
      witnesses: quorum.witnesses.map(({ name }) => name),
      cosignatureAge: cosigned.length === 0 ? null : now - Math.max(...cosigned),
      evidence: await this.evidence.count(),
      continues: names.map(lossInWords),
      mended,
      rotations: alongTrust(policy, moves)
        .filter(({ to }) => moved.some(({ rotation }) => rotation.to === to))
        .map(({ from, to, size }) => ({ from, to, size })),
    };
  }

  private async keepMoves(moves: readonly KeyMove[]): Promise<void> {
    await keepMoves(this.folder, moves);
    this.moves = moves;
  }

  private async keep(found: Signed): Promise<void> {
    if (this.remembered.kept?.note === found.note) return;
    await writeKept(this.folder, found.note);
    this.remembered = { ...this.remembered, kept: found };
  }
}
