import type { LedgerEvent } from '../core/record/event.js';
import { NO_KEYS } from '../log-chain/actor-keys.js';
import { type ChainHead, ERASED, freshHead, nameText, rowsOf, type StoredRow } from '../store/chain-row.js';
import { encodeEntry, entryTime, LOG_CHAIN } from '../core/record/entry.js';
import type { GrowingTree } from '../core/tlog/merkle.js';
import { decideSignature } from '../log-chain/decide-signature.js';
import type { LogChain } from '../log-chain/log-chain.js';
import {
  type Actor,
  type ChainModel,
  type ChainRef,
  type Command,
  type CommittedEvent,
  type Decision,
  isNamed,
  type NamedChainRef,
  type NewEvent,
  type OutsideName,
  type Refusal,
  type SubjectRef,
} from '../model.js';
import { nodeCheck } from '../crypto/node-signature-check.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { payloadBytes, sealEvent } from '../store/payload.js';
import { freshBytes } from '../crypto/random.js';
import { isSameRequest, type RememberedRequest, requestMac } from '../store/remembered-requests.js';
import type { SubjectKey, Vault } from '../keys/vault.js';

/** One event that the batch adds to the log. */
export interface StagedEvent {
  /** Stored in the clear: of the log chain, or the last payload of an erased chain. */
  readonly clear: boolean;
  readonly event: CommittedEvent;
  readonly entry: Uint8Array;
  /** As {@link payloadBytes} gives. */
  readonly body: Buffer;
}

/** A chain that the batch changed. */
export interface Changed {
  readonly head: ChainHead;
  /** As it was before the batch; null for a chain that the batch opens. */
  readonly before: ChainHead | null;
  readonly model: ChainModel;
  /** All read-model rows of the new state by table and key. */
  readonly rows: ReadonlyMap<string, StoredRow>;
  /** All outside names of the new state: canonical text to blind index. */
  readonly names: ReadonlyMap<string, Buffer>;
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

type Accepted = Extract<Decision, { events: unknown }>;

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
  readonly changed = new Map<string, Changed>();
  readonly entries: StagedEvent[] = [];
  private readonly known = {
    heads: new Map<string, ChainHead>(),
    names: new Map<string, string>(),
    requests: new Map<string, RememberedRequest>(),
    subjects: new Map<string, SubjectKey>(),
  };
  private readonly names = new Map<string, string>();
  /** Blind indexes by name: most are asked for twice. */
  private readonly blinds = new Map<string, Buffer>();
  private readonly requests = new Map<string, RememberedRequest>();
  private readonly subjects = new Map<string, SubjectKey>();
  /** Requests that the batch remembers. */
  readonly remembered: [key: Buffer, request: RememberedRequest][] = [];
  private readonly newSubjects: SubjectKey[] = [];
  private readonly time: string;
  private readonly recordedAt: string;

  constructor(
    private readonly vault: Vault,
    /** The log's name, which the entries carry. */
    private readonly origin: string,
    private readonly tree: GrowingTree,
    private readonly now: number,
    /** Gives each subject that the batch makes its number. */
    private readonly nextSubject: number,
    /** The log chain at the end of the log on which the batch is decided; null before its first event. */
    log: ChainHead | null,
  ) {
    if (log) this.known.heads.set(LOG_CHAIN, log);
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
        return isSameRequest(remembered, request) ? { kind: 'replay', remembered } : refusal('idempotency.key-reused');
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
    const signed = 'refusal' in decision ? decision : this.signed(command, slots, decision);
    if ('refusal' in signed) return { kind: 'refusal', refusal: signed.refusal };
    return this.append(command, slots, signed.events, key, request);
  }

  /**
   * What `decide` accepted, with the actor's signature, or why it is refused for want of one. No command has to name
   * the log chain for that: its head is always known, exactly as it is where this batch begins ({@link HeadCache}),
   * and earlier commands of the batch have changed it here. The batch is written only if the log's head has not moved
   * since, so that an enrolment or a revocation by another process binds the next entry of the log, whoever writes it.
   */
  private signed(command: Command, slots: readonly Slot[], accepted: Accepted): Decision {
    const log = this.head(LOG_CHAIN)?.state as LogChain | null | undefined;
    const keys = log?.actorKeys ?? NO_KEYS;
    if (command.signature === undefined && !Object.hasOwn(keys.inForce, command.actor.id)) return accepted;
    const signable = ({ chain, type }: NewEvent): boolean =>
      slots.find(({ id }) => id === chain)?.model.signable?.includes(type) ?? false;
    return decideSignature(keys, command, accepted.events, signable, this.origin, this.now, nodeCheck);
  }

