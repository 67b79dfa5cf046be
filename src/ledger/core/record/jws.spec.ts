import { createPublicKey } from 'node:crypto';
import * as fc from 'fast-check';
import { flattenedVerify, FlattenedSign, generateKeyPair, exportJWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { newSigner } from '../../../../test/support/signer.js';
import { nodeCheck } from '../../crypto/node-signature-check.js';
import { toBase64Url, utf8 } from '../bytes.js';
import { type DetachedJws, holdsFor, JwsError, parseDetachedJws } from './jws.js';
import { isPublicJwk, nobleCheck, type PublicJwk, thumbprint } from './public-key.js';
import { type Statement, statementBytes } from './statement.js';
import { examples } from '../../../../test/support/length.js';

const statement: Statement = {
  log: 'test.example/log',
  chain: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02',
  type: 'order.cancel-requested/1',
  actor: { id: 'a', org: null, role: 'prescriber' },
  occurredAt: '2026-01-22T15:00:00.000Z',
  commandId: 'c',
  data: { note: 'Grüße' },
};
const payload = statementBytes(statement);
const SIGNERS = [newSigner('Ed25519'), newSigner('Ed25519', 'Ed25519'), newSigner('P-256')] as const;
const ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256'] as const;

const parsed = (text: string): DetachedJws | null => {
  try {
    return parseDetachedJws(text);
  } catch (error) {
    if (error instanceof JwsError) return null;
    throw error;
  }
};
/** The result of both implementations, which must agree. */
function holds(text: string, key: PublicJwk, bytes: Uint8Array): boolean {
  const jws = parsed(text);
  if (!jws) return false;
  const [noble, node] = [nobleCheck, nodeCheck].map((check) => holdsFor(jws, key, bytes, check));
  expect(noble).toBe(node);
  return node === true;
}

describe.each(SIGNERS.map((signer, at) => [ALGORITHMS[at]!, signer] as const))(
  'a detached JWS by %s',
  (alg, signer) => {
    const jws = signer.sign(statement);
    const [header = '', , signature = ''] = jws.split('.');
    const withHeader = (json: string): string => `${toBase64Url(utf8(json))}..${signature}`;

    it('holds for its key and payload', () => {
      expect(parseDetachedJws(jws)).toMatchObject({ alg, kid: thumbprint(signer.jwk), header });
      expect(holds(jws, signer.jwk, payload)).toBe(true);
      expect(holds(jws, newSigner(signer.jwk.crv).jwk, payload)).toBe(false);
      for (const other of SIGNERS) if (other !== signer) expect(holds(jws, other.jwk, payload)).toBe(false);
    });

    it('is what jose verifies, and what jose signs holds', async () => {
      const key = createPublicKey({ key: signer.jwk, format: 'jwk' });
      await expect(
        flattenedVerify({ protected: header, payload, signature }, key, { crit: { b64: true } }),
      ).resolves.toBeDefined();
      const pair = await generateKeyPair(alg, { extractable: true });
      const { kty, crv, x, y } = await exportJWK(pair.publicKey);
      const jwk: unknown = y === undefined ? { kty, crv, x } : { kty, crv, x, y };
      if (!isPublicJwk(jwk)) throw new Error('a key of neither curve');
      const made = await new FlattenedSign(payload)
        .setProtectedHeader({ alg, b64: false, crit: ['b64'], kid: thumbprint(jwk) })
        .sign(pair.privateKey);
      expect(holds(`${made.protected}..${made.signature}`, jwk, payload)).toBe(true);
    });

    it('is refused when any byte of it or of the payload is another', () => {
      fc.assert(
        fc.property(fc.nat(jws.length - 1), fc.integer({ min: 1, max: 127 }), (at, byte) => {
          const other = String.fromCharCode(byte);
          if (jws[at] === other) return;
          expect(holds(jws.slice(0, at) + other + jws.slice(at + 1), signer.jwk, payload)).toBe(false);
        }),
        { numRuns: examples(200) },
      );
      fc.assert(
        fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
          expect(holds(jws, signer.jwk, payload.with(at, payload[at]! ^ flip))).toBe(false);
        }),
        { numRuns: examples(50) },
      );
    });

    it('is refused when it is longer, shorter or said otherwise', () => {
      const { kid } = parseDetachedJws(jws);
      const all = { alg, b64: false, crit: ['b64'], kid };
      const second = header.length + 2;
      const spellings = [
        '',
        '..',
        ` ${jws}`,
        `${jws}\n`,
        `${jws}=`,
        `${jws}A`,
        jws.slice(0, -1),
        jws.replace('..', '.'),
        jws.replace('..', '...'),
        jws.replace('..', `.${Buffer.from(payload).toString('base64url')}.`),
        // A DER signature, of about the same length.
        `${jws.slice(0, second)}${Buffer.alloc(70, 0x30).toString('base64url')}`,
        withHeader(JSON.stringify({ ...all, typ: 'JOSE' })),
        withHeader(JSON.stringify({ ...all, jwk: signer.jwk })),
        withHeader(JSON.stringify({ ...all, b64: true })),
        withHeader(JSON.stringify({ ...all, crit: [] })),
        withHeader(JSON.stringify({ ...all, crit: ['b64', 'b64'] })),
        withHeader(JSON.stringify({ ...all, crit: 'b64' })),
        withHeader(JSON.stringify({ ...all, alg: 'none' })),
        withHeader(JSON.stringify({ ...all, alg: 'HS256' })),
        withHeader(JSON.stringify({ ...all, alg: 'toString' })),
        withHeader(JSON.stringify({ ...all, kid: 'k' })),
        withHeader(JSON.stringify({ alg, b64: false, crit: ['b64'] })),
        withHeader(JSON.stringify({ alg, kid })),
        withHeader(JSON.stringify([all])),
        withHeader('null'),
        withHeader('{'),
        withHeader(`${JSON.stringify(all).slice(0, -1)},"alg":"${alg}"}`),
        withHeader(JSON.stringify(all, null, 1)),
        withHeader(JSON.stringify(all).replace('b64', String.raw`b6\u0034`)),
        `${Buffer.from([0xff, 0xfe]).toString('base64url')}..${signature}`,
        'A'.repeat(2000),
      ];
      for (const text of spellings) expect([text, parsed(text)]).toEqual([text, null]);
      // The same members in another order give another JWS, with a signature of its own.
      const { alg: _alg, ...rest } = all;
      expect(holds(withHeader(JSON.stringify({ ...rest, alg })), signer.jwk, payload)).toBe(false);
    });
  },
);

describe('a statement', () => {
  it('is the canonical JSON of its seven members, whatever else there is', () => {
    const more = { ...statement, kind: 'prescription', seq: 3 };
    expect(Buffer.from(statementBytes(more)).toString()).toBe(
      '{"actor":{"id":"a","org":null,"role":"prescriber"},"chain":"7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02",' +
        '"commandId":"c","data":{"note":"Grüße"},"log":"test.example/log","occurredAt":"2026-01-22T15:00:00.000Z",' +
        '"type":"order.cancel-requested/1"}',
    );
  });
});

describe('a text that is no JWS', () => {
  it('is never anything but refused', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => parsed(text) === null));
  });
});
