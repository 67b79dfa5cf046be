import type { LedgerEvent } from '../core/record/event.js';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldenText, SALT } from '../../../test/fixtures/golden/events/read.js';
import { KEY_ENROLLED } from './actor-keys.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { nobleHasher } from '../core/hasher.js';
import { toBase64 } from '../core/bytes.js';
import { holdsFor, parseDetachedJws } from '../core/record/jws.js';
import { isPublicJwk, nobleCheck } from '../core/record/public-key.js';
import { statementBytes, statementOf } from '../core/record/statement.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { openEvent, sealEvent } from '../store/payload.js';

/** Written once, like the golden payloads: old signatures must stay valid for ever. Never change the files. */
const text = readFileSync(new URL('../../../test/fixtures/golden/signed-payload.jcs', import.meta.url), 'utf8');
const COMMITMENT = '6s+y4Cp4MwTS8SXSHwyAPhKwhZOrm3Q+kut0a/rh6SI=';
const LOG = 'golden.example/log';
const CHAIN = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02';

const enrolment = openEvent(goldenText(KEY_ENROLLED), LOG_CHAIN, 0);
const { jwk } = enrolment.data as { jwk: unknown };

function holds(event: LedgerEvent): boolean {
  const { commandId = '', jws = '' } = event.signature ?? {};
  if (!isPublicJwk(jwk)) throw new Error('no key');
  return holdsFor(parseDetachedJws(jws), jwk, statementBytes(statementOf(LOG, event, commandId)), nobleCheck);
}

describe('a signed golden payload', () => {
  it('has the commitment that it had, which covers the signature', () => {
    const event = openEvent(text, CHAIN, 4);
    for (const hasher of [nobleHasher, nodeHasher]) {
      const sealed = sealEvent(hasher, SALT, event);
      expect(sealed.text).toBe(text);
      expect(toBase64(sealed.commitment)).toBe(COMMITMENT);
      const { signature: _signature, ...unsigned } = event;
      expect(toBase64(sealEvent(hasher, SALT, unsigned).commitment)).not.toBe(COMMITMENT);
    }
  });

  it('is signed with the key that its golden enrolment names, which shows itself', () => {
    expect(holds(openEvent(text, CHAIN, 4))).toBe(true);
    expect(holds(enrolment)).toBe(true);
  });

  it.each([
    ['chain', { chain: LOG_CHAIN }],
    ['type', { type: 'order.issued/1' }],
    ['instant', { occurredAt: '2026-01-22T15:00:00.001Z' }],
    ['role', { actor: { ...openEvent(text, CHAIN, 4).actor, role: 'pharmacist' as const } }],
    ['data', { data: { ...openEvent(text, CHAIN, 4).data, reason: 'other' } }],
  ])('does not hold under another %s', (_, over) => {
    expect(holds({ ...openEvent(text, CHAIN, 4), ...over })).toBe(false);
  });
});
