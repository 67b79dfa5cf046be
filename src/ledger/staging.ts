import { BatchRows, type BatchTable } from './batch-statement.js';
import { blindOf, type ChainHead, ERASED, erasureSeal, nameText, rowsOf, sameRow, stateColumn } from './chain-head.js';
import { encodeEntry, entryTime, ZERO32 } from './core/entry.js';
import type { GrowingTree } from './core/merkle.js';
import type {
  Actor,
  ChainModel,
  ChainRef,
  Command,
  CommittedEvent,
  LedgerEvent,
  NamedChainRef,
  NewEvent,
  OutsideName,
  Refusal,
  SubjectRef,
} from './model.js';
import { nodeHasher } from './node-hasher.js';
import { payloadBytes, sealEvent } from './payload.js';
import { freshBytes } from './random.js';
import { T } from './tables.js';
import { encrypt, freshKey, type SubjectKey, type Vault } from './vault.js';

/** A remembered request: its events stand at `first … first + count - 1`. */
export interface RememberedRequest {
  readonly request: Buffer;
  readonly first: number;
  readonly count: number;
  /** Chain numbers by the position of the chain in the command. */
  readonly chains: readonly number[];
}

/** One event that the batch adds to the log. */
export interface StagedEvent {
  /** Stored in the clear, as the last payload of an erased chain is. */
  readonly clear: boolean;
  readonly event: CommittedEvent;
  readonly entry: Uint8Array;
  readonly salt: Uint8Array;
  readonly text: string;
}

export type Staged =
  | {
      readonly kind: 'events';
      readonly events: readonly StagedEvent[];
      readonly ids: readonly string[];
      readonly states: readonly unknown[];
    }
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | { readonly kind: 'replay'; readonly remembered: RememberedRequest };

/** What was read before the batch is decided. */
export interface Known {
  readonly heads: ReadonlyMap<string, ChainHead>;
  /** Blind index (hex) to chain id. */
  readonly names: ReadonlyMap<string, string>;
  /** Idempotency key (hex) to the request that used it. */
  readonly requests: ReadonlyMap<string, RememberedRequest>;
  /** Subjects named by commands, by id. */
  readonly subjects: ReadonlyMap<string, SubjectKey>;
}

const NOTHING = Buffer.alloc(0);

export const isNamed = (ref: ChainRef | NamedChainRef): ref is NamedChainRef => 'name' in ref;

const refusal = (code: string): Staged => ({ kind: 'refusal', refusal: { code, facts: {} } });

/** A position of a command with the chain that it resolved to. */
interface Slot {
  readonly id: string;
  readonly model: ChainModel;
  readonly subject: SubjectRef | undefined;
  readonly adopt: boolean;
  head: ChainHead | null;
}

/**
 * Decides the commands of one batch in arrival order, later ones seeing earlier ones' effect, and collects
 * what is to be written. Nothing outside this object changes until the batch is committed, but for the
 * tree, which the writer constructs anew when the batch fails.
 */
export class Staging {
  /** Heads that the batch changed. */
  readonly changed = new Map<string, { head: ChainHead; before: ChainHead | null; model: ChainModel }>();
  readonly entries: StagedEvent[] = [];
  private readonly known = {
    heads: new Map<string, ChainHead>(),
    names: new Map<string, string>(),
    requests: new Map<string, RememberedRequest>(),
    subjects: new Map<string, SubjectKey>(),
  };
  private readonly names = new Map<string, string>();
  /** Blind indexes (hex) by name: most are asked for twice. */
  private readonly blinds = new Map<string, string>();
  private readonly requests = new Map<string, RememberedRequest>();
  private readonly subjects = new Map<string, SubjectKey>();
  private readonly newSubjects: SubjectKey[] = [];
  private readonly remembered: [key: Buffer, request: RememberedRequest][] = [];
  private readonly time: string;
  private readonly recordedAt: string;

  constructor(
    private readonly vault: Vault,
    private readonly tree: GrowingTree,
    private readonly now: number,
    /** Gives each subject that the batch makes its number. */
    private readonly nextSubject: number,
  ) {
    this.time = entryTime(now);
    this.recordedAt = new Date(now).toISOString();
  }

