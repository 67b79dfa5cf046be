import type { Known } from './batch-state.js';
import type { SubjectKey } from '../keys/subject-cache.js';
import { freshKey, VaultError } from '../crypto/aes-gcm.js';
import { type Db, inPages, placeholders } from '../../database/db.js';
import {
  type ChainHead,
  type ChainRow,
  isErased,
  blindOf,
  STATE_COLUMNS,
  STATE_FROM,
  type StateRow,
  subjectOf,
} from '../store/chain-row.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { logModel } from '../log-chain/log-chain.js';
import { type ChainModel, type Command, isNamed } from '../model.js';
import { idempotencyKey, type RememberedRequest, requestOf } from '../store/remembered-requests.js';
import type { Staging } from './staging.js';
import { Recent } from '../core/recently-used.js';
import { type SubjectRow, type Vault } from '../keys/vault.js';
import { stateOf } from '../read/chain-events.js';

/** Reads what a batch of commands needs, and keeps decrypted chain heads from batch to batch. */
export class HeadCache {
  /** By chain id. */
  private readonly heads: Recent<string, ChainHead>;
  /** As {@link log}; undefined: not read yet. */
  private logHead: ChainHead | null | undefined;
  /** The number that the next new subject gets. */
  nextSubject = 1;

  constructor(
    private readonly db: Db,
    private readonly vault: Vault,
    limit: number,
  ) {
    this.heads = new Recent(limit);
  }

  async begin(): Promise<void> {
    // An erased subject has no row any more, but its chains keep its number: it is never given again.
    const [row] = await this.db.query<{ highest: number | null }>(
      'SELECT max(n) AS highest FROM (SELECT max(num) AS n FROM subject UNION ALL SELECT max(subject) FROM chain) AS given',
    );
    this.nextSubject = Math.max(row?.highest ?? 0, 0) + 1;
    if (this.logHead === undefined) this.logHead = await this.readLog();
  }

  /**
   * The head of the log chain, by which each batch knows who signs. It is never dropped for room. Like every head here,
   * it is the one on which the next batch builds. Null before its first event.
   */
  get log(): ChainHead | null {
    if (this.logHead === undefined) throw new Error('the log chain was not read');
    return this.logHead;
  }

  private async readLog(): Promise<ChainHead | null> {
    const head = (await this.readHeads(new Map([[LOG_CHAIN, logModel]]))).get(LOG_CHAIN) ?? null;
    if (head && (head.erased || head.kind !== 'log')) throw new VaultError('the log chain is not what it is to be');
    return head;
  }

  /** Takes over what a batch leaves, before it is written: {@link retract} if it never is. */
  put(staging: Staging): void {
    for (const { head } of staging.changed.values()) this.keep(head);
    for (const subject of staging.madeSubjects) this.vault.subjects.remember(subject);
    this.nextSubject += staging.madeSubjects.length;
  }

  /** Takes back what {@link put} took over. */
  retract(staging: Staging): void {
    for (const [id, { before }] of staging.changed) {
      if (before) this.keep(before);
      else if (id === LOG_CHAIN) this.logHead = null;
      else this.heads.delete(id);
    }
    for (const subject of staging.madeSubjects) this.vault.subjects.forget(subject.id);
    this.nextSubject -= staging.madeSubjects.length;
  }

  clear(): void {
    this.logHead = undefined;
    this.heads.clear();
    this.vault.subjects.clear();
  }

  /** Forgets the chains that have entries from this log index on, and the keys of subjects that these entries erased. */
  async dropSince(size: number): Promise<void> {
    const rows = await this.db.query<{ id: string; subject: number; known: number | null }>(
      `SELECT DISTINCT c.id, c.subject, s.num AS known FROM entry e JOIN chain c ON c.num = e.chain
       LEFT JOIN subject s ON s.num = c.subject WHERE e.idx >= ?`,
      [size],
    );
    for (const { id, subject, known } of rows) {
      if (known === null) this.vault.subjects.forgetNumber(subject);
      if (id === LOG_CHAIN) this.logHead = undefined;
      else this.heads.delete(id);
    }
    await this.begin();
  }

  /**
   * Chain heads, names, subjects and remembered requests that the commands refer to.
   * @param careful read also what a new command hardly ever meets: taken names, chain ids and idempotency keys
   */
  async read(commands: readonly Command[], careful: boolean): Promise<Known> {
    const wanted = this.wanted(commands, careful);
    const names = await this.readNames(wanted.names);
    for (const [blind, model] of wanted.names) {
      const found = names.get(blind);
      if (found !== undefined) wanted.chains.set(found, model);
    }
    const heads = await this.readHeads(wanted.chains);
    const subjects = await this.readSubjects(wanted.subjects);
    const requests = careful ? await this.readRequests(commands) : new Map<string, RememberedRequest>();
    return { heads, names, requests, subjects };
  }

  /** The same from memory alone; null when something would have to be read. */
  peek(command: Command): Known | null {
    const wanted = this.wanted([command], false);
    if (wanted.names.size > 0) return null;
    const heads = new Map<string, ChainHead>();
    for (const id of wanted.chains.keys()) {
      const head = this.lookup(id);
      if (!head) return null;
      heads.set(id, head);
    }
    const subjects = new Map<string, SubjectKey>();
    for (const id of wanted.subjects) {
      const subject = this.vault.subjects.byId(id);
      if (!subject) return null;
      subjects.set(id, subject);
    }
    return { heads, names: new Map(), requests: new Map(), subjects };
  }

