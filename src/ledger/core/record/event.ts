/** What happened, as a payload says it: plain types, here and in the browser. */

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };
export type JsonObject = { [member: string]: Json };
/** No members. */
export type Nothing = Record<string, never>;

/** What a chain is about (design 2). It stands in the payload, never in the entry. */
export type ChainKind = 'prescription' | 'supply' | 'patient' | 'log';

/** Who did it. `system` is RxLedger's own timers and workers. */
export type Role = 'prescriber' | 'pharmacist' | 'patient' | 'auditor' | 'administrator' | 'system';

/** An actor's signature of an event (design 3), over its statement (`statement.ts`). */
export interface EventSignature {
  readonly commandId: string;
  /** Detached JWS by a key in force; of the actor's first key, by the key that is enrolled. */
  readonly jws: string;
  /** Only for an enrolment that another key has signed: the same statement, signed by the key that is enrolled. */
  readonly possession?: string;
}

/** An event as it is committed, as `evolve` sees it now and on every later replay. */
export interface LedgerEvent<T extends string = string, D = JsonObject, V = JsonObject> {
  readonly kind: ChainKind;
  readonly chain: string;
  readonly seq: number;
  readonly type: T;
  readonly data: D;
  readonly derived: V;
  readonly actor: { readonly id: string; readonly role: Role; readonly org: string | null };
  readonly occurredAt: string;
  readonly recordedAt: string;
  /** Absent: its actor did not sign it. */
  readonly signature?: EventSignature;
}
