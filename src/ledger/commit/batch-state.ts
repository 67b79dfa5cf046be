import { type ChainHead, nameText, type StoredRow } from '../store/chain-row.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import {
  type ChainModel,
  type ChainRef,
  isNamed,
  type NamedChainRef,
  type OutsideName,
  type SubjectRef,
} from '../model.js';
import type { RememberedRequest } from '../store/remembered-requests.js';
import type { SubjectKey } from '../keys/subject-cache.js';
import type { Vault } from '../keys/vault.js';

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

/** A position of a command with the chain that it resolved to. */
export interface Slot {
  readonly id: string;
  readonly model: ChainModel;
  readonly subject: SubjectRef | undefined;
  readonly adopt: boolean;
  head: ChainHead | null;
}

/** The log as the commands of a batch see it: what was read, and over it what earlier commands of the batch changed. */
export class BatchState {
  /** By chain id. */
  readonly changed = new Map<string, Changed>();
  /** Requests that the batch remembers. */
  readonly remembered: [key: Buffer, request: RememberedRequest][] = [];
  /** Subjects that the batch makes. */
  readonly madeSubjects: SubjectKey[] = [];
  private readonly known = {
    heads: new Map<string, ChainHead>(),
    names: new Map<string, string>(),
    requests: new Map<string, RememberedRequest>(),
    subjects: new Map<string, SubjectKey>(),
  };
  private readonly names = new Map<string, string>();
  private readonly requests = new Map<string, RememberedRequest>();
  private readonly subjects = new Map<string, SubjectKey>();
  /** Blind indexes by name: most are asked for twice. */
  private readonly blinds = new Map<string, Buffer>();

  constructor(
    private readonly vault: Vault,
    /** Gives each subject that the batch makes its number. */
    private readonly nextSubject: number,
    /** The log chain at the tip on which the batch is decided; null before its first event. */
    log: ChainHead | null,
  ) {
    if (log) this.known.heads.set(LOG_CHAIN, log);
  }

  /** Takes what was read for the commands that are decided next. */
  learn({ heads, names, requests, subjects }: Known): void {
    for (const [id, head] of heads) this.known.heads.set(id, head);
    for (const [blind, id] of names) this.known.names.set(blind, id);
    for (const [key, request] of requests) this.known.requests.set(key, request);
    for (const [id, subject] of subjects) this.known.subjects.set(id, subject);
  }

  head(id: string): ChainHead | null {
    return this.changed.get(id)?.head ?? this.known.heads.get(id) ?? null;
  }

  /** The head of a chain before the batch; null for one that the batch opens. */
  headBefore(id: string): ChainHead | null {
    const earlier = this.changed.get(id);
    return earlier ? earlier.before : (this.known.heads.get(id) ?? null);
  }

  /** The chain that has a name. */
  named(name: OutsideName): string | undefined {
    const blind = this.blind(name).toString('hex');
    return this.names.get(blind) ?? this.known.names.get(blind);
  }

  blind(name: OutsideName): Buffer {
    const text = nameText(name);
    let blind = this.blinds.get(text);
    if (blind === undefined) this.blinds.set(text, (blind = this.vault.index.of(name.domain, name.parts)));
    return blind;
  }

  /** @param key an idempotency key as stored */
  request(key: Buffer): RememberedRequest | undefined {
    const hex = key.toString('hex');
    return this.requests.get(hex) ?? this.known.requests.get(hex);
  }

  /** The subject of a chain that is opened or adopted: known, or made now. */
  subjectFor(slot: Slot): SubjectKey {
    if (!slot.subject) throw new Error('a chain that is opened needs a subject');
    const id = 'subject' in slot.subject ? slot.subject.subject : slot.subject.newSubject;
    if ((id === LOG_CHAIN) !== (slot.id === LOG_CHAIN))
      throw new Error('the log chain is its own subject, and nothing else is');
    const known = this.subjects.get(id) ?? this.known.subjects.get(id) ?? this.subjectOfHead(id);
    if (known) return known;
    if ('subject' in slot.subject) throw new Error('a command names a subject that does not exist');
    const fresh = this.vault.freshSubject(this.nextSubject + this.madeSubjects.length, id);
    this.subjects.set(id, fresh);
    this.madeSubjects.push(fresh);
    return fresh;
  }

  /** A patient's subject id is the id of the patient chain, which the command may name. */
  private subjectOfHead(id: string): SubjectKey | undefined {
    const head = this.head(id);
    return head?.subject.id === id ? head.subject : undefined;
  }

  /** Takes back the subjects that a command made which then failed. @param count how many there were before it */
  keepSubjects(count: number): void {
    for (const subject of this.madeSubjects.splice(count)) this.subjects.delete(subject.id);
  }

  change(change: Changed): void {
    const { id } = change.head;
    this.changed.set(id, change);
    for (const blind of change.names.values()) this.names.set(blind.toString('hex'), id);
  }

  remember(key: Buffer, request: RememberedRequest): void {
    this.requests.set(key.toString('hex'), request);
    this.remembered.push([key, request]);
  }
}

/** The chain that a command means. @returns a refusal's code when it may not have it */
export function resolve(state: BatchState, ref: ChainRef | NamedChainRef): Slot | string {
  const wanted = isNamed(ref) ? ref.otherwise : ref;
  const found = isNamed(ref) ? state.named(ref.name) : undefined;
  const id = found ?? wanted.id;
  const mode = found === undefined ? wanted.mode : 'existing';
  const { model, subject, adopt = false } = wanted;
  // Nobody opens a chain in the place of the log's own.
  if (id === LOG_CHAIN && model.kind !== 'log' && mode !== 'existing') return 'ledger.chain-taken';
  const head = state.head(id);
  if (head === null && mode === 'existing') return 'ledger.chain-unknown';
  if (head !== null && mode === 'new') return 'ledger.chain-taken';
  if (head !== null && head.kind !== model.kind) return 'ledger.chain-unknown';
  // No state is left to authorise anybody against: to whoever names it, an erased chain never was. The erasure is told to
  // whoever repeats a request of their own (a replay), and where the chain would have to be opened anew.
  if (head?.erased) return mode === 'existing' ? 'ledger.chain-unknown' : 'ledger.erased';
  return { id, model, subject, adopt, head };
}
