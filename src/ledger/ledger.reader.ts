import type { Receipt } from './core/record/receipt.js';
import type { ChainKind } from './core/record/event.js';
import { type Db, inPages, placeholders } from '../database/db.js';
import { type ChainRow, isErased, STATE_COLUMNS, STATE_FROM, type StateRow } from './store/chain-row.js';
import { inclusionProof } from './core/tlog/merkle.js';
import { readEvents, readEventsAt, readLatestEvents, refold, stateOf, type StoredEvent } from './read/chain-events.js';
import {
  type ChainModel,
  type Command,
  type CommittedEvent,
  type Outcome,
  type OutsideName,
  isNamed,
} from './model.js';
import type { RememberedRequest } from './store/remembered-requests.js';
import { TileProofs } from './read/stored-proofs.js';
import { readHead } from './store/tip.js';
import type { Vault } from './keys/vault.js';

/** One chain, decrypted. */
export interface ChainView<S> {
  readonly id: string;
  readonly kind: ChainKind;
  readonly number: number;
  readonly subjectNumber: number;
  readonly subject: string;
  readonly seq: number;
  readonly state: S;
}

/** The tree in which a receipt proves an entry. */
export interface ReceiptTree {
  readonly size: number;
  /** A signed note of that size. */
  readonly checkpoint: string;
}

export interface ReceiptOptions {
  readonly tree?: ReceiptTree | undefined;
  readonly disclose?: (event: CommittedEvent) => boolean;
}

const ERASED: Outcome = { ok: false, refusal: { code: 'ledger.erased', facts: {} } };

/** Reads chains, events and proofs on a connection of its own. Callers check access rights. */
export class LedgerReader {
  private readonly proofs: TileProofs;

  constructor(
    private readonly db: Db,
    private readonly vault: Vault,
    readonly origin: string,
  ) {
    this.proofs = new TileProofs(db);
  }

  /** @returns null when there is no such chain of this kind */
  async chain<S>(id: string, model: ChainModel<S>): Promise<ChainView<S> | null> {
    const [row] = await this.rows('c.id', [id]);
    return row && row.kind === model.kind && !isErased(row) ? this.view(row, model) : null;
  }

  /** Chains by number, in the given order; missing ones and those of another kind are left out. */
  async chains<S>(numbers: readonly number[], model: ChainModel<S>): Promise<ChainView<S>[]> {
    const rows = new Map((await this.rows('c.num', numbers)).map((row) => [row.num, row]));
    const views: ChainView<S>[] = [];
    for (const number of numbers) {
      const row = rows.get(number);
      if (row && row.kind === model.kind && !isErased(row)) views.push(await this.view(row, model));
    }
    return views;
  }

  /** Id of the chain with this outside name; null: none. */
  async byName(name: OutsideName): Promise<string | null> {
    const [row] = await this.db.query<{ id: string }>(
      'SELECT c.id FROM name n JOIN chain c ON c.num = n.chain WHERE n.blind = ?',
      [this.vault.index.of(name.domain, name.parts)],
    );
    return row?.id ?? null;
  }

  /** All events of a chain in seq order; none for a chain that does not exist. */
  async events(chainId: string): Promise<CommittedEvent[]> {
    const [row] = await this.rows('c.id', [chainId]);
    if (!row) return [];
    return this.unlessErased([row], [], async () => (await readEvents(this.db, this.vault, row)).map(toCommitted));
  }

  /** Events by log index, in the order of the log. Events of erased chains are left out. */
  async eventsAt(indexes: readonly number[]): Promise<CommittedEvent[]> {
    const entries = await inPages(indexes, (page) =>
      this.db.query<{ chain: number }>(`SELECT DISTINCT chain FROM entry WHERE idx IN ${placeholders(page)}`, page),
    );
    const rows = await this.rows('c.num', [...new Set(entries.map(({ chain }) => chain))]);
    const chains = rows.filter((row) => !isErased(row));
    const byNumber = new Map(chains.map((row) => [row.num, row]));
    return this.unlessErased(chains, [], async () => {
      const sorted = indexes.toSorted((a, b) => a - b);
      return (await readEventsAt(this.db, this.vault, sorted, byNumber)).map(toCommitted);
    });
  }

  /** At most `limit` events of a chain up to position `seq`, newest first; none for a chain that does not exist. */
  async latestEvents(chainId: string, seq: number, limit: number): Promise<CommittedEvent[]> {
    const [row] = await this.rows('c.id', [chainId]);
    if (!row) return [];
    return this.unlessErased([row], [], async () =>
      (await readLatestEvents(this.db, this.vault, row, seq, limit)).map(toCommitted),
    );
  }

