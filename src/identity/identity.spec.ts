import { ReadDb } from '../ledger/read/read-db.js';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AppModule } from '../app.module.js';
import { SettableClock } from '../time/clock.js';
import { Config, ConfigError } from '../config/config.js';
import { createLogger } from '../config/logging.js';
import { createServer } from '../http/server.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { Vault } from '../ledger/keys/vault.js';
import { DEMO_ORGANISATIONS, type DemoSeed, type DemoSignIn, seedDemo } from '../seed/demo-accounts.js';
import { enrolDemoPatient } from '../seed/demo-patients.js';
import { serve } from '../main.js';
import { insertOrganisation } from './organisations.js';
import { checkAccounts, checkMode } from './mode.js';
import {
  ADDRESS_LIFE_MS,
  ATTEMPTS_LIFE_MS,
  FIRST_LOCK_MS,
  FREE_FAILURES,
  lockMilliseconds,
  LONGEST_LOCK_MS,
  pruneAttempts,
} from './accounts/sign-in-attempts.js';
import { RECHECK_SECONDS } from './guard/tokens.js';

const START = Date.parse('2026-03-10T12:00:00Z');
const PASSWORD = 'correct horse battery';

describe('identity', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rxledger-identity-'));
  const config = Config.parse({ DATA_DIR: dir, LOG_LEVEL: 'info', SIGN_IN_PER_MINUTE: '100000' });
  const clock = new SettableClock(START);
  const lines: string[] = [];
  let app: NestFastifyApplication;
  let signIns: DemoSignIn[];
  let seed: DemoSeed;

  beforeAll(async () => {
    const logger = createLogger(config, { write: (line) => void lines.push(line) });
    app = await createServer(AppModule.for(config, clock), config, logger);
    await app.init();
    const writer = app.get(LedgerWriter);
    const reader = app.get(LedgerReader);
    seed = {
      writer,
      vault: app.get(Vault),
      clock,
      password: PASSWORD,
      enrol: (patient) => enrolDemoPatient(writer, reader, patient),
    };
    signIns = await seedDemo(seed);
  });
  afterAll(async () => {
    await app.close();
    rmSync(dir, { recursive: true });
  });

  const signIn = (username: string, password = PASSWORD, remoteAddress = '127.0.0.1') =>
    app.inject({ method: 'POST', url: '/api/auth/sign-in', payload: { username, password }, remoteAddress });
  const bearer = async (username: string, password = PASSWORD) => {
    const { accessToken } = (await signIn(username, password)).json();
    return { authorization: `Bearer ${accessToken}` };
  };
  const post = async (url: string, payload: object | undefined, headers: Record<string, string>) =>
    app.inject({ method: 'POST', url, headers, ...(payload && { payload }) });

  it('seeds two practices, two pharmacies and eight accounts that can sign in', async () => {
    expect(signIns.map(({ username }) => username)).toEqual([
      'prescriber',
      'prescriber2',
      'pharmacist',
      'pharmacist2',
      'patient',
      'patient2',
      'auditor',
      'admin',
    ]);
    for (const { username, id, role, org, patient } of signIns) {
      const response = await signIn(username);
      expect(response.statusCode).toBe(200);
      expect(response.json()).toEqual({ accessToken: expect.any(String), expiresIn: 900 });
      const self = await app.inject({
        url: '/api/self',
        headers: { authorization: `Bearer ${response.json().accessToken}` },
      });
      expect(self.json()).toMatchObject({ id, username, role, org, patient, disabled: false });
      expect(self.json().organisation?.id ?? null).toBe(org);
    }
    expect(signIns[0]?.org).not.toBe(signIns[1]?.org);
    expect(signIns[2]?.org).not.toBe(signIns[3]?.org);
  });

  it('seeds again without a second of anything; random passwords are new and hold', async () => {
    const again = await seedDemo({ ...seed, password: undefined });
    expect(again.map(({ id }) => id)).toEqual(signIns.map(({ id }) => id));
    expect(new Set(again.map(({ password }) => password)).size).toBe(8);
    expect((await signIn('auditor', again[6]?.password)).statusCode).toBe(200);
    expect((await signIn('auditor')).statusCode).toBe(401);
    await seedDemo(seed);
    const { items } = (await app.inject({ url: '/api/organisations', headers: await bearer('patient') })).json();
    expect(items).toHaveLength(4);
  });

  it('asks for a token, a good one, and the right role', async () => {
    const anonymous = await app.inject('/api/self');
    expect(anonymous.json()).toMatchObject({ status: 401, code: 'access.unauthenticated' });
    expect(anonymous.headers['www-authenticate']).toBe('Bearer');
    const bad = await app.inject({ url: '/api/self', headers: { authorization: 'Bearer a.b.c' } });
    expect(bad.json()).toMatchObject({ status: 401, code: 'access.unauthenticated' });
    const pharmacist = await bearer('pharmacist');
    const forbidden = await post('/api/organisations', { kind: 'pharmacy', name: 'x', zone: 'UTC' }, pharmacist);
    expect(forbidden.json()).toMatchObject({ status: 403, code: 'access.forbidden' });
  });

  it('lets the administrator enrol organisations and people, once per key', async () => {
    const admin = await bearer('admin');
    const body = { kind: 'pharmacy', name: 'Third Pharmacy', zone: 'America/Chicago' };
    const first = await post('/api/organisations', body, { ...admin, 'idempotency-key': 'o-1' });
    expect(first.statusCode).toBe(201);
    expect(first.json()).toMatchObject({ ...body, npi: null });
    const second = await post('/api/organisations', body, { ...admin, 'idempotency-key': 'o-1' });
    expect(second.json()).toEqual(first.json());
    const other = await post('/api/organisations', { ...body, name: 'y' }, { ...admin, 'idempotency-key': 'o-1' });
    expect(other.json()).toMatchObject({ status: 422, code: 'idempotency.key-reused' });

    const person = {
      role: 'pharmacist',
      username: 'Third',
      name: 'Morgan Third',
      password: PASSWORD,
      org: first.json().id,
    };
    const account = await post('/api/accounts', person, { ...admin, 'idempotency-key': 'a-1' });
    expect(account.statusCode).toBe(201);
    expect(account.json()).toMatchObject({
      username: 'third',
      name: 'Morgan Third',
      role: 'pharmacist',
      disabled: false,
    });
    expect(account.json()).not.toHaveProperty('password');
    const repeated = await post('/api/accounts', person, { ...admin, 'idempotency-key': 'a-1' });
    expect(repeated.json()).toEqual(account.json());
    const taken = await post('/api/accounts', person, admin);
    expect(taken.json()).toMatchObject({ status: 409, code: 'identity.username-taken' });
    expect((await signIn('THIRD')).statusCode).toBe(200);
  });

  it.each([
    [{ role: 'pharmacist', org: DEMO_ORGANISATIONS.practice.id }, 'identity.organisation-kind'],
    [{ role: 'prescriber', org: '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1aff' }, 'identity.organisation-unknown'],
    [{ role: 'patient', patient: DEMO_ORGANISATIONS.practice.id }, 'identity.patient-unknown'],
    [{ role: 'patient', org: DEMO_ORGANISATIONS.practice.id }, 'request.invalid'],
    [{ role: 'auditor', org: DEMO_ORGANISATIONS.practice.id }, 'request.invalid'],
    [{ role: 'auditor', password: 'short' }, 'request.invalid'],
    [{ role: 'system' }, 'request.invalid'],
  ])('refuses an account that fits nowhere: %j', async (fields, code) => {
    const person = { username: 'nobody', name: 'No Body', password: PASSWORD, ...fields };
    const response = await post('/api/accounts', person, await bearer('admin'));
    expect(response.json().code).toBe(code);
  });

  it('refuses a zone and an NPI that are none', async () => {
    const response = await post(
      '/api/organisations',
      { kind: 'practice', name: 'x', zone: 'Mars/Olympus', npi: '1' },
      await bearer('admin'),
    );
    expect(response.json()).toMatchObject({ code: 'request.invalid', errors: [{ path: 'zone' }, { path: 'npi' }] });
  });

  it('ends an account: its tokens at once, and its sign-in', async () => {
    const admin = await bearer('admin');
    const person = { role: 'auditor', username: 'leaver', name: 'Lee Leaver', password: PASSWORD };
    const { id } = (await post('/api/accounts', person, admin)).json();
    const leaver = await bearer('leaver');
    expect((await app.inject({ url: '/api/self', headers: leaver })).statusCode).toBe(200);
    const ended = await post(`/api/accounts/${id}/disable`, undefined, admin);
    expect(ended.json()).toMatchObject({ id, disabled: true });
    expect((await app.inject({ url: '/api/self', headers: leaver })).statusCode).toBe(401);
    expect((await signIn('leaver')).json()).toMatchObject({ status: 401, code: 'identity.sign-in-refused' });
    const unknown = await post('/api/accounts/4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1aff/disable', undefined, admin);
    expect(unknown.json()).toMatchObject({ status: 404, code: 'identity.account-unknown' });
    const own = await post(`/api/accounts/${signIns[7]?.id}/disable`, undefined, admin);
    expect(own.json()).toMatchObject({ status: 409, code: 'identity.own-account' });
  });

  it('an account is told while its patient is erased', async () => {
    const admin = await bearer('admin');
    const identifiers = [{ system: 'urn:mrn', value: 'midway' }];
    const enrolled = await post('/api/patients', { name: 'Mid Way', identifiers }, admin);
    const patient: string = enrolled.json().patient.id;
    const person = { role: 'patient', username: 'midway', name: 'Mid Way', password: PASSWORD, patient };
    expect((await post('/api/accounts', person, admin)).statusCode).toBe(201);
    const token = await bearer('midway');
    const db = app.get(ReadDb);
    const query = db.query.bind(db);
    const spy = vi
      .spyOn(db, 'query')
      .mockImplementation(async <T extends object>(sql: string, values?: readonly unknown[]) => {
        const rows = await query<T>(sql, values);
        if (sql.includes('a.username,')) {
          spy.mockRestore();
          await app.get(LedgerWriter).erase(patient, { id: 'admin', role: 'administrator', org: null, patient: null });
        }
        return rows;
      });
    const self = () => app.inject({ url: '/api/self', headers: token });
    expect((await self()).json()).toMatchObject({ name: 'Mid Way', patient });
    expect((await self()).json()).toMatchObject({ status: 404, code: 'identity.account-unknown' });
  });

  it('an account goes with its patient: erased, nobody signs in, tokens stop, the administrator finds none', async () => {
    const admin = await bearer('admin');
    const identifiers = [{ system: 'urn:mrn', value: 'erased' }];
    const enrolled = await post('/api/patients', { name: 'Erin Erased', identifiers }, admin);
    const patient: string = enrolled.json().patient.id;
    const person = { role: 'patient', username: 'erased', name: 'Erin Erased', password: PASSWORD, patient };
    const { id } = (await post('/api/accounts', person, { ...admin, 'idempotency-key': 'erased' })).json();
    const token = await bearer('erased');
    const self = () => app.inject({ url: '/api/self', headers: token });
    expect((await self()).statusCode).toBe(200);

    await app.get(LedgerWriter).erase(patient, { id: 'admin', role: 'administrator', org: null, patient: null });
    // The token was checked a moment ago, but its account is gone by now.
    expect((await self()).json()).toMatchObject({ status: 404, code: 'identity.account-unknown' });
    clock.advance(RECHECK_SECONDS * 1000);
    expect((await self()).json()).toMatchObject({ status: 401, code: 'access.unauthenticated' });
    expect((await signIn('erased')).json()).toMatchObject({ status: 401, code: 'identity.sign-in-refused' });
    const ended = await post(`/api/accounts/${id}/disable`, undefined, admin);
    expect(ended.json()).toMatchObject({ status: 404, code: 'identity.account-unknown' });
    const again = await post('/api/accounts', person, { ...admin, 'idempotency-key': 'erased' });
    expect(again.json()).toMatchObject({ status: 404, code: 'identity.account-unknown' });
  });

  it('answers alike for a wrong password, an unknown user and a locked account', async () => {
    const wrong = await signIn('prescriber2', 'wrong');
    const unknown = await signIn('nobody-at-all', 'wrong');
    for (let i = 0; i < FREE_FAILURES; i++) await signIn('patient2', 'wrong');
    const locked = await signIn('patient2');
    expect(wrong.statusCode).toBe(401);
    expect(unknown.json()).toEqual(wrong.json());
    expect(locked.json()).toEqual(wrong.json());
  });

  it('locks after five failures, for longer each time, and forgets them after a success', async () => {
    for (let i = 0; i < FREE_FAILURES; i++) expect((await signIn('pharmacist2', 'wrong')).statusCode).toBe(401);
    expect((await signIn('pharmacist2')).statusCode).toBe(401);
    clock.advance(FIRST_LOCK_MS);
    expect((await signIn('pharmacist2', 'wrong')).statusCode).toBe(401);
    clock.advance(2 * FIRST_LOCK_MS - 1);
    expect((await signIn('pharmacist2')).statusCode).toBe(401);
    clock.advance(1);
    expect((await signIn('pharmacist2')).statusCode).toBe(200);
    for (let i = 0; i < FREE_FAILURES - 1; i++) await signIn('pharmacist2', 'wrong');
    expect((await signIn('pharmacist2')).statusCode).toBe(200);
    expect([4, 5, 6, 7, 100].map(lockMilliseconds)).toEqual([0, 30_000, 60_000, 120_000, LONGEST_LOCK_MS]);
  });

  it('counts attempts that come at once as many', async () => {
    const guesses = Array.from({ length: 12 }, (_, i) => signIn('prescriber', i === 11 ? PASSWORD : `guess ${i}`));
    expect((await Promise.all(guesses)).map(({ statusCode }) => statusCode)).not.toContain(200);
    clock.advance(LONGEST_LOCK_MS);
    expect((await signIn('prescriber')).statusCode).toBe(200);
  });

  it('does without the key of a signer it does not know', async () => {
    const jwks = (await app.inject('/.well-known/jwks.json')).json();
    expect(jwks.keys).toHaveLength(1);
    expect(jwks.keys[0]).not.toHaveProperty('d');
  });

  it('leaves no name, user name or password in the clear, in the database or the log', async () => {
    // The organisation's id follows the role without a separator: "pharmacist" and "2…", as with every sixteenth
    // organisation.
    const org = '2c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a05';
    await app
      .get(LedgerWriter)
      .side((db) =>
        insertOrganisation(db, app.get(Vault), { ...DEMO_ORGANISATIONS.pharmacy, id: org, name: 'Quay Pharmacy' }),
      );
    const person = { role: 'pharmacist', username: 'quay', name: 'Quinn Quay', password: PASSWORD, org };
    expect((await post('/api/accounts', person, await bearer('admin'))).statusCode).toBe(201);
    const files = readdirSync(dir).filter((file) => file.startsWith('rxledger.sqlite'));
    expect(files.length).toBeGreaterThan(0);
    const bytes = Buffer.concat(files.map((file) => readFileSync(join(dir, file))));
    expect(bytes.includes(`pharmacist${org}`)).toBe(true);
    const text = bytes.toString('latin1');
    for (const secret of ['Morgan Third', 'Kim Pharmacist', 'Pat Example', 'prescriber2', 'pharmacist2', PASSWORD]) {
      // The surrounding text goes into the message, since a hit may not be reproducible.
      const at = text.search(new RegExp(`${secret}(?![0-9a-f]{7}-[0-9a-f]{4}-)`));
      expect({ secret, beside: at < 0 ? null : text.slice(Math.max(at - 200, 0), at + 200) }).toEqual({
        secret,
        beside: null,
      });
      expect(lines.join('').includes(secret)).toBe(false);
    }
    expect(bytes.includes('Corner Pharmacy')).toBe(true);
  });

  it('lets nobody elsewhere lock somebody out of where they work, for thirty days after their last sign-in', async () => {
    const [home, attacker, other] = ['2001:db8:1:2::7', '203.0.113.9', '198.51.100.4'];
    const user = 'prescriber2';
    expect((await signIn(user, PASSWORD, home)).statusCode).toBe(200);
    const lock = async () => {
      for (let i = 0; i < FREE_FAILURES; i++) await signIn(user, 'wrong', attacker);
    };
    await lock();
    expect((await signIn(user, PASSWORD, attacker)).statusCode).toBe(401);
    expect((await signIn(user, PASSWORD, other)).statusCode).toBe(401);
    // Another device of the same household.
    expect((await signIn(user, PASSWORD, '2001:db8:1:2::8')).statusCode).toBe(200);
    // Whoever guesses from there locks that address alone.
    for (let i = 0; i < FREE_FAILURES; i++) await signIn(user, 'wrong', home);
    expect((await signIn(user, PASSWORD, home)).statusCode).toBe(401);
    clock.advance(ADDRESS_LIFE_MS);
    await lock();
    expect((await signIn(user, PASSWORD, home)).statusCode).toBe(401);
    clock.advance(LONGEST_LOCK_MS);
    expect((await signIn(user, PASSWORD, home)).statusCode).toBe(200);
  });

  it('counts wrong passwords of a user name that nobody has as of any other, and forgets them after a day', async () => {
    const db = app.get(ReadDb);
    const writer = app.get(LedgerWriter);
    const attempts = () => db.query('SELECT failed FROM sign_in_attempt');
    clock.advance(ATTEMPTS_LIFE_MS);
    await pruneAttempts(writer, db, clock.now());
    expect(await attempts()).toEqual([]);
    await signIn('nobody-at-all', 'wrong');
    await signIn('nobody-at-all', 'wrong');
    await signIn('auditor', 'wrong');
    expect(await attempts()).toEqual(expect.arrayContaining([{ failed: 2 }, { failed: 1 }]));
    clock.advance(ATTEMPTS_LIFE_MS + 1);
    await pruneAttempts(writer, db, clock.now());
    expect(await attempts()).toEqual([]);
  });

  it('limits sign-in attempts by address', async () => {
    const strict = Config.parse({
      DATA_DIR: mkdtempSync(join(dir, 'limited-')),
      LOG_LEVEL: 'silent',
      SIGN_IN_PER_MINUTE: '3',
    });
    const limited = await createServer(AppModule.for(strict, clock), strict, createLogger(strict));
    try {
      await limited.init();
      const attempt = () =>
        limited.inject({ method: 'POST', url: '/api/auth/sign-in', payload: { username: 'nobody', password: 'x' } });
      const codes = [];
      for (let i = 0; i < 4; i++) codes.push((await attempt()).statusCode);
      expect(codes).toEqual([401, 401, 401, 429]);
      const refused = await attempt();
      expect(refused.json()).toMatchObject({ code: 'request.rate-limited', retryAfterSeconds: expect.any(Number) });
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect((await limited.inject('/health/live')).statusCode).toBe(200);
    } finally {
      await limited.close();
    }
  });

  it('does not start in production with demo accounts or a demo password, nor in development beyond loopback', async () => {
    const production = Config.parse({ DATA_DIR: dir, NODE_ENV: 'production' });
    const db = app.get(ReadDb);
    await expect(checkAccounts(production, db)).rejects.toThrow(ConfigError);
    for (const ROLE of ['api', 'worker', 'all']) {
      const role = Config.parse({ DATA_DIR: dir, NODE_ENV: 'production', LOG_LEVEL: 'silent', PORT: '0', ROLE });
      await expect(serve(role, clock)).rejects.toThrow('the database holds demo accounts');
    }
    await expect(checkAccounts(config, db)).resolves.toBeUndefined();
    expect(() => checkMode(production)).not.toThrow();
    expect(() => checkMode(Config.parse({ NODE_ENV: 'production', DEMO_PASSWORD: PASSWORD }))).toThrow(ConfigError);
    for (const HOST of ['0.0.0.0', '::', '192.168.1.2', 'example.org']) {
      expect(() => checkMode(Config.parse({ HOST }))).toThrow(ConfigError);
      expect(() => checkMode(Config.parse({ HOST, NODE_ENV: 'production' }))).not.toThrow();
    }
    expect(() => checkMode(Config.parse({ HOST: '127.0.0.1' }))).not.toThrow();
  });
});
