import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeHasher } from '../../crypto/node-hasher.js';
import { fromBase64, toBase64, utf8 } from '../bytes.js';
import { formatCheckpoint } from '../tlog/checkpoint.js';
import { commit, digestByKey, memberKey, PayloadError } from './commitment.js';
import { type Disclosure, disclose, verifyDisclosure } from './disclosure.js';
import { encodeEntry, ZERO32 } from './entry.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import { GrowingTree } from '../tlog/merkle.js';
import { ed25519Signer, signNote } from '../tlog/note.js';
import { verifyReceipt, type Receipt } from './receipt.js';
import { bytes32, jsonValue, memberName, someHashes } from '../../../../test/fixtures/rfc6962/vectors.js';
import { examples } from '../../../../test/support/length.js';

const log = 'rx.example/log';
const signer = ed25519Signer(log, new Uint8Array(32).fill(3));
const salt = new Uint8Array(32).fill(4);
const payload = {
  actor: { id: 'ada', org: 'elm', role: 'prescriber' },
  data: { drug: '314076', quantity: '30' },
  kind: 'prescription',
  occurredAt: '2026-03-10T12:34:56.000Z',
  signature: 'eyJ..sig',
  type: 'order.issued/1',
};

/** A valid receipt for index 5 of 9. */
function receiptOf(of: Uint8Array, members: Record<string, unknown>): Receipt {
  const { commitment } = commit(nobleHasher, of, members);
  const chain = '6f6fcf9e-8f3b-4c6e-9a53-1c2d3e4f5a6b';
  const entry = encodeEntry({ chain, commitment, log, prev: ZERO32, seq: 0, time: '2026-03-10T12:34:00Z' });
  const tree = new GrowingTree(nobleHasher);
  for (const [at, hash] of someHashes(9).entries()) tree.append(at === 5 ? nobleHasher.leaf(entry) : hash);
  return {
    v: 1,
    log,
    index: 5,
    entry: toBase64(entry),
    proof: tree.inclusion(5).map(toBase64),
    checkpoint: signNote(formatCheckpoint({ origin: log, size: 9, root: tree.root() }), [signer]),
    payload: toBase64(utf8(jcs(members))),
    salt: toBase64(of),
  };
}

function made(receipt: Receipt, names: readonly string[]): Disclosure {
  const result = disclose(nobleHasher, receipt, names);
  if ('fault' in result) throw new Error(result.fault);
  return result.disclosure;
}

const whole = receiptOf(salt, payload);
const shown = made(whole, ['type', 'occurredAt']);
const members = shown.members as Record<string, { key: string; value: string } & { digest: string }>;

const payloads = fc
  .uniqueArray(fc.tuple(memberName, jsonValue), { minLength: 1, maxLength: 7, selector: ([name]) => name })
  .map((all) => Object.fromEntries(all))
  .filter((all) => !('signature' in all));

describe('a disclosure', () => {
  it('shows what was chosen, names the rest, and holds', () => {
    expect(verifyDisclosure(shown, signer.vkey)).toMatchObject({
      ok: true,
      state: 'committed',
      index: 5,
      size: 9,
      disclosed: { occurredAt: payload.occurredAt, type: payload.type },
      withheld: ['actor', 'data', 'kind', 'signature'],
    });
  });

  it('of any members of any payload holds and shows their values, by either hasher', () => {
    fc.assert(
      fc.property(bytes32, payloads, fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }), (key, all, chosen) => {
        const names = Object.keys(all).filter((_, at) => chosen[at]);
        const receipt = receiptOf(key, all);
        const document = made(receipt, names);
        expect(disclose(nodeHasher, receipt, names)).toEqual({ disclosure: document });
        const result = verifyDisclosure(JSON.parse(JSON.stringify(document)), signer.vkey);
        if (!result.ok) throw new Error(result.reason);
        expect(jcs(result.disclosed)).toBe(jcs(Object.fromEntries(names.map((name) => [name, all[name]]))));
        expect([...result.withheld].toSorted()).toEqual(
          Object.keys(all)
            .filter((name) => !names.includes(name))
            .toSorted(),
        );
      }),
      { numRuns: examples(60) },
    );
  });

  it('and the whole payload agree: one commitment opens in one way', () => {
    expect(verifyReceipt(whole, signer.vkey)).toMatchObject({ ok: true, payload });
    const all = made(whole, Object.keys(payload));
    expect(verifyDisclosure(all, signer.vkey)).toMatchObject({ ok: true, disclosed: payload, withheld: [] });
  });

  it('does not hold with any byte changed to any other', () => {
    const text = Buffer.from(JSON.stringify(shown));
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const bytes = Buffer.from(text);
        bytes[at]! ^= by;
        expect(holds(bytes)).toBe(false);
      }),
      { numRuns: examples(3000) },
    );
    expect(holds(text)).toBe(true);
  });

  it.each<[string, string, object]>([
    ['a member less', 'members', { ...shown, members: { ...members, kind: undefined } }],
    ['a member more', 'members', { ...shown, members: { ...members, more: members['kind'] } }],
    ['another name', 'members', { ...shown, members: rename(members, 'kind', 'mind') }],
    ['two members swapped', 'members', { ...shown, members: swap(members, 'type', 'occurredAt') }],
    ['digests swapped', 'members', { ...shown, members: swap(members, 'data', 'kind') }],
    ['a value of another entry', 'members', { ...shown, members: { ...members, type: other('type', payload) } }],
    ['a key that is longer', 'members', { ...shown, members: { ...members, type: padded('type') } }],
    ['a value with a space', 'members', { ...shown, members: { ...members, type: spelt('type') } }],
    [
      'key, value and digest',
      'members',
      { ...shown, members: { ...members, type: { ...members['type'], digest: '' } } },
    ],
    ['members that are a list', 'members', { ...shown, members: [] }],
    ['members that are none', 'members', { ...shown, members: { type: null } }],
    ['half a surrogate in a name', 'members', { ...shown, members: { ...members, '\ud800': members['kind'] } }],
    ['no members', 'form', { ...shown, members: undefined, payload: '' }],
    ['a member of the document more', 'form', { ...shown, salt: whole.salt }],
    ['another log', 'log', { ...shown, log: 'other.example/log' }],
    ['another index', 'inclusion', { ...shown, index: 4 }],
    ['another entry', 'inclusion', { ...shown, entry: receiptOf(salt, { type: 'x' }).entry }],
    ['null', 'form', null as unknown as object],
  ])('does not hold with %s: %s', (_, reason, document) => {
    expect(verifyDisclosure(JSON.parse(JSON.stringify(document)), signer.vkey)).toEqual({ ok: false, reason });
  });
});

