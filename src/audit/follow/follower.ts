// Longer than 300 lines: the steps of one look share what it has found so far, and are read in their order.
import type { Clock } from '../../time/clock.js';
import { EncodingError, equal, fromUtf8 } from '../../ledger/core/bytes.js';
import { type Checkpoint, parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { type FetchFile, LogClient, LogFileError } from '../../ledger/core/tlog/log-client.js';
import { handOver, passedOn, type Rotation } from '../../ledger/core/statements/key-rotation.js';
import { lossInWords } from '../../ledger/core/statements/continuation.js';
import { formatVerifierKey, splitNote } from '../../ledger/core/tlog/note.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { Alarm, EvidenceFolder, fileAlarm, prefixOf } from './alarms.js';
import { catchUp } from './catch-up.js';
import { continuedText, fetchContinued, namesIn } from './continued.js';
import { type AlarmKind, quorumInWords } from './evidence.js';
import { isNotOurs, openMoved, readRemembered, type Remembered, type Signed, writeKept } from './kept.js';
import { checkMoves, fetchMoves, keepMoves, type KeyMove, movesText, readMoves } from './key-moves.js';
import { malformedIn } from './malformed.js';
import type { Replica } from './replica/replica.js';
import { SourceError } from './source.js';
import { FollowFolderError, FollowStore } from './chain-ends.js';

const NO_CHECKPOINT = 'checkpoint: not a signed checkpoint';

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
  /** What the log had grown when the poll began, entries, and the age of the last entry known then, seconds. */
  readonly lag: { readonly entries: number; readonly seconds: number };
  /** Names of the policy's witnesses that have cosigned. */
  readonly witnesses: readonly string[];
  /** Age of the newest cosignature, seconds; null without one. */
  readonly cosignatureAge: number | null;
  /** Files of evidence in the folder, from all times. */
  readonly evidence: number;
  /** What the log goes on from under its name, and how much of that was lost, newest first. */
  readonly continues: readonly string[];
  /** Files of the replica that were missing or damaged, and are there again. */
  readonly mended: number;
  /** Keys that this poll has moved on to: the old one and the new one have signed that. */
  readonly rotations: readonly {
    readonly from: string;
    readonly to: string;
    /** Number of entries then. */ readonly size: number;
  }[];
}

export type Poll =
  | { readonly ok: true; readonly standing: Standing }
  | {
      readonly ok: false;
      readonly alarm: AlarmKind;
      readonly what: string;
      /** Where the evidence is. */ readonly evidence: string;
    };

export interface FollowOptions {
  /** Whoever runs the log has no part in it: it is the follower's own. */
  readonly policy: Policy;
  readonly fetch: FetchFile;
  /** Named in evidence. */
  readonly url: string;
  readonly clock: Clock;
  /** Kept up to date with what was checked. */
  readonly replica?: Replica;
  readonly progress?: (done: number, total: number) => void;
  /** Ends what a look does by itself; what it waits for, `fetch` ends. */
  readonly stop?: AbortSignal;
}

/**
 * The auditor's monitor of one log. It never forgets the newest checkpoint that it has found consistent with the ones
 * before: that is on the disk before any entry of it is asked for. Entries are checked up to it, step by step.
 */
export class Follower {
  private readonly evidence: EvidenceFolder;
  /** The files of this poll that were served last, for evidence. */
  private readonly served = new Map<string, Uint8Array | null>();

  private constructor(
    private readonly folder: string,
    private readonly store: FollowStore,
    private readonly options: FollowOptions,
    private remembered: Remembered,
    /** How the log's key was replaced, as far as this follower has gone along. */
    private moves: readonly KeyMove[],
  ) {
    this.evidence = new EvidenceFolder(folder);
  }

