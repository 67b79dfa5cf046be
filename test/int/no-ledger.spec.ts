import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { sharedPostgres } from '../support/engines.js';
import { runCommand } from '../support/terminal.js';

const postgres = await sharedPostgres();

describe.skipIf(postgres.missing)('commands on a PostgreSQL database without a ledger', () => {
  let folder = '';
  let url = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rxledger-none-'));
    url = await postgres.createDatabase();
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    ['keys', 'rotate-encryption', '--destroy-old'],
    ['rebuild'],
    ['admin', 'create', 'ada', '--role', 'auditor'],
    ['admin', 'reset', 'ada'],
    ['log', 'verify'],
    ['log', 'export'],
    ['log', 'rotate-key'],
    ['log', 'restore', '--payloads', import.meta.filename],
    ['log', 'restart', '--yes'],
  ])('make nothing: %s %s', async (...args) => {
    const env = { DATA_DIR: folder, DATABASE_URL: url };
    const { code, out, err } = await runCommand(args, env);
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toMatch(/^rxledger: there is no ledger in the database of DATABASE_URL \(\S+:\d+\/\w+\)/);
    expect(await readdir(folder)).toEqual([]);
    const source = await openReader(Config.parse(env));
    try {
      expect(
        await source.query('SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace'),
      ).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  it('a database that is not on the server is named, without the password', async () => {
    const away = new URL(url);
    away.pathname = '/nowhere';
    const { code, err } = await runCommand(['log', 'vkey'], { DATA_DIR: folder, DATABASE_URL: away.href });
    expect({ code, err }).toEqual({
      code: 3,
      err: `rxledger: the database of DATABASE_URL (${away.host}/nowhere) refuses the connection (3D000): check its user, its password and the name of the database`,
    });
  });
});
