import { inject } from 'vitest';

/**
 * The engines of this test run. Use at the top of a spec file:
 *
 * const postgres = await sharedPostgres();
 * describe.skipIf(postgres.missing)('…', () => { const url = await postgres.createDatabase(); … });
 *
 * `missing` tells why an engine is not available; the tests are then skipped, with a line on stderr. In CI (`CI` is
 * set) that is an error.
 */
export interface SharedPostgres {
  readonly missing: string | null;
  /** A new empty database on the run's PostgreSQL (or beside `TEST_DATABASE_URL`). @returns its URL */
  createDatabase(): Promise<string>;
}

export interface SharedRedis {
  readonly missing: string | null;
  /** The run's Redis (or `TEST_REDIS_URL`), shared by all test files: never stop, flush or reconfigure it. */
  readonly url: string;
}

export async function sharedPostgres(): Promise<SharedPostgres> {
  const { missing } = await engine('PostgreSQL', '/postgres');
  return { missing, createDatabase: () => ask('/postgres/database') };
}

/** A database engine of a ledger. */
export interface Engine {
  readonly engine: 'SQLite' | 'PostgreSQL';
  readonly missing: string | null;
  /** Settings of a new empty database; on SQLite the folder says where it is. */
  readonly database: () => Promise<Record<string, string>>;
}

/** SQLite and the run's PostgreSQL, for `describe.each`. */
export async function bothEngines(): Promise<Engine[]> {
  const postgres = await sharedPostgres();
  const { missing } = postgres;
  return [
    { engine: 'SQLite', missing: null, database: () => Promise.resolve({}) },
    { engine: 'PostgreSQL', missing, database: async () => ({ DATABASE_URL: await postgres.createDatabase() }) },
  ];
}

export async function sharedRedis(): Promise<SharedRedis> {
  const { missing, answer } = await engine('Redis', '/redis');
  return { missing, url: answer };
}

/** Whether `startPostgres()` can work, for tests that stop or crash their own server. */
export async function postgresPrograms(): Promise<{ missing: string | null }> {
  return engine('PostgreSQL programs', '/postgres/programs');
}

/** Whether `startRedis()` can work, for tests that stop or empty their own server. */
export async function redisProgram(): Promise<{ missing: string | null }> {
  return engine('redis-server', '/redis/program');
}

async function engine(name: string, path: string): Promise<{ missing: string | null; answer: string }> {
  try {
    return { missing: null, answer: await ask(path) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (process.env['CI']) throw new Error(`${name} is needed in CI: ${reason}`, { cause: error });
    process.stderr.write(`Tests that need ${name} are skipped: ${reason}\n`);
    return { missing: reason, answer: '' };
  }
}

async function ask(path: string): Promise<string> {
  const response = await fetch(inject('engines') + path);
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}