describe('what is withheld', () => {
  it('cannot be confirmed by who guesses it, from everything that the document holds', () => {
    fc.assert(
      fc.property(bytes32, payloads, (key, all) => {
        const [name, ...withheld] = Object.keys(all);
        const document = made(receiptOf(key, all), name === undefined ? [] : [name]);
        const text = JSON.stringify(document);
        expect(text).not.toContain(toBase64(key));
        // All values of 32 bytes: hashes, digests, the commitment, the shown key.
        const known = [...text.matchAll(/[A-Za-z0-9+/]{43}=/g)].map(([found]) => fromBase64(found));
        expect(known.length).toBeGreaterThan(2);
        for (const each of withheld) {
          const digest = (document.members[each] as { digest: string }).digest;
          const truth = jcs(all[each]);
          for (const bytes of known) {
            expect(digestByKey(nobleHasher, bytes, truth)).not.toBe(digest);
            // None of them is a salt that gives the member's key.
            expect(digestByKey(nobleHasher, memberKey(nobleHasher, bytes, each), truth)).not.toBe(digest);
          }
          // With the salt the guess can be tested: that is why the salt must be withheld.
          expect(digestByKey(nobleHasher, memberKey(nobleHasher, key, each), truth)).toBe(digest);
        }
      }),
      { numRuns: examples(60) },
    );
  });

  it('has one digest only where values are equal: not even with the same value in two entries or two members', () => {
    const same = { a: 'x', b: 'x' };
    const digests = [salt, new Uint8Array(32).fill(5)].flatMap((of) =>
      Object.values(made(receiptOf(of, same), []).members).map((member) => JSON.stringify(member)),
    );
    expect(new Set(digests).size).toBe(4);
  });
});

describe('what cannot be disclosed', () => {
  it('is a member that is not there, and a signature without what it covers', () => {
    expect(disclose(nobleHasher, whole, ['type', 'derived'])).toEqual({ fault: 'member-unknown' });
    expect(() => disclose(nobleHasher, { ...whole, salt: toBase64(new Uint8Array(32)) }, ['type'])).toThrow(
      PayloadError,
    );
    for (const names of [['signature'], ['signature', 'actor', 'data', 'type'], ['signature', 'actor', 'kind']])
      expect(disclose(nobleHasher, whole, names)).toEqual({ fault: 'signature-alone' });
    const covered = ['signature', 'actor', 'data', 'occurredAt', 'type'];
    expect(verifyDisclosure(made(whole, covered), signer.vkey)).toMatchObject({ ok: true, withheld: ['kind'] });
  });
});

function holds(bytes: Uint8Array): boolean {
  try {
    return verifyDisclosure(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), signer.vkey).ok;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return false;
    throw error;
  }
}

function rename<T>(all: Record<string, T>, from: string, to: string): Record<string, T> {
  return Object.fromEntries(Object.entries(all).map(([name, member]) => [name === from ? to : name, member]));
}

function swap<T>(all: Record<string, T>, a: string, b: string): object {
  return { ...all, [a]: all[b], [b]: all[a] };
}

function other(name: string, of: Record<string, unknown>): unknown {
  return made(receiptOf(new Uint8Array(32).fill(8), { ...of, [name]: 'other' }), [name]).members[name];
}

/** HMAC pads a key with zeros: the longer key makes the same digest. */
function padded(name: string): unknown {
  const key = toBase64(Buffer.concat([fromBase64(members[name]!.key), new Uint8Array(1)]));
  return { ...members[name], key };
}

function spelt(name: string): unknown {
  return { ...members[name], value: toBase64(Buffer.concat([utf8(' '), fromBase64(members[name]!.value)])) };
}
