/** Refusals as RFC 9457 problems, and the way from an outcome of the ledger to an answer. */
import type { JsonObject } from '../../ledger/core/record/event.js';
import { z } from 'zod';
import type { Outcome, Refusal } from '../../ledger/model.js';
import { REFUSALS } from '../../refusals/refusals.js';
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';

export const PROBLEM_TYPE = 'application/problem+json';

/** The shape of a problem, for the API's description. */
export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string().describe('stable; programs decide by it'),
  })
  .describe('RFC 9457 problem; facts of the refusal are further members');

/** RFC 9457 section 3: `application/problem+json`. The facts of the refusal are extension members. */
export type Problem = JsonObject & { type: string; title: string; status: number; code: string };

/** Carries a refusal out of a controller to the problem filter. Not a bug: never logged as an error. */
export class RefusalException extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.code);
    this.name = 'RefusalException';
  }
}

/** A refusal by the request itself. */
export function refuseRequest(code: RequestRefusalCode, facts: JsonObject = {}): RefusalException {
  return new RefusalException({ code, facts });
}

export type Accepted = Extract<Outcome, { ok: true }>;

/**
 * @returns the outcome of a command that was accepted
 * @throws {RefusalException} with the refusal of one that was not
 */
export function answer(outcome: Outcome): Accepted {
  if (!outcome.ok) throw new RefusalException(outcome.refusal);
  return outcome;
}

/**
 * What a service answers about something to which the actor has no relation: exactly what the ledger
 * says of a chain that does not exist (design 7).
 */
export const AS_IF_ABSENT: Refusal<'ledger.chain-unknown'> = { code: 'ledger.chain-unknown', facts: {} };

/** Every stable code with its HTTP status and title. */
const CODES: Readonly<Record<string, { status: number; title: string }>> = REFUSALS;

/**
 * @returns the problem of a refusal. `type`, `title`, `status` and `code` are the problem's own: a
 * fact of the same name does not appear. A code that no table knows is `internal`: a bug, status 500.
 */
export function problemOf({ code, facts }: Refusal): Problem {
  const known = Object.hasOwn(CODES, code) ? CODES[code] : undefined;
  if (!known) return problemOf({ code: 'internal', facts: {} });
  return { ...facts, type: `urn:rxledger:problem:${code}`, title: known.title, status: known.status, code };
}