  private wanted(commands: readonly Command[], careful: boolean) {
    const names = new Map<string, ChainModel>();
    const chains = new Map<string, ChainModel>();
    const subjects = new Set<string>();
    for (const command of commands) {
      for (const ref of command.chains) {
        const { id, model, mode, subject } = isNamed(ref) ? ref.otherwise : ref;
        // A chain that is opened when the name is free has a fresh id.
        if (careful || (mode !== 'new' && !isNamed(ref))) chains.set(id, model);
        if (isNamed(ref) && (careful || ref.expect !== 'absent')) names.set(this.blind(ref.name), model);
        if (subject && 'subject' in subject) subjects.add(subject.subject);
      }
    }
    return { names, chains, subjects };
  }

  private blind(name: { domain: string; parts: readonly string[] }): string {
    return blindOf(this.vault, name);
  }

  private async readNames(wanted: ReadonlyMap<string, ChainModel>): Promise<Map<string, string>> {
    if (wanted.size === 0) return new Map();
    const blinds = [...wanted.keys()].map((hex) => Buffer.from(hex, 'hex'));
    const rows = await inPages(blinds, (page) =>
      this.db.query<{ blind: Buffer; id: string }>(
        `SELECT n.blind, c.id FROM name n JOIN chain c ON c.num = n.chain WHERE n.blind IN ${placeholders(page)}`,
        page,
      ),
    );
    return new Map(rows.map(({ blind, id }) => [blind.toString('hex'), id]));
  }

  private async readHeads(models: ReadonlyMap<string, ChainModel>): Promise<Map<string, ChainHead>> {
    const found = new Map<string, ChainHead>();
    const missing: string[] = [];
    for (const id of models.keys()) {
      const head = this.lookup(id);
      if (head) found.set(id, head);
      else missing.push(id);
    }
    // A book that is judged names all its chains.
    const rows = await inPages(missing, (page) =>
      this.db.query<StateRow>(`SELECT ${STATE_COLUMNS} ${STATE_FROM} WHERE c.id IN ${placeholders(page)}`, page),
    );
    for (const row of rows) {
      const model = models.get(row.id) as ChainModel;
      if (isErased(row)) found.set(row.id, closedHead(row, true));
      else if (row.kind !== model.kind) found.set(row.id, closedHead(row, false));
      else found.set(row.id, this.keep(await this.headOf(row, model)));
    }
    return found;
  }

  private async headOf(row: StateRow, model: ChainModel): Promise<ChainHead> {
    const subject = subjectOf(this.vault, row);
    const dataKey = this.vault.unwrapDataKey(subject, row.id, row.data_key);
    const state = await stateOf(this.db, this.vault, row, model, dataKey);
    return {
      num: row.num,
      id: row.id,
      kind: row.kind,
      subject,
      seq: row.seq,
      leaf: row.leaf,
      dataKey,
      wrappedKey: row.data_key,
      state,
      erased: false,
    };
  }

  private async readSubjects(ids: ReadonlySet<string>): Promise<Map<string, SubjectKey>> {
    const found = new Map<string, SubjectKey>();
    const missing: string[] = [];
    for (const id of ids) {
      const subject = this.vault.subjects.byId(id);
      if (subject) found.set(id, subject);
      else missing.push(id);
    }
    const rows = await inPages(missing, (page) =>
      this.db.query<SubjectRow>(
        `SELECT num, id, kek, wrapped_key FROM subject WHERE id IN ${placeholders(page)}`,
        page,
      ),
    );
    for (const row of rows) found.set(row.id, this.vault.subjectFromRow(row));
    return found;
  }

  private async readRequests(commands: readonly Command[]): Promise<Map<string, RememberedRequest>> {
    const keys = commands.flatMap(({ idempotency }) => (idempotency ? [idempotencyKey(this.vault, idempotency)] : []));
    if (keys.length === 0) return new Map();
    const rows = await this.db.query<{
      key: Buffer;
      request: Buffer;
      first: number;
      count: number;
      chains: string;
      used_at: number | null;
    }>(`SELECT key, request, first, count, chains, used_at FROM idempotency WHERE key IN ${placeholders(keys)}`, keys);
    return new Map(
      rows.map((row) => [
        row.key.toString('hex'),
        {
          request: requestOf(row.request),
          first: row.first,
          count: row.count,
          chains: JSON.parse(row.chains) as number[],
          usedAt: row.used_at,
        },
      ]),
    );
  }

  private lookup(id: string): ChainHead | undefined {
    return id === LOG_CHAIN ? (this.logHead ?? undefined) : this.heads.get(id);
  }

  private keep(head: ChainHead): ChainHead {
    if (head.id === LOG_CHAIN) this.logHead = head;
    else this.heads.set(head.id, head);
    return head;
  }
}

/** A chain that exists but must not be read: erased, being erased, or of another kind than the command expects. */
export function closedHead(row: ChainRow, erased: boolean): ChainHead {
  const key = freshKey();
  const subject = { num: row.subject, id: row.subject_id ?? '', key };
  const { num, id, kind, seq, leaf, data_key: wrappedKey } = row;
  return {
    num,
    id,
    kind,
    subject,
    seq,
    leaf,
    dataKey: key,
    wrappedKey,
    state: null,
    erased,
  };
}
