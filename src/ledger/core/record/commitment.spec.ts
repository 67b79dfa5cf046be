import { createHash, createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../bytes.js';
import {
  commit,
  commitmentOf,
  commitMembers,
  digestByKey,
  isCommitted,
  memberDigest,
  memberKey,
  membersOf,
  parsePayload,
  PayloadError,
  payloadText,
} from './commitment.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import { nodeHasher } from '../../crypto/node-hasher.js';
import { bytes32, jsonValue, memberName } from '../../../../test/fixtures/rfc6962/vectors.js';

const payloads = fc
  .array(fc.tuple(memberName, jsonValue), { maxLength: 8 })
  .map((members) => Object.fromEntries(members));
const salt = new Uint8Array(32).fill(1);

const hmac = (key: Uint8Array, data: string) => createHmac('sha256', key).update(data).digest();

function digestsByTheFormula(of: Uint8Array, payload: Record<string, unknown>): string {
  const digests = Object.entries(payload).map(([name, value]) => [
    name,
    hmac(hmac(of, `rxledger/member/v1\n${name}`), jcs(value)).toString('base64'),
  ]);
  return jcs(Object.fromEntries(digests));
}
/** The documented formula, computed independently. */
const byTheFormula = (of: Uint8Array, payload: Record<string, unknown>): Buffer =>
  createHash('sha256')
    .update(`rxledger/payload/v2\n${digestsByTheFormula(of, payload)}`)
    .digest();

describe('commitment', () => {
  it('is the formula, from values, from member texts in any order, and from digests', () => {
    fc.assert(
      fc.property(bytes32, payloads, (key, payload) => {
        const expected = toBase64(byTheFormula(key, payload));
        const made = commit(nobleHasher, key, payload);
        expect(toBase64(made.commitment)).toBe(expected);
        expect(toBase64(commitMembers(nobleHasher, key, membersOf(payload).toReversed()))).toBe(expected);
        expect(toBase64(commitmentOf(nobleHasher, made.digests))).toBe(expected);
      }),
    );
  });

  it('is known again, and by no other payload or salt', () => {
    const other = new Uint8Array(32).fill(9);
    fc.assert(
      fc.property(bytes32, payloads, (key, payload) => {
        for (const hasher of [nobleHasher, nodeHasher]) {
          const commitment = byTheFormula(key, payload);
          expect(isCommitted(hasher, commitment, key, payload)).toBe(true);
          expect(isCommitted(hasher, commitment, key, { ...payload, more: 1 })).toBe(false);
          if (!Buffer.from(key).equals(other) && Object.keys(payload).length > 0)
            expect(isCommitted(hasher, commitment, other, payload)).toBe(false);
        }
      }),
    );
  });

  it('lets one member be shown with its key and the digests of the others', () => {
    const payload = { actor: { id: 'a' }, data: { drug: '314076' }, type: 'order.issued/1' };
    const { commitment, digests } = commit(nobleHasher, salt, payload);
    const key = memberKey(nobleHasher, salt, 'data');
    const shown = digestByKey(nobleHasher, key, jcs(payload.data));
    expect(shown).toBe(memberDigest(nobleHasher, salt, 'data', jcs(payload.data)));
    expect(commitmentOf(nobleHasher, { ...digests, data: shown })).toEqual(commitment);
    const other = digestByKey(nobleHasher, key, jcs({ drug: '314077' }));
    expect(commitmentOf(nobleHasher, { ...digests, data: other })).not.toEqual(commitment);
  });

  it('changes with the salt, a name, a value and a member less', () => {
    const base = commit(nobleHasher, salt, { a: 1, b: 2 }).commitment;
    const others = [
      commit(nobleHasher, new Uint8Array(32).fill(2), { a: 1, b: 2 }),
      commit(nobleHasher, salt, { a: 2, b: 1 }),
      commit(nobleHasher, salt, { a: 1, c: 2 }),
      commit(nobleHasher, salt, { a: 1 }),
    ];
    for (const { commitment } of others) expect(commitment).not.toEqual(base);
  });

  it('refuses a salt of another length and a name that comes twice', () => {
    expect(() => commit(nobleHasher, new Uint8Array(31), {})).toThrow(PayloadError);
    expect(() => memberKey(nobleHasher, new Uint8Array(33), 'a')).toThrow(PayloadError);
    expect(() =>
      commitMembers(nobleHasher, salt, [
        ['a', '1'],
        ['b', '1'],
        ['a', '2'],
      ]),
    ).toThrow(PayloadError);
    expect(() =>
      payloadText([
        ['a', '1'],
        ['a', '1'],
      ]),
    ).toThrow(PayloadError);
  });
});

describe('payload', () => {
  it('is the canonical JSON of the whole, built from the members, and comes back', () => {
    fc.assert(
      fc.property(payloads, (payload) => {
        const text = payloadText(membersOf(payload).toReversed());
        expect(text).toBe(jcs(payload));
        expect(jcs(parsePayload(text))).toBe(text);
      }),
    );
  });

  it.each([
    '',
    '{',
    '[]',
    'null',
    '"a"',
    '{"b":1,"a":2}',
    '{"a":1,"a":2}',
    '{"a": 1}',
    '{"a":1.0}',
    String.raw`{"a":"\ud800"}`,
    '{"a":1e999}',
  ])('is not %s', (text) => {
    expect(() => parsePayload(text)).toThrow(PayloadError);
  });

  it('is not a tower of brackets', () => {
    expect(() => parsePayload(`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`)).toThrow(PayloadError);
  });
});