  /** Takes what was read for the commands that are staged next. */
  learn({ heads, names, requests, subjects }: Known): void {
    for (const [id, head] of heads) this.known.heads.set(id, head);
    for (const [blind, id] of names) this.known.names.set(blind, id);
    for (const [key, request] of requests) this.known.requests.set(key, request);
    for (const [id, subject] of subjects) this.known.subjects.set(id, subject);
  }

  /** @throws whatever a module's `decide`, `evolve`, `rows` or `names` throws: then the command left no trace */
  stage(command: Command, key: Buffer | null): Staged {
    const request = command.idempotency && requestMac(this.vault, command.idempotency);
    if (key && request) {
      const hex = key.toString('hex');
      const remembered = this.requests.get(hex) ?? this.known.requests.get(hex);
      if (remembered) {
        return remembered.request.equals(request) ? { kind: 'replay', remembered } : refusal('idempotency.key-reused');
      }
    }
    const slots: Slot[] = [];
    for (const ref of command.chains) {
      const slot = this.resolve(ref);
      if ('kind' in slot) return slot;
      slots.push(slot);
    }
    const decision = command.decide({
      states: slots.map((slot) => slot.head?.state ?? null),
      ids: slots.map((slot) => slot.id),
      now: this.now,
    });
    if ('refusal' in decision) return { kind: 'refusal', refusal: decision.refusal };
    return this.append(command, slots, decision.events, key, request);
  }

  private blind(name: OutsideName): string {
    const text = nameText(name);
    let blind = this.blinds.get(text);
    if (blind === undefined) this.blinds.set(text, (blind = blindOf(this.vault, name)));
    return blind;
  }

  private head(id: string): ChainHead | null {
    return this.changed.get(id)?.head ?? this.known.heads.get(id) ?? null;
  }

  private resolve(ref: ChainRef | NamedChainRef): Slot | Staged {
    const wanted = isNamed(ref) ? ref.otherwise : ref;
    let id = wanted.id;
    let mode = wanted.mode;
    if (isNamed(ref)) {
      const blind = this.blind(ref.name);
      const found = this.names.get(blind) ?? this.known.names.get(blind);
      if (found !== undefined) {
        id = found;
        mode = 'existing';
      }
    }
    const head = this.head(id);
    if (head === null && mode === 'existing') return refusal('ledger.chain-unknown');
    if (head !== null && mode === 'new') return refusal('ledger.chain-taken');
    if (head !== null && head.kind !== wanted.model.kind) return refusal('ledger.chain-unknown');
    if (head?.erased) return refusal('ledger.erased');
    return { id, model: wanted.model, subject: wanted.subject, adopt: wanted.adopt ?? false, head };
  }

  private append(
    command: Command,
    slots: readonly Slot[],
    events: readonly NewEvent[],
    key: Buffer | null,
    request: Buffer | undefined,
  ): Staged {
    const first = this.tree.size;
    const staged: StagedEvent[] = [];
    const leaves: Uint8Array[] = [];
    const touched = new Set<Slot>();
    const before = new Map(slots.map((slot) => [slot.id, this.head(slot.id)]));
    const subjectsBefore = this.newSubjects.length;
    try {
      for (const [position, event] of events.entries()) {
        const slot = slots.find(({ id }) => id === event.chain);
        if (!slot) throw new Error(`decide answered ${event.type} for a chain that its command does not name`);
        const index = first + position;
        const head = slot.head ?? this.open(slot, index);
        const { next, leaf, item } = this.seal(command, slot.model, head, event, index);
        for (const same of slots) if (same.id === slot.id) same.head = next;
        touched.add(slot);
        staged.push(item);
        leaves.push(leaf);
      }
      for (const slot of touched) this.settleSlot(slot);
    } catch (error) {
      for (const subject of this.newSubjects.splice(subjectsBefore)) this.subjects.delete(subject.id);
      throw error;
    }
    for (const slot of touched) {
      const head = slot.head as ChainHead;
      const earlier = this.changed.get(slot.id);
      this.changed.set(slot.id, {
        head,
        before: earlier ? earlier.before : (before.get(slot.id) ?? null),
        model: slot.model,
      });
      for (const blind of head.names.values()) this.names.set(blind, slot.id);
    }
    for (const leaf of leaves) this.tree.append(leaf);
    this.entries.push(...staged);
    if (key && request && staged.length > 0) {
      const remembered = { request, first, count: staged.length, chains: slots.map((slot) => slot.head?.num ?? -1) };
      this.requests.set(key.toString('hex'), remembered);
      this.remembered.push([key, remembered]);
    }
    return {
      kind: 'events',
      events: staged,
      ids: slots.map(({ id }) => id),
      states: slots.map(({ head }) => head?.state ?? null),
    };
  }

