import { describe, expect, it } from 'vitest';
import { canonicalRequest } from './by.js';

const ID = '0c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a01';

const claim = (id: string, body: object | null = { token: 't' }) =>
  canonicalRequest('POST', '/api/prescriptions/:id/claim', { id }, body);
const revoke = (kid: string) => canonicalRequest('POST', '/api/actor-keys/:kid/revoke', { kid }, null);

describe('the canonical form of a request', () => {
  it.each([
    ['an id in capitals', claim(ID.toUpperCase())],
    ['a signature', claim(ID, { token: 't', signature: { jws: 'a..b', occurredAt: 'now' } })],
  ])('is the same with %s', (_, same) => {
    expect(same).toBe(claim(ID));
  });

  it.each([
    ['another id', claim('1c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a01')],
    ['another body', claim(ID, { token: 'u' })],
    ['no body', claim(ID, null)],
    ['another route', canonicalRequest('POST', '/api/prescriptions/:id/lookup', { id: ID }, { token: 't' })],
    ['another method', canonicalRequest('PUT', '/api/prescriptions/:id/claim', { id: ID }, { token: 't' })],
  ])('differs with %s', (_, other) => {
    expect(other).not.toBe(claim(ID));
  });

  it('keeps the case of an id that is no UUID', () => {
    expect(revoke('aB')).not.toBe(revoke('AB'));
  });
});
