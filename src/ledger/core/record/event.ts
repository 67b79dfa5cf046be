/** The content of a payload: plain types, for the server and the browser. */

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };
export type JsonObject = { [member: string]: Json };
/** No members. */
export type Nothing = Record<string, never>;

/** Subject matter of a chain (design 2). It is in the payload, never in the entry. */
export type ChainKind = 'prescription' | 'supply' | 'patient' | 'log';

/** Role of the actor. `system`: RxLedger's own timers and workers. */
export type Role = 'prescriber' | 'pharmacist' | 'patient' | 'auditor' | 'administrator' | 'system';

/** An actor's signature of an event (design 3), over its statement (`statement.ts`). */
export interface EventSignature {
  readonly commandId: string;
  /** Detached JWS by a key in force. The enrolment of an actor's first key is signed by that key. */
  readonly jws: string;
  /** Only for an enrolment signed by another key: the same statement, signed by the enrolled key. */
  readonly possession?: string;
}

/** An event as committed: the input of `evolve`, now and at every later replay. */
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
  /** Absent when the actor did not sign the event. */
  readonly signature?: EventSignature;
}
