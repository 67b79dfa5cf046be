import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { TestProject } from 'vitest/node';
import { listenLocally } from '../../src/cli/service/machine.js';
import { LONG } from './length.js';
import { createDatabase, dropDatabase, postgresBinaries, startPostgres, type TestPostgres } from './postgres.js';
import { redisBinary, startRedis, type TestRedis } from './redis.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Address at which test files ask for engines; see engines.ts. */
    engines: string;
  }
}

/** A folder in memory, on Linux. */
const MEMORY = '/dev/shm';
/** Bytes; the whole suite needs less while it runs. */
const ENOUGH = 4 * 1024 ** 3;

/**
 * The short form writes to memory, so that it does not wait for a disk. No test can see a power cut, for which fsync is
 * needed; tests only check that fsync is called. The long form writes to disk.
 * @returns the folder; null when there is none, or too little room
 */
function folderInMemory(): string | null {
  if (LONG || !existsSync(MEMORY)) return null;
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < ENOUGH) return null;
  const folder = mkdtempSync(`${MEMORY}/rxledger-tests-`);
  // PostgreSQL runs as another user.
  chmodSync(folder, 0o755);
  return folder;
}

/**
 * One PostgreSQL and one Redis for the whole run, installed and started when the first test file asks. The files run in
 * processes of their own, so they ask over HTTP on the loopback address.
 */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const memory = folderInMemory();
  if (memory !== null) process.env['TMPDIR'] = process.env['TEST_MEMORY'] = memory;
  const servers: { redis?: TestRedis; postgres?: TestPostgres } = {};
  const lent = process.env['TEST_DATABASE_URL'];
  const databases: string[] = [];

  // apt-get runs one at a time.
  let installing: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(job: () => Promise<T>): Promise<T> => {
    const result = installing.then(job);
    installing = result.catch(() => {});
    return result;
  };
  const redisProgram = once(() => inTurn(redisBinary));
  const postgresPrograms = once(() => inTurn(postgresBinaries));
  const redis = once(async () => {
    const named = process.env['TEST_REDIS_URL'];
    if (named) return named;
    await redisProgram();
    servers.redis = await startRedis();
    return servers.redis.url;
  });
  const postgres = once(async () => {
    if (lent) return lent;
    await postgresPrograms();
    servers.postgres = await startPostgres();
    return servers.postgres.url('postgres');
  });
  const desk: Record<string, () => Promise<string>> = {
    '/redis': redis,
    '/redis/program': redisProgram,
    '/postgres': postgres,
    '/postgres/programs': postgresPrograms,
    '/postgres/database': async () => {
      const database = await createDatabase(await postgres());
      databases.push(database);
      return database;
    },
  };

  const server = createServer((request, response) => {
    const answer = desk[request.url ?? ''] ?? (() => Promise.reject(new Error('no such engine')));
    answer().then(
      (text) => response.end(text),
      (error: Error) => response.writeHead(503).end(error.message),
    );
  });
  provide('engines', `http://127.0.0.1:${await listenLocally(server)}`);

  return async () => {
    server.closeAllConnections();
    server.close();
    if (lent) for (const database of databases) await dropDatabase(lent, database);
    await servers.redis?.stop();
    await servers.postgres?.stop();
    if (memory !== null) rmSync(memory, { recursive: true, force: true });
  };
}

function once<T>(job: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= job());
}
