/**
 * The types with which a module uses the ledger: events, chain models, commands and outcomes. Plain types only. The
 * ledger imports no module. A module gives the writer a {@link Command} with its own `decide` and, through its {@link
 * ChainModel}, its own `evolve`, `rows` and `names`.
 */
import type { EntitySchema } from 'typeorm';
import type { ChainKind, EventSignature, JsonObject, LedgerEvent, Role } from './core/record/event.js';
import type { Receipt } from './core/record/receipt.js';

export interface Actor {
  /** Account id (UUIDv4); `system` for the service itself, `import` for imported history. */
  readonly id: string;
  readonly role: Role;
  /** Organisation id; null for patients, auditors and the system. */
  readonly org: string | null;
  /** The patient (= patient chain id) that a patient account stands for; null for all others. */
  readonly patient: string | null;
}

/** The service itself, when a worker or a timer acts. */
export const SYSTEM: Actor = { id: 'system', role: 'system', org: null, patient: null };

/** An event to record on one chain, returned by `decide`. */
export interface NewEvent<T extends string = string, D = JsonObject, V = JsonObject> {
  /** Chain id (UUID), one of those that the command names. */
  readonly chain: string;
  /** Type and version, for example `dispense.recorded/1`. */
  readonly type: T;
  /** Data from the caller. JSON only: no undefined, no Date. */
  readonly data: D;
  /** Data that the server decided, since `evolve` reads neither configuration nor clock. */
  readonly derived: V;
  /** When it happened, RFC 3339 UTC with milliseconds; when absent, the instant it is recorded. */
  readonly occurredAt?: string;
  /** Set only by the ledger, after the command's signature was verified. */
  readonly signature?: EventSignature;
}

/** A refusal is a value with a stable code, never an exception (design 4). */
export interface Refusal<C extends string = string> {
  readonly code: C;
  /** Machine-readable facts that help the caller; never health data of others, never secrets. */
  readonly facts: JsonObject;
}

export type Decision<C extends string = string> =
  | { readonly events: readonly NewEvent[] }
  | { readonly refusal: Refusal<C> };

/** One row of a read model; `table` and its columns must be declared in the model's `readModels`. */
export interface Row {
  readonly table: string;
  readonly values: Readonly<Record<string, string | number | null>>;
}

/** A chain's name in the outside world, found only through a blind index. */
export interface OutsideName {
  /** Blind-index domain, for example `order` or `patient-identifier`. */
  readonly domain: string;
  /** The parts of the name in a fixed order, for example `[issuer, order number]`. */
  readonly parts: readonly string[];
}

/** The numbers that rows of a chain may refer to. */
export interface ChainNumbers {
  /** The chain's number: the log index of its first entry. */
  readonly chain: number;
  /** The subject's number. */
  readonly subject: number;
}

/** Defines how one kind of chain computes its state. Pure: it must give the same result years later. */
export interface ChainModel<S = unknown> {
  readonly kind: ChainKind;
  /** Raised whenever `evolve` would give another state for old events: old snapshots are refolded. */
  readonly stateVersion: number;
  /** Raised whenever `rows` or `readModels` would give other rows for the same state: the tables are then rebuilt. */
  readonly rowsVersion: number;
  /**
   * Tables derived only from chain state, with numbers and texts. Each has a column `chain` (the chain's number) as the
   * first part of its key, so that `verify` can compare it chain by chain.
   */
  readonly readModels: readonly EntitySchema[];
  /** Types of events that an actor with a key in force signs. */
  readonly signable?: readonly string[];
  /**
   * Unsigned events that the server adds to a command in the actor's name: by type, the signed types that may cause it.
   */
  readonly consequences?: Readonly<Record<string, readonly string[]>>;
  evolve(state: S | null, event: LedgerEvent): S;
  /**
   * All read-model rows of this state. The writer stores those that changed. Rows are never removed: express an end as
   * a column. A row that later states no longer give stays as last written. Such a row MUST NOT depend on the subject.
   * It may leave only with an event recorded later than its last change: the writer compares states batch by batch. A
   * batch has one instant.
   */
  rows(state: S, numbers: ChainNumbers): readonly Row[];
  /** All outside names of this state. Names are never removed. */
  names(state: S): readonly OutsideName[];
  /**
   * The subject of the chain from this event on, if event and state tell it: the log does not hold the subject that the
   * command named. Null: unchanged; a new chain then belongs to a provisional subject. Without this function a lost
   * chain of this kind cannot be restored.
   * @param state after the event
   */
  subject?(state: S, event: LedgerEvent): SubjectSaid | null;
  /** The provisional subject of another chain, if an event of this kind names it. */
  subjectOfOther?(event: LedgerEvent): { readonly chain: string; readonly subject: string } | null;
}

