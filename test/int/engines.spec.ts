import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { postgresPrograms, redisProgram, sharedPostgres, sharedRedis } from '../support/engines.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

const postgres = await sharedPostgres();
const redis = await sharedRedis();
const ownPostgres = await postgresPrograms();
const ownRedis = await redisProgram();

async function query<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe.skipIf(postgres.missing)('the PostgreSQL of the run', () => {
  it('gives each caller an empty database of its own, with fsync on', async () => {
    const [one, other] = await Promise.all([postgres.createDatabase(), postgres.createDatabase()]);
    expect(one).not.toBe(other);
    await query(one, 'CREATE TABLE t (a integer)');
    expect(await query(other, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).toEqual([]);
    expect(await query(one, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    expect(await query(one, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
  });
});

describe.skipIf(redis.missing)('the Redis of the run', () => {
  it('is set up for queues', async () => {
    const client = new Redis(redis.url);
    const [memory, persistence] = await Promise.all([client.info('memory'), client.info('persistence')]);
    client.disconnect();
    expect(memory).toContain('maxmemory_policy:noeviction');
    expect(persistence).toContain('aof_enabled:1');
  });
});

describe.skipIf(ownRedis.missing)('a Redis of a test', () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  const value = async () => {
    const client = new Redis(server.url);
    return client.get('key').finally(() => client.disconnect());
  };

  it('keeps its data over a halt, loses them when started empty or flushed', async () => {
    const client = new Redis(server.url);
    await client.set('key', 'kept');
    client.disconnect();
    await server.halt();
    await server.start();
    expect(await value()).toBe('kept');
    await server.kill();
    await server.start(true);
    expect(await value()).toBeNull();
    const again = new Redis(server.url);
    await again.set('key', 'flushed');
    again.disconnect();
    await server.flush();
    expect(await value()).toBeNull();
  });
});

describe.skipIf(ownPostgres.missing)('a PostgreSQL of a test', () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());

  it('keeps what was committed before a crash', async () => {
    const url = await server.createDatabase();
    await query(url, 'CREATE TABLE t AS SELECT 42 AS answer');
    await server.kill();
    await expect(query(url, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
    await server.start();
    expect(await query(url, 'SELECT answer FROM t')).toEqual([{ answer: 42 }]);
  });
});

describe.skipIf(postgres.missing)('the TCP proxy before PostgreSQL', () => {
  let direct: string;
  let proxy: TcpProxy;
  let client: Client;
  beforeAll(async () => {
    direct = await postgres.createDatabase();
    await query(direct, 'CREATE TABLE t (a integer)');
  });
  const open = async () => {
    proxy = await startProxy(direct);
    client = new Client({ connectionString: proxy.through(direct) });
    client.on('error', () => {});
    await client.connect();
  };
  afterEach(() => proxy.close());

  it.each([
    { moment: 'before', rows: [] },
    { moment: 'after', rows: [{ a: 2 }] },
  ] as const)('cuts $moment the COMMIT', async ({ moment, rows }) => {
    await open();
    await query(direct, 'DELETE FROM t');
    await client.query('BEGIN');
    await client.query('INSERT INTO t VALUES (2)');
    const cut = proxy.cutWhen((bytes) => bytes.includes('COMMIT'), moment);
    await expect(client.query('COMMIT')).rejects.toThrow(/ECONNRESET|terminated/);
    await cut;
    expect(await query(direct, 'SELECT a FROM t')).toEqual(rows);
    const next = new Client({ connectionString: proxy.through(direct) });
    await next.connect();
    await next.query('COMMIT');
    await next.end();
  });

  it('cuts all connections and lets new ones in', async () => {
    await open();
    const ended = new Promise((resolve) => client.once('end', resolve));
    proxy.cut();
    await ended;
    expect(await query(proxy.through(direct), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('refuses until it accepts', async () => {
    await open();
    proxy.refuse();
    await expect(query(proxy.through(direct), 'SELECT 1')).rejects.toThrow(/ECONNRESET|terminated/);
    proxy.accept();
    expect(await query(proxy.through(direct), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('holds bytes back while stalled and loses none', async () => {
    await open();
    proxy.stall();
    let answered = false;
    const answer = client.query("INSERT INTO t VALUES (77) RETURNING 'done' AS said").then((result) => {
      answered = true;
      return result.rows as unknown;
    });
    await query(direct, 'SELECT pg_sleep(0.1)');
    expect(await query(direct, 'SELECT a FROM t WHERE a = 77')).toEqual([]);
    expect(answered).toBe(false);
    proxy.resume();
    expect(await answer).toEqual([{ said: 'done' }]);
    expect(await query(direct, 'SELECT a FROM t WHERE a = 77')).toHaveLength(1);
    await client.end();
  });
});
