import type { Changed } from '../commit/batch-state.js';
import type { SubjectKey } from '../keys/subject-cache.js';
import { randomUUID } from 'node:crypto';
import type { Db } from '../../database/db.js';
import type { BatchContent } from '../commit/batch-content.js';
import {
  CHAIN_COLUMNS,
  CHAIN_FROM,
  type ChainHead,
  type ChainRow,
  freshHead,
  nameText,
  keepRows,
  type StoredRow,
  subjectOf,
} from '../store/chain-row.js';
import { LOG_CHAIN, ZERO32 } from '../core/record/entry.js';
import { HeadCache } from '../commit/head-cache.js';
import { isNext, type LostEvent, RestoreRefused } from './lost-part.js';
import { accept, type ChainModel, type ChainRef, type Command, type SubjectSaid, SYSTEM } from '../model.js';
import { payloadBytes } from '../store/payload.js';
import type { StagedEvent } from '../commit/staging.js';
import type { SubjectRow, Vault } from '../keys/vault.js';

export interface RestoreTools {
  readonly db: Db;
  readonly vault: Vault;
  /** By kind. */
  readonly models: ReadonlyMap<string, ChainModel>;
  /** Provisional subjects that later events name, by chain id. */
  readonly provisional: ReadonlyMap<string, string>;
}

/**
 * Lost events to write again: entries unchanged, everything else as the writer makes it, under fresh data keys. Make
 * and write it while holding the head's lock.
 */
export class RestoredBatch implements BatchContent {
  readonly entries: StagedEvent[] = [];
  readonly changed = new Map<string, Changed>();
  readonly madeSubjects: SubjectKey[] = [];
  /** Exports hold no requests, so those of lost entries stay forgotten. */
  readonly remembered = [];
  private readonly heads = new Map<string, ChainHead>();
  /** By chain id. */
  private readonly rows = new Map<string, Map<string, StoredRow>>();
  private readonly before = new Map<string, ChainHead>();

  private constructor(
    private readonly tools: RestoreTools,
    private readonly cache: HeadCache,
  ) {}

  /** @throws {RestoreRefused} when an event does not follow from what the database holds */
  static async of(tools: RestoreTools, events: readonly LostEvent[]): Promise<RestoredBatch> {
    const cache = new HeadCache(tools.db, tools.vault, events.length);
    await cache.begin();
    const batch = new RestoredBatch(tools, cache);
    await batch.readHeads(events);
    for (const lost of events) await batch.take(lost);
    for (const head of batch.heads.values()) batch.settle(head);
    return batch;
  }

  private async readHeads(events: readonly LostEvent[]): Promise<void> {
    const models = new Map(events.map(({ event }) => [event.chain, this.modelOf(event)]));
    const chains = [...models].map(([id, model]): ChainRef => ({ id, model, mode: 'existing' }));
    const reading: Command = { actor: SYSTEM, chains, decide: () => accept() };
    for (const [id, head] of (await this.cache.read([reading], false)).heads) this.before.set(id, head);
  }

  private modelOf({ kind, index }: LostEvent['event']): ChainModel {
    const model = this.tools.models.get(kind);
    if (!model?.subject) throw new RestoreRefused(`entry ${index} is of a kind that is not known`);
    return model;
  }

  private async take(lost: LostEvent): Promise<void> {
    const { event, entry, leaf, salt, text } = lost;
    const { chain, index } = event;
    const model = this.modelOf(event);
    const head = this.heads.get(chain) ?? this.before.get(chain) ?? null;
    if (head?.erased) throw new RestoreRefused(`entry ${index} follows the erasure of its chain`);
    if (head && head.kind !== event.kind) throw new RestoreRefused(`entry ${index} is of a kind that its chain is not`);
    if (!isNext(lost, head ?? { seq: -1, leaf: ZERO32 }))
      throw new RestoreRefused(`entry ${index} does not follow the entry before it in its chain`);
    const state = evolved(model, head?.state ?? null, event);
    const said = model.subject?.(state, event) ?? null;
    const placed = head ? await this.moved(head, said) : await this.opened(event, said);
    this.heads.set(chain, { ...placed, seq: event.seq, leaf, state });
    const rows = this.rows.get(chain) ?? new Map<string, StoredRow>();
    keepRows(rows, model, state, placed.num, placed.subject.num);
    this.rows.set(chain, rows);
    this.entries.push({ event, entry, body: payloadBytes(salt, text, false), clear: chain === LOG_CHAIN });
  }

  private async opened({ chain, kind, index }: LostEvent['event'], said: SubjectSaid | null): Promise<ChainHead> {
    const subject = await this.subjectOf(said ?? { subject: this.tools.provisional.get(chain) ?? randomUUID() });
    if ((subject.id === LOG_CHAIN) !== (chain === LOG_CHAIN))
      throw new RestoreRefused(`entry ${index} opens a chain of a subject that it cannot have`);
    return freshHead(this.tools.vault, subject, chain, kind, index);
  }

  /** If the event names another subject, the chain's key is wrapped for that one. */
  private async moved(head: ChainHead, said: SubjectSaid | null): Promise<ChainHead> {
    const subject = said ? await this.subjectOf(said) : head.subject;
    if (subject.id === head.subject.id) return head;
    return { ...head, subject, wrappedKey: this.tools.vault.wrapDataKey(subject, head.id, head.dataKey) };
  }

  private async subjectOf(said: SubjectSaid): Promise<SubjectKey> {
    return 'subject' in said ? this.subject(said.subject) : this.subjectOfChain(said.subjectOf);
  }

  /** The subject with that id, made new when there is none yet. */
  private async subject(id: string): Promise<SubjectKey> {
    const { db, vault } = this.tools;
    const known = this.madeSubjects.find((made) => made.id === id) ?? vault.subjects.byId(id);
    if (known) return known;
    const [row] = await db.query<SubjectRow>('SELECT num, id, kek, wrapped_key FROM subject WHERE id = ?', [id]);
    if (row) return vault.subjectFromRow(row);
    const fresh = vault.freshSubject(this.cache.nextSubject + this.madeSubjects.length, id);
    this.madeSubjects.push(fresh);
    return fresh;
  }

  private async subjectOfChain(id: string): Promise<SubjectKey> {
    const head = this.heads.get(id) ?? this.before.get(id);
    if (head && !head.erased) return head.subject;
    const { db, vault } = this.tools;
    const [row] = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE c.id = ?`, [id]);
    if (!row) throw new RestoreRefused('a chain belongs to one that is not there');
    return subjectOf(vault, row);
  }

  /** Adds the chain's rows and outside names to the batch. */
  private settle(head: ChainHead): void {
    const model = this.tools.models.get(head.kind) as ChainModel;
    this.changed.set(head.id, {
      head,
      before: this.before.get(head.id) ?? null,
      model,
      rows: this.rows.get(head.id) ?? new Map(),
      names: new Map(
        model.names(head.state).map((name) => [nameText(name), this.tools.vault.index.of(name.domain, name.parts)]),
      ),
    });
  }
}

function evolved(model: ChainModel, state: unknown, event: LostEvent['event']): unknown {
  const { index, ...recorded } = event;
  try {
    return model.evolve(state, recorded);
  } catch {
    throw new RestoreRefused(`entry ${index} cannot follow the entries before it`);
  }
}
