import type { LedgerEvent } from '../core/record/event.js';
import { NO_KEYS } from '../log-chain/actor-keys.js';
import { type ChainHead, ERASED, freshHead, nameText, rowsOf } from '../store/chain-row.js';
import { BatchState, type Changed, type Known, resolve, type Slot } from './batch-state.js';
import { encodeEntry, entryTime, LOG_CHAIN } from '../core/record/entry.js';
import type { GrowingTree } from '../core/tlog/merkle.js';
import { decideSignature } from '../log-chain/decide-signature.js';
import type { LogChain } from '../log-chain/log-chain.js';
import type { Actor, ChainModel, Command, CommittedEvent, Decision, NewEvent, Refusal } from '../model.js';
import { nodeCheck } from '../crypto/node-signature-check.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { payloadBytes, sealEvent } from '../store/payload.js';
import { freshBytes } from '../crypto/random.js';
import { isSameRequest, type RememberedRequest, requestMac } from '../store/remembered-requests.js';
import type { Vault } from '../keys/vault.js';

/** One event that the batch adds to the log. */
export interface StagedEvent {
  /** Whether the payload is stored in the clear: the log chain's are, and the last one of an erased chain. */
  readonly clear: boolean;
  readonly event: CommittedEvent;
  readonly entry: Uint8Array;
  /** As {@link payloadBytes} gives. */
  readonly body: Buffer;
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

const NOTHING = Buffer.alloc(0);

type Accepted = Extract<Decision, { events: unknown }>;

const refusal = (code: string): Staged => ({ kind: 'refusal', refusal: { code, facts: {} } });

/**
 * Decides the commands of one batch in arrival order, later ones seeing earlier ones' effect, and collects what is to be
 * written. Nothing outside this object changes until the batch is committed, but for the tree: whoever makes the batch
 * anew makes the tree anew, too.
 */
export class Staging {
  readonly entries: StagedEvent[] = [];
  private readonly state: BatchState;
  private readonly time: string;
  private readonly recordedAt: string;

  constructor(
    private readonly vault: Vault,
    /** The log's name, which the entries carry. */
    private readonly origin: string,
    private readonly tree: GrowingTree,
    private readonly now: number,
    /** Gives each subject that the batch makes its number. */
    nextSubject: number,
    /** The log chain at the tip on which the batch is decided; null before its first event. */
    log: ChainHead | null,
  ) {
    this.state = new BatchState(vault, nextSubject, log);
    this.time = entryTime(now);
    this.recordedAt = new Date(now).toISOString();
  }

  /** Chains that the batch changed. */
  get changed(): BatchState['changed'] {
    return this.state.changed;
  }

  /** Subjects that the batch makes. */
  get madeSubjects(): BatchState['madeSubjects'] {
    return this.state.madeSubjects;
  }

  /** Requests that the batch remembers. */
  get remembered(): BatchState['remembered'] {
    return this.state.remembered;
  }

  /** Takes what was read for the commands that are staged next. */
  learn(known: Known): void {
    this.state.learn(known);
  }

  /** @throws whatever a module's `decide`, `evolve`, `rows` or `names` throws: then the command left no trace */
  stage(command: Command, key: Buffer | null): Staged {
    const request = command.idempotency && requestMac(this.vault, command.idempotency);
    if (key && request) {
      const remembered = this.state.request(key);
      if (remembered) {
        return isSameRequest(remembered, request) ? { kind: 'replay', remembered } : refusal('idempotency.key-reused');
      }
    }
    const slots: Slot[] = [];
    for (const ref of command.chains) {
      const slot = resolve(this.state, ref);
      if (typeof slot === 'string') return refusal(slot);
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
   * What `decide` accepted, with the actor's signature, or why it is refused for want of one. No command has to name the
   * log chain for that: its head is always known as it is where this batch begins ({@link HeadCache}). Earlier commands of
   * the batch have changed it here. The batch is written only if the log's head has not moved since. So a key that another
   * process enrols or revokes binds the next entry of the log, whoever writes it.
   */
  private signed(command: Command, slots: readonly Slot[], accepted: Accepted): Decision {
    const log = this.state.head(LOG_CHAIN)?.state as LogChain | null | undefined;
    const keys = log?.actorKeys ?? NO_KEYS;
    if (command.signature === undefined && !Object.hasOwn(keys.inForce, command.actor.id)) return accepted;
    const signable = ({ chain, type }: NewEvent): boolean =>
      slots.find(({ id }) => id === chain)?.model.signable?.includes(type) ?? false;
    return decideSignature(keys, command, accepted.events, signable, this.origin, this.now, nodeCheck);
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
    const subjectsBefore = this.state.madeSubjects.length;
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
      this.state.keepSubjects(subjectsBefore);
      throw error;
    }
    for (const change of changes) this.state.change(change);
    for (const leaf of leaves) this.tree.append(leaf);
    this.entries.push(...staged);
    if (remembers && staged.length > 0) {
      const chains = slots.map((slot) => slot.head?.num ?? -1);
      const signed = staged.some(({ event }) => event.signature !== undefined);
      const usedAt = signed ? null : this.now;
      this.state.remember(key, { request, first, count: staged.length, chains, usedAt });
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
    return freshHead(this.vault, this.state.subjectFor(slot), slot.id, slot.model.kind, index);
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
    // `index` goes before the spread: after it, V8 is about ten times slower.
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
      const subject = this.state.subjectFor(slot);
      head = { ...head, subject, wrappedKey: this.vault.wrapDataKey(subject, head.id, head.dataKey) };
      slot.head = head;
    }
    return {
      head,
      before: this.state.headBefore(head.id),
      model: slot.model,
      rows: rowsOf(slot.model, head.state, head.num, head.subject.num),
      names: new Map(slot.model.names(head.state).map((name) => [nameText(name), this.state.blind(name)])),
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
    this.state.changed.set(head.id, { head: after, before: head, model, rows: new Map(), names: new Map() });
    this.entries.push({
      event: { ...event, index },
      entry: sealed.entry,
      body: sealed.body,
      clear: true,
    });
  }
}
