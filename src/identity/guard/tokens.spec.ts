import { createPrivateKey, randomBytes } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { SettableClock } from '../../time/clock.js';
import type { Actor } from '../../ledger/model.js';
import { RECHECK_SECONDS, TOKEN_SECONDS, Tokens } from './tokens.js';

const actor: Actor = { id: 'a1', role: 'pharmacist', org: 'o1', patient: null };
const START = Date.parse('2026-03-10T12:00:00Z');

const claims = () =>
  new SignJWT({ role: 'pharmacist', org: 'o1', patient: null })
    .setSubject('a1')
    .setJti('x')
    .setIssuedAt(START / 1000)
    .setExpirationTime(START / 1000 + 60)
    .setIssuer('rxledger');

describe('access tokens', () => {
  const seed = randomBytes(32);
  const clock = new SettableClock(START);
  let active = true;
  let asked = 0;
  let tokens: Tokens;
  const isActive = () => {
    asked += 1;
    return Promise.resolve(active);
  };

  beforeEach(() => {
    clock.set(START);
    active = true;
    asked = 0;
    tokens = new Tokens(seed, clock, isActive);
  });

  it('stand for the actor, as anybody with the published key can see', async () => {
    const { accessToken, expiresIn } = await tokens.issue(actor);
    expect(expiresIn).toBe(900);
    expect(await tokens.verify(accessToken)).toEqual(actor);
    const jwks = await tokens.jwks();
    expect(jwks.keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(jwks.keys[0]).not.toHaveProperty('d');
    const { payload, protectedHeader } = await jwtVerify(accessToken, createLocalJWKSet(jwks), {
      issuer: 'rxledger',
      audience: 'rxledger-api',
      currentDate: new Date(START),
    });
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', kid: jwks.keys[0]?.kid });
    expect(payload).toMatchObject({
      sub: 'a1',
      role: 'pharmacist',
      org: 'o1',
      patient: null,
      exp: START / 1000 + TOKEN_SECONDS,
    });
    expect(payload.jti).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('are known without waiting the second time, and end on time', async () => {
    const { accessToken } = await tokens.issue(actor);
    expect(tokens.verify(accessToken)).toBeInstanceOf(Promise);
    await tokens.verify(accessToken);
    expect(tokens.verify(accessToken)).toEqual(actor);
    clock.set(START + TOKEN_SECONDS * 1000);
    expect(await tokens.verify(accessToken)).toBeNull();
    expect(await tokens.verify(accessToken)).toBeNull();
  });

  it('of a disabled account stop within the time that is promised; a burst asks once', async () => {
    const { accessToken } = await tokens.issue(actor);
    await tokens.verify(accessToken);
    active = false;
    asked = 0;
    clock.advance(RECHECK_SECONDS * 1000 - 1);
    expect(await tokens.verify(accessToken)).toEqual(actor);
    clock.advance(1);
    const burst = Array.from({ length: 20 }, async () => tokens.verify(accessToken));
    expect(new Set(await Promise.all(burst))).toEqual(new Set([null]));
    expect(asked).toBe(1);
    expect(await tokens.verify(accessToken)).toBeNull();
  });

  it('of an account that is still active go on after the look', async () => {
    const { accessToken } = await tokens.issue(actor);
    await tokens.verify(accessToken);
    clock.advance(RECHECK_SECONDS * 1000);
    expect(await tokens.verify(accessToken)).toEqual(actor);
    expect(tokens.verify(accessToken)).toEqual(actor);
  });

  it('stop at once where the account was disabled', async () => {
    const { accessToken } = await tokens.issue(actor);
    await tokens.verify(accessToken);
    active = false;
    tokens.forget('a1');
    expect(await tokens.verify(accessToken)).toBeNull();
  });

  it('are refused when they are forged', async () => {
    const { accessToken } = await tokens.issue(actor);
    const [header = '', payload = '', signature = ''] = accessToken.split('.');
    const admin = Buffer.from(JSON.stringify({ ...decodeJwt(accessToken), role: 'administrator' })).toString(
      'base64url',
    );
    const none = Buffer.from(JSON.stringify({ ...decodeProtectedHeader(accessToken), alg: 'none' })).toString(
      'base64url',
    );
    const others = new Tokens(randomBytes(32), clock, isActive);
    const foreign = (await others.issue(actor)).accessToken;
    const key = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    });
    const header2 = { alg: 'EdDSA', typ: 'at+jwt' };
    const good = await claims().setAudience('rxledger-api').setProtectedHeader(header2).sign(key);
    expect(await tokens.verify(good)).toEqual(actor);
    const forged = [
      `${header}.${admin}.${signature}`,
      `${none}.${payload}.`,
      `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      foreign,
      await claims().setAudience('another-api').setProtectedHeader(header2).sign(key),
      await claims().setAudience('rxledger-api').setProtectedHeader({ alg: 'EdDSA', typ: 'JWT' }).sign(key),
      await claims()
        .setAudience('rxledger-api')
        .setSubject('')
        .setProtectedHeader({ ...header2, typ: 'x' })
        .sign(key),
      'a.b.c',
      '',
    ];
    for (const token of forged) expect(await tokens.verify(token)).toBeNull();
  });

  it('are kept in bounded number', async () => {
    const few = new Tokens(seed, clock, isActive, 20);
    const issued = await Promise.all(Array.from({ length: 21 }, () => few.issue(actor)));
    for (const { accessToken } of issued) await few.verify(accessToken);
    expect(few.verify(issued[1]?.accessToken ?? '')).toEqual(actor);
    expect(few.verify(issued.at(-1)?.accessToken ?? '')).toEqual(actor);
    expect(few.verify(issued[0]?.accessToken ?? '')).toBeInstanceOf(Promise);
  });
});
