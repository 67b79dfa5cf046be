import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { sharedPostgres } from '../../test/support/engines.js';
import { Config } from '../config/config.js';
import { createLogger } from '../config/logging.js';
import { type Service, serve } from '../main.js';
import { FREE_FAILURES } from './accounts/sign-in-attempts.js';

const PASSWORD = 'correct horse battery';
const postgres = await sharedPostgres();

const signIn = (service: Service | undefined, username: string, password: string) =>
  fetch(`${service?.address}/api/auth/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
  });

describe.skipIf(postgres.missing)('identity of two processes on one PostgreSQL', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rxledger-identity-'));
  const services: Service[] = [];

  afterAll(async () => {
    for (const service of services) await service.close();
    rmSync(dir, { recursive: true });
  });

  it('seeds the demo once, and knows the other process by its tokens', async () => {
    const config = Config.parse({
      DATA_DIR: dir,
      DATABASE_URL: await postgres.createDatabase(),
      PORT: '0',
      LOG_LEVEL: 'silent',
      DEMO_PASSWORD: PASSWORD,
    });
    services.push(...(await Promise.all([1, 2].map(() => serve(config, undefined, createLogger(config))))));
    const [one, two] = services;
    expect(one?.signIns).toEqual(two?.signIns);
    const { accessToken } = (await (await signIn(one, 'admin', PASSWORD)).json()) as { accessToken: string };
    const headers = { authorization: `Bearer ${accessToken}` };
    const self = await fetch(`${two?.address}/api/self`, { headers });
    expect(await self.json()).toMatchObject({ username: 'admin', role: 'administrator' });
    const directory = await fetch(`${two?.address}/api/organisations?limit=3`, { headers });
    const page = (await directory.json()) as { items: unknown[]; next: string };
    expect(page.items).toHaveLength(3);
    const rest = await fetch(`${two?.address}/api/organisations?limit=3&after=${page.next}`, { headers });
    expect(await rest.json()).toMatchObject({ items: [expect.anything()], next: null });
  });

  it('counts failures at both together', async () => {
    const [one, two] = services;
    const guesses = Array.from({ length: FREE_FAILURES + 1 }, (_, i) =>
      signIn(i % 2 === 0 ? one : two, 'auditor', 'wrong'),
    );
    await Promise.all(guesses);
    expect((await signIn(one, 'auditor', PASSWORD)).status).toBe(401);
    expect((await signIn(two, 'auditor', PASSWORD)).status).toBe(401);
    expect((await signIn(two, 'patient', PASSWORD)).status).toBe(200);
  });
});