  /** A chain without entries yet: its number is the log index of its first entry. */
  private open(slot: Slot, index: number): ChainHead {
    const subject = this.subjectFor(slot);
    const dataKey = freshKey();
    const wrappedKey = this.vault.wrapDataKey(subject, slot.id, dataKey);
    return {
      num: index,
      id: slot.id,
      kind: slot.model.kind,
      subject,
      seq: -1,
      leaf: ZERO32,
      dataKey,
      wrappedKey,
      state: null,
      rows: new Map(),
      names: new Map(),
      erased: false,
    };
  }

  private subjectFor(slot: Slot): SubjectKey {
    if (!slot.subject) throw new Error('a chain that is opened needs a subject');
    const id = 'subject' in slot.subject ? slot.subject.subject : slot.subject.newSubject;
    const known = this.subjects.get(id) ?? this.known.subjects.get(id) ?? this.subjectOfHead(id);
    if (known) return known;
    if ('subject' in slot.subject) throw new Error('a command names a subject that does not exist');
    const fresh = this.vault.freshSubject(this.nextSubject + this.newSubjects.length, id);
    this.subjects.set(id, fresh);
    this.newSubjects.push(fresh);
    return fresh;
  }

  /** A patient's subject id is the id of the patient chain, which the command may name. */
  private subjectOfHead(id: string): SubjectKey | undefined {
    const head = this.head(id);
    return head?.subject.id === id ? head.subject : undefined;
  }

  private seal(command: Command, model: ChainModel, head: ChainHead, event: NewEvent, index: number) {
    const { actor } = command;
    const recorded: LedgerEvent = {
      kind: model.kind,
      chain: head.id,
      seq: head.seq + 1,
      type: event.type,
      data: event.data,
      derived: event.derived,
      actor: { id: actor.id, role: actor.role, org: actor.org },
      occurredAt: event.occurredAt ?? this.recordedAt,
      recordedAt: this.recordedAt,
    };
    const { salt, text, entry, leaf } = this.enter(recorded, head);
    const state = model.evolve(head.state, recorded);
    const next: ChainHead = { ...head, seq: recorded.seq, leaf, state };
    return { next, leaf, item: { event: { ...recorded, index }, entry, salt, text, clear: false } };
  }

  /** Payload, commitment and entry of the next event of a chain. */
  private enter(event: LedgerEvent, head: ChainHead) {
    const salt = freshBytes(32);
    const { text, commitment } = sealEvent(nodeHasher, salt, event);
    const { origin } = this.vault;
    const entry = encodeEntry({
      chain: head.id,
      commitment,
      log: origin,
      prev: head.leaf,
      seq: event.seq,
      time: this.time,
    });
    return { salt, text, entry, leaf: nodeHasher.leaf(entry) };
  }

  /** Rows, names and, for a provisional subject that was matched, the new wrapping. */
  private settleSlot(slot: Slot): void {
    let head = slot.head as ChainHead;
    if (slot.adopt && slot.subject && 'subject' in slot.subject && slot.subject.subject !== head.subject.id) {
      const subject = this.subjectFor(slot);
      head = { ...head, subject, wrappedKey: this.vault.wrapDataKey(subject, head.id, head.dataKey) };
    }
    slot.head = {
      ...head,
      rows: rowsOf(slot.model, head.state, head.num, head.subject.num),
      names: new Map(slot.model.names(head.state).map((name) => [nameText(name), this.blind(name)])),
    };
  }

