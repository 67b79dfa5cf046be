import { randomBytes } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { makeAssertion, publicJwk } from '../../src/cli/keys/client-token.js';
import { SettableClock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openSqliteReadOnly, openWriter } from '../../src/database/data-source.js';
import { ASSERTION_TYPE } from '../../src/identity/machines/client-assertion.js';
import { createLogger } from '../../src/config/logging.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { serve, type Service } from '../../src/main.js';
import { sharedPostgres } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';

const PASSWORD = 'correct horse battery';
const PUBLIC_URL = 'https://rx.example';
const NAME = 'Follower of Quillfeather County';
const START = Date.parse('2026-03-10T12:00:00Z');
const SETTINGS = { PORT: '0', DEMO_PASSWORD: PASSWORD, SIGN_IN_PER_MINUTE: '100000', PUBLIC_URL };

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

const ask = ({ address }: Service, assertion: string) =>
  fetch(`${address}/api/auth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: assertion,
    }),
  });

async function register({ address }: Service, seed: Buffer): Promise<string> {
  const signedIn = await post(`${address}/api/auth/sign-in`, { username: 'admin', password: PASSWORD });
  const { accessToken } = (await signedIn.json()) as { accessToken: string };
  const body = { role: 'auditor', name: NAME, jwks: { keys: [await publicJwk(seed)] } };
  const made = await post(`${address}/api/clients`, body, { authorization: `Bearer ${accessToken}` });
  return ((await made.json()) as { id: string }).id;
}

/** What `verify` says of a copy of the database. */
async function verified(mine: Config) {
  const file = `${mine.sqliteFile}.copy`;
  copyFileSync(mine.sqliteFile, file);
  const source = await openSqliteReadOnly(file);
  try {
    const vault = Vault.openExisting(mine.keysDir, 'test.example/log');
    return await verifyDatabase({ source, vkey: null, vault, remembered: null, models: CHAIN_MODELS });
  } finally {
    await source.destroy();
  }
}

describe('machines on SQLite', () => {
  const folder = temporaryFolder();
  const lines: string[] = [];
  const clock = new SettableClock(START);
  const config = testConfig(folder.path, { ...SETTINGS, LOG_LEVEL: 'debug' });
  const start = () => serve(config, clock, createLogger(config, { write: (line) => void lines.push(line) }));
  afterAll(() => folder.remove());

  it('an assertion is used for ever, also after a restart; names and assertions stand nowhere in the clear', async () => {
    const seed = randomBytes(32);
    const before = await start();
    const id = await register(before, seed);
    const used = await makeAssertion(id, seed, PUBLIC_URL, clock.now());
    expect((await ask(before, used)).status).toBe(200);
    await before.close();
    const after = await start();
    const again = await ask(after, used);
    expect(await again.json()).toMatchObject({ status: 401, error: 'invalid_client' });
    expect((await ask(after, await makeAssertion(id, seed, PUBLIC_URL, clock.now()))).status).toBe(200);
    // The port that it listens on is no audience beside a public address.
    const local = await makeAssertion(id, seed, `${after.address}/api/auth/token`, clock.now());
    expect((await ask(after, local)).status).toBe(401);
    const files = readdirSync(folder.path).filter((name) => name.startsWith('rxledger.sqlite'));
    const bytes = Buffer.concat(files.map((name) => readFileSync(join(folder.path, name))));
    const { x = '' } = await publicJwk(seed);
    for (const secret of [NAME, used, used.split('.')[1] ?? '', x]) {
      expect(bytes.includes(secret)).toBe(false);
      expect(lines.join('').includes(secret)).toBe(false);
    }
    expect(lines.join('')).toContain('/api/auth/token');
    await after.close();
  });

  it.each<[string, string, object]>([
    [
      'keys of another machine',
      'UPDATE client SET keys = (SELECT keys FROM client WHERE id = $two) WHERE id = $one',
      { kind: 'tampered', table: 'client' },
    ],
    [
      'keys in the clear',
      `UPDATE client SET keys = '{"keys":[]}' WHERE id = $one`,
      { kind: 'tampered', table: 'client' },
    ],
    [
      'the name as keys',
      'UPDATE client SET keys = (SELECT name FROM account WHERE id = $one) WHERE id = $one',
      { kind: 'tampered', table: 'client' },
    ],
    ['keys that are gone', 'DELETE FROM client WHERE id = $one', { kind: 'missing', table: 'client' }],
    [
      'keys for a person',
      "INSERT INTO client (id, keys) SELECT id, x'00' FROM account WHERE password IS NOT NULL LIMIT 1",
      { table: 'client', what: 'there is no such account of a machine' },
    ],
    ['an id that is none', "UPDATE client SET id = x'00' WHERE id = $one", { kind: 'tampered', table: 'client' }],
    [
      'another organisation',
      'UPDATE account SET org = (SELECT id FROM organisation LIMIT 1) WHERE id = $one',
      { kind: 'tampered', table: 'client' },
    ],
    ['its subject', 'DELETE FROM subject WHERE id = $one', { kind: 'missing', table: 'subject' }],
  ])('verify notices %s', async (_, sql, finding) => {
    const own = temporaryFolder();
    const mine = testConfig(own.path, SETTINGS);
    const service = await serve(mine, clock);
    const one = await register(service, randomBytes(32));
    const two = await register(service, randomBytes(32));
    await service.close();
    expect(await verified(mine)).toMatchObject({ ok: true });
    const source = await openWriter(mine);
    await source.query(sql.replaceAll('$one', `'${one}'`).replaceAll('$two', `'${two}'`));
    await source.destroy();
    expect((await verified(mine)).findings).toContainEqual(expect.objectContaining(finding));
    own.remove();
  });
});

const postgres = await sharedPostgres();

describe.skipIf(postgres.missing)('machines on two processes of one PostgreSQL', () => {
  const folder = temporaryFolder();
  const services: Service[] = [];
  afterAll(async () => {
    for (const service of services) await service.close();
    folder.remove();
  });

  it('an assertion is taken by one of them, once', async () => {
    const config = testConfig(folder.path, { ...SETTINGS, DATABASE_URL: await postgres.createDatabase() });
    const clock = new SettableClock(Date.now());
    for (let i = 0; i < 2; i++) services.push(await serve(config, clock));
    const [one, two] = services as [Service, Service];
    const seed = randomBytes(32);
    const id = await register(one, seed);
    for (let round = 0; round < 10; round++) {
      const assertion = await makeAssertion(id, seed, PUBLIC_URL, clock.now());
      const answers = await Promise.all([one, two, one, two].map((service) => ask(service, assertion)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 401)).toHaveLength(3);
    }
    expect((await ask(two, await makeAssertion(id, randomBytes(32), PUBLIC_URL, clock.now()))).status).toBe(401);
  });
});
