/** How a request carries its actor's signature: beside what it says, not as a part of it. */
import { z } from 'zod';

const FORM = 'must be the signed instant: RFC 3339 in UTC with milliseconds, written 2026-03-10T14:05:00.000Z';
const jws = z.string().min(1).max(1024);

export const signature = z
  .strictObject({
    jws: jws.describe('detached JWS (RFC 7515, RFC 7797 b64=false) with kid: EdDSA, Ed25519 or ES256'),
    occurredAt: z
      .string()
      .refine((text) => new Date(text).getTime() >= 0 && new Date(text).toISOString() === text, FORM)
      .describe('the instant that was signed: about now, or when it was handed over where the request says so'),
    possession: jws
      .optional()
      .describe('to enrol a further key: the same statement, signed with the key that is enrolled'),
  })
  .meta({
    id: 'Signature',
    title: 'Signature',
    description:
      'Needed once you have enrolled a key. Send the request with an `Idempotency-Key` and without a signature: the refusal `signature.required` holds the statement to sign. Sign its canonical JSON (RFC 8785) and send the request again with the same key. The `Idempotency-Key` is kept with the record, so make it random.',
  });
export type Signature = z.output<typeof signature>;

/** A body without its signature. Two requests that differ only in their signatures are the same request. */
export function withoutSignature<T extends { readonly signature?: unknown }>(body: T): Omit<T, 'signature'> {
  if (body.signature === undefined) return body;
  const { signature: _signature, ...rest } = body;
  return rest;
}
