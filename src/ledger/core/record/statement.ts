import type { JsonObject, LedgerEvent } from '../../model.js';
import { utf8 } from '../bytes.js';
import { jcs } from '../jcs.js';

/** What an actor signs of an event (design 3). All of it stands in entry and payload, so that it can be rebuilt. */
export interface Statement {
  /** The log's origin. */
  readonly log: string;
  /** Chain id. */
  readonly chain: string;
  readonly type: string;
  readonly actor: LedgerEvent['actor'];
  /** RFC 3339 UTC with milliseconds. */
  readonly occurredAt: string;
  /** The request's `Idempotency-Key`: unique per actor, so that nothing signed is recorded twice. */
  readonly commandId: string;
  readonly data: JsonObject;
}

/** Members of a payload that the statement repeats. */
export const STATED: readonly string[] = ['actor', 'data', 'occurredAt', 'type'];

/** The statement of an event that carries a commandId. */
export function statementOf(
  log: string,
  { chain, type, actor, occurredAt, data }: Pick<LedgerEvent, 'chain' | 'type' | 'actor' | 'occurredAt' | 'data'>,
  commandId: string,
): Statement {
  return { log, chain, type, actor, occurredAt, commandId, data };
}

/** The bytes that are signed: RFC 8785. @throws JcsError */
export function statementBytes({ log, chain, type, actor, occurredAt, commandId, data }: Statement): Uint8Array {
  return utf8(jcs({ log, chain, type, actor, occurredAt, commandId, data }));
}