  /**
   * Ends a chain with {@link ERASED}, in the clear and without key or state. What it held is deleted by the caller in
   * the same transaction.
   */
  erase(head: ChainHead, model: ChainModel, actor: Actor): void {
    const event: LedgerEvent = {
      kind: head.kind,
      chain: head.id,
      seq: head.seq + 1,
      type: ERASED,
      data: {},
      derived: {},
      actor: { id: actor.id, role: actor.role, org: actor.org },
      occurredAt: this.recordedAt,
      recordedAt: this.recordedAt,
    };
    const sealed = this.enter(event, head);
    const index = this.tree.append(sealed.leaf);
    const after = {
      ...head,
      seq: event.seq,
      leaf: sealed.leaf,
      wrappedKey: NOTHING,
      state: null,
      rows: new Map(),
      names: new Map(),
      erased: true,
    };
    this.changed.set(head.id, { head: after, before: head, model });
    this.entries.push({
      event: { ...event, index },
      entry: sealed.entry,
      salt: sealed.salt,
      text: sealed.text,
      clear: true,
    });
  }

  /** Everything that the batch writes. */
  rows(tables: readonly BatchTable[]): BatchRows {
    const rows = new BatchRows(tables);
    const position = new Map(tables.map(({ table }, at) => [table, at]));
    const keyed = new Set(this.remembered.map(([, { first }]) => first));
    for (const { event, entry, salt, text, clear } of this.entries) {
      const head = this.changed.get(event.chain)?.head as ChainHead;
      rows.add(T.entry, [event.index, head.num, event.seq, entry]);
      const aad = this.vault.aad('payload', event.chain, event.seq, 'payload');
      const body = payloadBytes(salt, text, keyed.has(event.index));
      rows.add(T.payload, [event.index, clear ? body : encrypt(head.dataKey, aad, body)]);
    }
    for (const { head, before, model } of this.changed.values()) {
      const aad = this.vault.aad('state', head.id, head.seq, stateColumn(model));
      const state = head.erased
        ? erasureSeal(this.vault, head.id, head.kind, head.subject.num)
        : encrypt(head.dataKey, aad, Buffer.from(JSON.stringify(head.state)));
      rows.add(T.chain, [
        head.num,
        head.id,
        head.kind,
        head.subject.num,
        head.seq,
        head.leaf,
        head.wrappedKey,
        head.erased ? 0 : model.stateVersion,
        state,
      ]);
      for (const [key, row] of head.rows) {
        const stored = before?.rows.get(key);
        if (stored && sameRow(stored, row)) continue;
        rows.add(position.get(row.table) as number, row.values);
      }
      for (const [text, blind] of head.names) {
        if (!before?.names.has(text)) rows.add(T.name, [Buffer.from(blind, 'hex'), head.num]);
      }
    }
    for (const subject of this.newSubjects) {
      const { kek, wrapped } = this.vault.wrapSubjectKey(subject);
      rows.add(T.subject, [subject.num, subject.id, kek, wrapped]);
    }
    for (const [key, { request, first, count, chains }] of this.remembered) {
      const places = JSON.stringify(chains);
      rows.add(T.idempotency, [
        key,
        Buffer.concat([request, requestSeal(this.vault, key, request, first, count, places)]),
        first,
        count,
        places,
      ]);
    }
    return rows;
  }

  /** Subjects that the batch makes. */
  get madeSubjects(): readonly SubjectKey[] {
    return this.newSubjects;
  }
}

export function idempotencyKey(vault: Vault, { client, key }: { client: string; key: string }): Buffer {
  return vault.mac('idempotency-key', client, key);
}

const MAC_BYTES = 32;

/** The request's MAC out of column `request`, which holds MAC || seal. */
export const requestOf = (column: Buffer): Buffer => column.subarray(0, MAC_BYTES);

/** Binds a remembered request to its events: an edited row is found by `verify`. */
export function requestSeal(
  vault: Vault,
  key: Buffer,
  request: Buffer,
  first: number,
  count: number,
  chains: string,
): Buffer {
  return vault.mac(
    'idempotency-seal',
    key.toString('hex'),
    request.toString('hex'),
    String(first),
    String(count),
    chains,
  );
}

function requestMac(vault: Vault, { client, request }: { client: string; request: string }): Buffer {
  return vault.mac('idempotency-request', client, request);
}
