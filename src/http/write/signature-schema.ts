/** How a request carries its actor's signature: beside what it says, not as a part of it. */
import { z } from 'zod';

const FORM = 'must be the signed instant: RFC 3339 in UTC with milliseconds, written 2026-03-10T14:05:00.000Z';
const jws = z.string().min(1).max(1024);

export const signature = z
  .strictObject({
    jws: jws.describe('detached JWS (RFC 7515, RFC 7797 b64=false): EdDSA, Ed25519 or ES256, with kid'),
    occurredAt: z
      .string()
      .refine((text) => new Date(text).getTime() >= 0 && new Date(text).toISOString() === text, FORM)
      .describe('as signed; about now, or the instant of handing over where one is said'),
    possession: jws.optional().describe('of a further key: the same statement signed with the key that is enrolled'),
  })
  .meta({
    title: 'Signature',
    description:
      'Of the statement {log, chain, type, actor, occurredAt, commandId, data} in canonical JSON (RFC 8785); commandId is the Idempotency-Key, which is kept with the event; of an enrolment or a revocation everybody can read it, so make it random. An actor who signs gets the statement with `signature.required` when it is absent.',
  });
export type Signature = z.output<typeof signature>;

/** A body without its signature. Two requests that differ only in their signatures are the same request. */
export function withoutSignature<T extends { readonly signature?: unknown }>(body: T): Omit<T, 'signature'> {
  if (body.signature === undefined) return body;
  const { signature: _signature, ...rest } = body;
  return rest;
}