  /** Keeps the folder for this process. @throws {FollowFolderError} when it is not one of this policy's log */
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
   * Looks once, and checks everything that is new. An alarm's evidence is durable before this resolves.
   * @throws {SourceError} when the log is away; what was checked until then is not asked for again
   * @throws {FollowFolderError}; the reason of `stop` when that ends it
   */
  async poll(): Promise<Poll> {
    const found = await this.fetchNote();
    const { kept } = this.remembered;
    let known = this.moves;
    const fetch: FetchFile = async (path) => {
      const file = await this.options.fetch(path);
      // The last few are enough: what is at fault was just served.
      this.served.delete(path);
      this.served.set(path, file);
      for (const old of this.served.keys()) if (this.served.size > 16) this.served.delete(old);
      return file;
    };
    try {
      await this.checkForm(found);
      const { signed, moves } = await this.openFound(found);
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

  /**
   * @throws {SourceError} when it is no checkpoint: somebody else answers, a proxy, say; or when the log is away
   * @throws {Alarm} when the log itself has signed that, by a key that is known or one that has replaced it
   */
  private async checkForm(note: string): Promise<void> {
    try {
      parseCheckpoint(splitNote(note).text);
    } catch (error) {
      if (!isNotOurs(error)) throw error;
      checkMalformed(note, this.options.policy, this.moves);
      checkMalformed(note, this.options.policy, await this.movesBeside());
      throw new SourceError(NO_CHECKPOINT);
    }
  }

  /**
   * The moves that are served beside what is no checkpoint. That they are none either is no alarm: a proxy answers
   * everything alike.
   * @throws {SourceError}; {Alarm} `fork`
   */
  private async movesBeside(): Promise<readonly KeyMove[]> {
    try {
      return await fetchMoves(this.options.fetch, this.moves);
    } catch (error) {
      if (error instanceof Alarm && error.kind === 'signature') return this.moves;
      throw error;
    }
  }

  /**
   * Opens what was served. Where no key that is known has signed it, the log may have replaced its key: a new one is
   * taken when the old one has signed that, and kept once the tree that both have signed is found to be continued.
   */
  private async openFound(note: string): Promise<{ signed: Signed; moves: readonly KeyMove[] }> {
    const { policy, fetch } = this.options;
    try {
      return { signed: openMoved(policy, this.moves, note), moves: this.moves };
    } catch (error) {
      if (!isNotOurs(error)) throw error;
      const { size } = parseCheckpoint(splitNote(note).text);
      const served = await fetchMoves(fetch, this.moves);
      // The log may have grown since: what lies behind this checkpoint is for the next look.
      const moves = served.filter(({ receipt }) => handOver(receipt).size <= size);
      try {
        if (moves.length === this.moves.length) throw error;
        return { signed: openMoved(policy, moves, note), moves };
      } catch (other) {
        if (isNotOurs(other)) throw (await this.wentOn(served)) ?? new Alarm('signature', other.message);
        throw other;
      }
    }
  }

  /** Whether the log of a trusted key goes on under another name: nobody but its reader decides to trust that one. */
  private async wentOn(moves: readonly KeyMove[]): Promise<Alarm | null> {
    const { policy, fetch } = this.options;
    const pinned = policy.logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
    const trusted = [...pinned, ...alongTrust(policy, moves).map(({ to }) => to)];
    const [next] = (await fetchContinued(fetch)).filter(({ said }) => trusted.includes(said.from));
    if (!next) return null;
    const words = `the log goes on as ${next.said.origin}, under the key ${next.said.to}: ${lossInWords(next.said)}`;
    const rotations = moves.length > 0 && { rotations: moves.map(({ receipt }) => receipt) };
    return new Alarm('log', words, { continued: [next.receipt], ...rotations });
  }

  private async check(found: Signed, moves: readonly KeyMove[], fetch: FetchFile): Promise<Standing> {
    const { policy, clock } = this.options;
    const { checkpoint, quorum } = found;
    const earlier = [this.remembered.kept, this.remembered.shown].filter((one) => one !== null);
    for (const one of earlier) {
      const { note: kept, checkpoint: before } = one;
      if (before.origin !== checkpoint.origin)
        throw new Alarm('log', `another log answers: ${checkpoint.origin}`, { kept });
      if (checkpoint.size < before.size) await this.rolledBack(one, found, fetch);
      if (before.size === checkpoint.size && !equal(before.root, checkpoint.root))
        throw new Alarm('fork', `two signed trees of ${checkpoint.size} entries`, { kept });
    }
    const client = await LogClient.open(nodeHasher, fetch, checkpoint);
    for (const one of earlier) await continues(one.checkpoint, checkpoint, client, one.note);
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

  /**
   * The log shows less than it has signed. Where it still serves the tree that it seems to have lost, the two are
   * compared, since a smaller tree of another root is a fork, and provable.
   */
  private async rolledBack(kept: Signed, found: Signed, fetch: FetchFile): Promise<never> {
    const words = `${found.checkpoint.size} entries after ${kept.checkpoint.size}`;
    let client: LogClient;
    try {
      client = await LogClient.open(nodeHasher, fetch, kept.checkpoint);
      await continues(found.checkpoint, kept.checkpoint, client, kept.note);
    } catch (error) {
      if (error instanceof LogFileError)
        throw new Alarm('rollback', `${words}; the rest is not served any more`, { kept: kept.note });
      throw error;
    }
    throw new Alarm('rollback', `${words}; the rest is still served, so that this may be an old answer`, {
      kept: kept.note,
    });
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

/**
 * @param kept the one of the two that is remembered, as a signed note
 * @throws {Alarm} when the newer tree, whose files `client` reads, does not begin with the older one
 */
async function continues(older: Checkpoint, newer: Checkpoint, client: LogClient, kept: string): Promise<void> {
  if (equal(await client.rootAt(older.size), older.root)) return;
  const prefix = await prefixOf(client, older.size, newer.size);
  const words = `${newer.size} signed entries do not continue ${older.size} signed entries`;
  throw new Alarm('fork', words, { prefix, kept });
}

/** Leaves out those from before the log had a pinned key. */
function alongTrust({ logs }: Policy, moves: readonly KeyMove[]): Rotation[] {
  const pinned = logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  return passedOn(
    pinned,
    moves.map(({ rotation }) => rotation),
  );
}

/** @throws {Alarm} when the log has signed what is no checkpoint, by a key to which these moves pass trust */
function checkMalformed(note: string, policy: Policy, moves: readonly KeyMove[]): void {
  const malformed = malformedIn(
    note,
    policy,
    moves.map(({ rotation }) => rotation),
  );
  if (!malformed) return;
  const rotations = moves.length > 0 && { rotations: moves.map(({ receipt }) => receipt) };
  throw new Alarm('signature', `the log has signed what is no checkpoint: ${malformed.why}`, { ...rotations });
}

/** @throws {Alarm} when what was kept is signed by a key that had been replaced before */
function checkKept(policy: Policy, moves: readonly KeyMove[], { note, checkpoint }: Signed): void {
  try {
    openMoved(policy, moves, note);
  } catch (error) {
    if (!isNotOurs(error)) throw error;
    throw new Alarm('signature', `a key that had been replaced before has signed ${checkpoint.size} entries`, {
      kept: note,
    });
  }
}