/** A subject by id, or by the id of another chain with the same subject. */
export type SubjectSaid = { readonly subject: string } | { readonly subjectOf: string };

/** Whose data a chain holds (design 3, keys and erasure). */
export type SubjectRef =
  /** A subject that exists: its id (patient chain id or organisation id). */
  | { readonly subject: string }
  /** A subject created with this command: a new patient (id = its patient chain), or a provisional one (id = fresh UUID). */
  | { readonly newSubject: string };

/** One chain that a command reads and may write. */
export interface ChainRef<S = unknown> {
  readonly id: string;
  readonly model: ChainModel<S>;
  /**
   * `existing`: the command is refused `ledger.chain-unknown` when there is none, or none any more (erased).
   * `new`: refused `ledger.chain-taken` when there is one.
   * `either`: opened when it does not exist (`decide` sees a null state); refused `ledger.erased` when it was erased.
   */
  readonly mode: 'existing' | 'new' | 'either';
  /** Needed for `new` and `either`; an existing chain keeps its subject. */
  readonly subject?: SubjectRef;
  /**
   * When events are accepted on an existing chain of another subject, it is rewrapped to `subject`: a provisional
   * patient is matched. `decide` must make sure that this is right.
   */
  readonly adopt?: true;
}

/** A chain by its outside name. When no chain has the name yet, `otherwise` is used. */
export interface NamedChainRef<S = unknown> {
  readonly name: OutsideName;
  readonly otherwise: ChainRef<S>;
  /**
   * For names that rarely exist (a new order): the name is looked up only after the unique index reported a conflict.
   */
  readonly expect?: 'absent';
}

export const isNamed = (ref: ChainRef | NamedChainRef): ref is NamedChainRef => 'name' in ref;

/** Input of `decide` about the chains of its command. */
export interface View {
  /** State by the position of the chain in `command.chains`; null for a chain that has no entry yet. */
  readonly states: readonly unknown[];
  /** Chain ids by the same positions (a {@link NamedChainRef} resolves to an id here). */
  readonly ids: readonly string[];
  /** Instant of the batch, ms since 1970, from the database's clock where it has one. Becomes `recordedAt`. */
  readonly now: number;
}

/**
 * The state of the first chain of a command, for decisions and outcomes.
 * @param states by the position of their chain
 * @param _model of the first chain, which made its state: it gives the type that the list of states cannot have
 * @returns null for a chain that has no entry yet
 */
export function firstState<S>({ states }: { readonly states: readonly unknown[] }, _model: ChainModel<S>): S | null {
  return (states[0] ?? null) as S | null;
}

export interface Idempotency {
  /** Owner of the key: the account id. */
  readonly client: string;
  /** The caller's `Idempotency-Key`. */
  readonly key: string;
  /** The whole request in canonical form: method, route, ids, body. Only its HMAC is stored. */
  readonly request: string;
}

/** An actor's signature of the event that a command records. */
export interface CommandSignature {
  readonly jws: string;
  /** As signed: the event's own instant where it has one, otherwise an instant about now. */
  readonly occurredAt: string;
  /** See {@link EventSignature}. */
  readonly possession?: string | undefined;
}

export interface Command {
  readonly actor: Actor;
  readonly chains: readonly (ChainRef | NamedChainRef)[];
  readonly idempotency?: Idempotency;
  /**
   * Signs the one event of a signable type that `decide` returns; its commandId is the idempotency key. Null: the event
   * must be signed, whoever the actor is, but the signature is missing.
   */
  readonly signature?: CommandSignature | null | undefined;
  /** Pure. Called once per attempt; a batch that is re-run calls it again. */
  decide(view: View): Decision;
}

export interface CommittedEvent extends LedgerEvent {
  /** Log index of its entry. */
  readonly index: number;
}

/** `replayed`: the idempotency key was known and the answer was rebuilt; nothing new was written. */
export type Outcome =
  | {
      readonly ok: true;
      readonly replayed: boolean;
      readonly events: readonly CommittedEvent[];
      readonly receipts: readonly Receipt[];
      /** Chain ids and states after the events, by the position of the chain in `command.chains`. */
      readonly ids: readonly string[];
      readonly states: readonly unknown[];
    }
  | { readonly ok: false; readonly refusal: Refusal };

export function accept(...events: NewEvent[]): Decision<never> {
  return { events };
}

export function refuse<C extends string>(code: C, facts: JsonObject = {}): Decision<C> {
  return { refusal: { code, facts } };
}