  private blind(name: OutsideName): Buffer {
    const text = nameText(name);
    let blind = this.blinds.get(text);
    if (blind === undefined) this.blinds.set(text, (blind = this.vault.blindIndex(name.domain, name.parts)));
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
      const blind = this.blind(ref.name).toString('hex');
      const found = this.names.get(blind) ?? this.known.names.get(blind);
      if (found !== undefined) {
        id = found;
        mode = 'existing';
      }
    }
    // Nobody opens a chain in the place of the log's own.
    if (id === LOG_CHAIN && wanted.model.kind !== 'log' && mode !== 'existing') return refusal('ledger.chain-taken');
    const head = this.head(id);
    if (head === null && mode === 'existing') return refusal('ledger.chain-unknown');
    if (head !== null && mode === 'new') return refusal('ledger.chain-taken');
    if (head !== null && head.kind !== wanted.model.kind) return refusal('ledger.chain-unknown');
    if (head?.erased) {
      // No state is left to authorise anybody against: to who names it, it is a chain that never was. The erasure is told
      // to who repeats a request of their own (a replay), and where the chain would have to be opened anew.
      return refusal(mode === 'existing' ? 'ledger.chain-unknown' : 'ledger.erased');
    }
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
    const changes: Changed[] = [];
    const subjectsBefore = this.newSubjects.length;
    const remembers = key !== null && request !== undefined;
    try {
      for (const [position, event] of events.entries()) {
        const slot = slots.find(({ id }) => id === event.chain);
        if (!slot) throw new Error(`decide answered ${event.type} for a chain that its command does not name`);
        const index = first + position;
        const head = slot.head ?? this.open(slot, index);
        const { next, leaf, item } = this.seal(command, slot.model, head, event, index, remembers && position === 0);
        for (const same of slots) if (same.id === slot.id) same.head = next;
        touched.add(slot);
        staged.push(item);
        leaves.push(leaf);
      }
      for (const slot of touched) changes.push(this.settle(slot));
    } catch (error) {
      for (const subject of this.newSubjects.splice(subjectsBefore)) this.subjects.delete(subject.id);
      throw error;
    }
    for (const change of changes) {
      const { id } = change.head;
      this.changed.set(id, change);
      for (const blind of change.names.values()) this.names.set(blind.toString('hex'), id);
    }
    for (const leaf of leaves) this.tree.append(leaf);
    this.entries.push(...staged);
    if (remembers && staged.length > 0) {
      const chains = slots.map((slot) => slot.head?.num ?? -1);
      const remembered = { request, first, count: staged.length, chains, usedAt: this.now };
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
    return freshHead(this.vault, this.subjectFor(slot), slot.id, slot.model.kind, index);
  }

  private subjectFor(slot: Slot): SubjectKey {
    if (!slot.subject) throw new Error('a chain that is opened needs a subject');
    const id = 'subject' in slot.subject ? slot.subject.subject : slot.subject.newSubject;
    if ((id === LOG_CHAIN) !== (slot.id === LOG_CHAIN))
      throw new Error('the log chain is its own subject, and nothing else is');
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

  private seal(command: Command, model: ChainModel, head: ChainHead, event: NewEvent, index: number, keyed: boolean) {
    const { actor } = command;
    const unsigned: LedgerEvent = {
      kind: model.kind,
      chain: head.id,
      seq: head.seq + 1,
      type: event.type,
      data: event.data,
      derived: event.derived,
      actor: { id: actor.id, org: actor.org, role: actor.role },
      occurredAt: event.occurredAt ?? this.recordedAt,
      recordedAt: this.recordedAt,
    };
    const recorded: LedgerEvent = event.signature ? { signature: event.signature, ...unsigned } : unsigned;
    const { body, entry, leaf } = this.enter(recorded, head, keyed);
    const state = model.evolve(head.state, recorded);
    const next: ChainHead = { ...head, seq: recorded.seq, leaf, state };
    // New members before what is spread: behind it they cost ten times as much.
    return { next, leaf, item: { event: { index, ...recorded }, entry, body, clear: head.id === LOG_CHAIN } };
  }

  /** Payload, commitment and entry of the next event of a chain. */
  private enter(event: LedgerEvent, head: ChainHead, keyed: boolean) {
    const salt = freshBytes(32);
    const { text, commitment } = sealEvent(nodeHasher, salt, event);
    const entry = encodeEntry({
      chain: head.id,
      commitment,
      log: this.origin,
      prev: head.leaf,
      seq: event.seq,
      time: this.time,
    });
    return { body: payloadBytes(salt, text, keyed), entry, leaf: nodeHasher.leaf(entry) };
  }

  /** What the chain leaves: rows, names and, for a provisional subject that was matched, the new wrapping. */
  private settle(slot: Slot): Changed {
    let head = slot.head as ChainHead;
    if (slot.adopt && slot.subject && 'subject' in slot.subject && slot.subject.subject !== head.subject.id) {
      const subject = this.subjectFor(slot);
      head = { ...head, subject, wrappedKey: this.vault.wrapDataKey(subject, head.id, head.dataKey) };
      slot.head = head;
    }
    const { id } = head;
    const earlier = this.changed.get(id);
    return {
      head,
      before: earlier ? earlier.before : (this.known.heads.get(id) ?? null),
      model: slot.model,
      rows: rowsOf(slot.model, head.state, head.num, head.subject.num),
      names: new Map(slot.model.names(head.state).map((name) => [nameText(name), this.blind(name)])),
    };
  }

  /**
   * Ends a chain with {@link ERASED}, in the clear and without key or state. What it held is deleted by the caller in
   * the same transaction.
   * @param said nothing personal
   */
  erase(head: ChainHead, model: ChainModel, actor: Actor, said: Pick<LedgerEvent, 'data' | 'derived'>): void {
    const event: LedgerEvent = {
      kind: head.kind,
      chain: head.id,
      seq: head.seq + 1,
      type: ERASED,
      data: said.data,
      derived: said.derived,
      actor: { id: actor.id, org: actor.org, role: actor.role },
      occurredAt: this.recordedAt,
      recordedAt: this.recordedAt,
    };
    const sealed = this.enter(event, head, false);
    const index = this.tree.append(sealed.leaf);
    const after = {
      ...head,
      seq: event.seq,
      leaf: sealed.leaf,
      wrappedKey: NOTHING,
      state: null,
      erased: true,
    };
    this.changed.set(head.id, { head: after, before: head, model, rows: new Map(), names: new Map() });
    this.entries.push({
      event: { ...event, index },
      entry: sealed.entry,
      body: sealed.body,
      clear: true,
    });
  }

  /** Subjects that the batch makes. */
  get madeSubjects(): readonly SubjectKey[] {
    return this.newSubjects;
  }
}
