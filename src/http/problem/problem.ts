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
    type: z.string().describe('`urn:rxledger:problem:` and the code'),
    title: z.string().describe('for people: what is wrong and what to do next'),
    status: z.number().int().describe('the HTTP status'),
    code: z.string().describe('stable: programs decide by it'),
  })
  .meta({
    id: 'Problem',
    title: 'Problem',
    description: 'A refusal (RFC 9457). Facts that help are further members, for example `validUntil`.',
  });

/** RFC 9457 section 3: `application/problem+json`. The facts of the refusal are extension members. */
export type Problem = JsonObject & { type: string; title: string; status: number; code: string };

/** Carries a refusal from a controller to the problem filter. It is not a bug and is never logged as an error. */
export class RefusalException extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.code);
    this.name = 'RefusalException';
  }
}

/** Refuses a request for what it is, before any module decides. */
export function refuseRequest(code: RequestRefusalCode, facts: JsonObject = {}): RefusalException {
  return new RefusalException({ code, facts });
}

export type Accepted = Extract<Outcome, { ok: true }>;

/**
 * @returns the outcome if the command was accepted
 * @throws {RefusalException} with the refusal if it was not
 */
export function answer(outcome: Outcome): Accepted {
  if (!outcome.ok) throw new RefusalException(outcome.refusal);
  return outcome;
}

/**
 * The answer about a record to which the actor has no relation: exactly what the ledger says about one that does not
 * exist (design 7).
 */
export const AS_IF_ABSENT: Refusal<'ledger.chain-unknown'> = { code: 'ledger.chain-unknown', facts: {} };

/** Every stable code with its HTTP status and title. */
const CODES: Readonly<Record<string, { status: number; title: string }>> = REFUSALS;

/**
 * @returns the problem of a refusal. A fact that is named `type`, `title`, `status` or `code` does not appear. A code that
 * no table knows is a bug and becomes `internal`, status 500.
 */
export function problemOf({ code, facts }: Refusal): Problem {
  const known = Object.hasOwn(CODES, code) ? CODES[code] : undefined;
  if (!known) return problemOf({ code: 'internal', facts: {} });
  return { ...facts, type: `urn:rxledger:problem:${code}`, title: known.title, status: known.status, code };
}