  /**
   * The receipt of an entry.
   * @param options.tree must contain the entry and belong to this log; default: the current tree
   * @param options.disclose whether to include payload and salt, unless they were erased
   * @throws RangeError when the log has no such entry
   */
  async receipt(index: number, { tree, disclose = () => false }: ReceiptOptions = {}): Promise<Receipt> {
    const [row] = await this.db.query<{ entry: Buffer; chain: number }>(
      'SELECT entry, chain FROM entry WHERE idx = ?',
      [index],
    );
    if (!row) throw new RangeError('the log has no such entry');
    const receipt = await this.prove(index, row.entry, tree);
    const chains = await this.rows('c.num', [row.chain]);
    return this.unlessErased(chains, receipt, async () => {
      const byNumber = new Map(chains.map((chain) => [chain.num, chain]));
      const [event] = await readEventsAt(this.db, this.vault, [index], byNumber);
      return event && disclose(toCommitted(event)) ? { ...receipt, ...disclosedOf(event) } : receipt;
    });
  }

  /** Rebuilds the answer to an earlier request: its events and the state at that time. The proof may be newer. */
  async replay(command: Command, remembered: RememberedRequest): Promise<Outcome> {
    const rows = await this.rows('c.num', remembered.chains);
    return this.unlessErased(rows, ERASED, () => this.rebuild(rows, command, remembered));
  }

  private async rebuild(rows: readonly StateRow[], command: Command, remembered: RememberedRequest): Promise<Outcome> {
    const byNumber = new Map(rows.map((row) => [row.num, row]));
    const indexes = Array.from({ length: remembered.count }, (_, at) => remembered.first + at);
    const events = await readEventsAt(this.db, this.vault, indexes, byNumber);
    if (events.length !== remembered.count) return ERASED;
    const states: unknown[] = [];
    const ids: string[] = [];
    for (const [position, ref] of command.chains.entries()) {
      const row = byNumber.get(remembered.chains[position] ?? -1);
      const model = isNamed(ref) ? ref.otherwise.model : ref.model;
      ids.push(row?.id ?? (isNamed(ref) ? ref.otherwise.id : ref.id));
      states.push(row ? await refold(this.db, this.vault, row, model, remembered.first + remembered.count - 1) : null);
    }
    const receipts: Receipt[] = [];
    for (const event of events) {
      receipts.push({ ...(await this.prove(event.index, event.entry)), ...disclosedOf(event) });
    }
    return { ok: true, replayed: true, events: events.map(toCommitted), receipts, ids, states };
  }

  /**
   * Handles an erasure between a reader's statements.
   * @param gone result when any of the chains is erased, before or meanwhile
   */
  private async unlessErased<T>(chains: readonly ChainRow[], gone: T, read: () => Promise<T>): Promise<T> {
    if (chains.some(isErased)) return gone;
    const numbers = chains.map(({ num }) => num);
    const isGone = async () => (await this.rows('c.num', numbers)).some(isErased);
    try {
      const found = await read();
      return (await isGone()) ? gone : found;
    } catch (error) {
      if (await isGone()) return gone;
      throw error;
    }
  }

  private async prove(index: number, entry: Buffer, tree?: ReceiptTree): Promise<Receipt> {
    const head = tree ?? (await readHead(this.db));
    if (!head) throw new Error('the log has no head');
    const proof = await this.proofs.prove((hasher, nodeAt) => inclusionProof(hasher, index, head.size, nodeAt));
    return {
      v: 1,
      log: this.origin,
      index,
      entry: entry.toString('base64'),
      proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
      checkpoint: head.checkpoint,
    };
  }

  private rows(column: 'c.id' | 'c.num', values: readonly (string | number)[]): Promise<StateRow[]> {
    return inPages(values, (page) =>
      this.db.query<StateRow>(`SELECT ${STATE_COLUMNS} ${STATE_FROM} WHERE ${column} IN ${placeholders(page)}`, page),
    );
  }

  private async view<S>(row: StateRow, model: ChainModel<S>): Promise<ChainView<S>> {
    const state = await stateOf(this.db, this.vault, row, model);
    return {
      id: row.id,
      kind: row.kind,
      number: row.num,
      subjectNumber: row.subject,
      subject: row.subject_id ?? '',
      seq: row.seq,
      state: state as S,
    };
  }
}

function disclosedOf({ text, salt }: StoredEvent): { payload: string; salt: string } {
  return { payload: Buffer.from(text).toString('base64'), salt: salt.toString('base64') };
}

function toCommitted({ entry: _entry, salt: _salt, text: _text, ...event }: StoredEvent): CommittedEvent {
  return event;
}
