import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort, which } from '../../src/cli/service/machine.js';
import { endChild, findRedis, type FoundRedis, launchRedis, RedisMissing } from '../../src/cli/service/redis-finder.js';
import { redisProgram } from '../support/engines.js';
import { startNode } from '../support/process.js';

const program = await redisProgram();

describe.skipIf(program.missing)('findRedis', () => {
  let dataDir: string;
  let lines: string[];
  const found: FoundRedis[] = [];
  const log = (line: string) => lines.push(line);
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rxledger-finder-'));
    lines = [];
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    for (const redis of found.splice(0).toReversed()) await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const find = async (standardPort?: number) => {
    const redis = await findRedis({ dataDir, log, standardPort: standardPort ?? (await freePort()) });
    found.push(redis);
    return redis;
  };

  it('takes a named Redis as it is', async () => {
    const url = 'redis://user:secret@redis.example:6380/2';
    expect((await findRedis({ url, dataDir, log })).url).toBe(url);
    expect(lines).toEqual([]);
  });

  it('starts one for queues, on the loopback address, with a password that is never said', async () => {
    const { url } = await find();
    const info = await infoOf(url);
    expect(info).toContain('maxmemory_policy:noeviction');
    expect(info).toContain('aof_enabled:1');
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const { password } = new URL(url);
    expect(password.length).toBeGreaterThanOrEqual(32);
    await expect(infoOf(url.replace(`:${password}@`, ''))).rejects.toThrow(/NOAUTH|closed/);
    expect(lines).toHaveLength(1);
    expect(lines.join()).not.toContain(password);
  });

  it('keeps its data from one start to the next, and ends its child', async () => {
    const first = await find();
    await command(first.url, (client) => client.set('key', 'kept'));
    await found.pop()?.stop();
    await expect(infoOf(first.url)).rejects.toThrow('Connection is closed');
    const second = await find();
    expect(await command(second.url, (client) => client.get('key'))).toBe('kept');
  });

  it('joins the Redis of another process of the same data folder, and does not end it', async () => {
    const first = await find();
    const second = await findRedis({ dataDir, log });
    expect(second.url).toBe(first.url);
    await second.stop();
    expect(await infoOf(first.url)).toContain('redis_version');
  });

  it('adopts one whose owner is dead, and ends it', async () => {
    const dir = join(dataDir, 'redis');
    await mkdir(dir);
    const orphan = await launchRedis(which('redis-server') ?? '', { dir, password: 'orphan' });
    const gone = startNode('test/support/spawner.js', ['["true"]']);
    await gone.kill();
    await writeFile(
      join(dir, 'server.json'),
      JSON.stringify({ port: orphan.port, password: 'orphan', owner: gone.pid }),
    );
    const adopted = await findRedis({ dataDir, log });
    expect(adopted.url).toBe(`redis://:orphan@127.0.0.1:${orphan.port}`);
    await adopted.stop();
    await expect(infoOf(adopted.url)).rejects.toThrow('Connection is closed');
  });

  it('starts afresh when the file that names a Redis is cut short or out of date', async () => {
    await mkdir(join(dataDir, 'redis'));
    await writeFile(join(dataDir, 'redis', 'server.json'), '{"port":');
    await find();
    await found.pop()?.stop();
    await writeFile(
      join(dataDir, 'redis', 'server.json'),
      JSON.stringify({ port: await freePort(), password: 'x', owner: 1 }),
    );
    expect(await infoOf((await find()).url)).toContain('redis_version');
  });

  it.each([
    { policy: 'noeviction', taken: true },
    { policy: 'allkeys-lru', taken: false },
  ])('of a Redis on the standard port with $policy: taken is $taken', async ({ policy, taken }) => {
    const other = await mkdtemp(join(tmpdir(), 'rxledger-other-'));
    const { child, port } = await launchRedis(which('redis-server') ?? '', { dir: other, password: 'x' });
    const withPassword = `redis://:x@127.0.0.1:${port}`;
    await command(withPassword, (client) => client.config('SET', 'maxmemory-policy', policy));
    await command(withPassword, (client) => client.config('SET', 'requirepass', ''));
    try {
      const { url } = await find(port);
      expect(url === `redis://127.0.0.1:${port}`).toBe(taken);
      await found.pop()?.stop();
      expect(await infoOf(`redis://127.0.0.1:${port}`)).toContain('redis_version');
    } finally {
      await endChild(child, 'SIGKILL');
      await rm(other, { recursive: true, force: true });
    }
  });

  it('leaves a Redis alone that asks for a password', async () => {
    const theirs = await find();
    const port = Number(new URL(theirs.url).port);
    const elsewhere = await mkdtemp(join(tmpdir(), 'rxledger-finder-'));
    const ours = await findRedis({ dataDir: elsewhere, log, standardPort: port });
    expect(ours.url).not.toContain(`:${port}`);
    await ours.stop();
    await rm(elsewhere, { recursive: true });
  });

  it('starts none where that is not wanted, but takes one that runs', async () => {
    const [port, own] = [await freePort(), await mkdtemp(join(tmpdir(), 'rxledger-finder-'))];
    const search = { dataDir, log, standardPort: port, upTo: 'find' as const };
    await expect(findRedis(search)).rejects.toThrow(
      new RedisMissing(`No Redis found at redis://127.0.0.1:${port}: name one in REDIS_URL.`),
    );
    expect(lines).toEqual([]);
    expect(await readdir(dataDir)).toEqual([]);
    const running = await findRedis({ dataDir: own, log, standardPort: port });
    expect((await findRedis({ ...search, dataDir: own })).url).toBe(running.url);
    await running.stop();
    await rm(own, { recursive: true });
  });

  it('says in one line what to install where nothing can be had', async () => {
    vi.stubEnv('PATH', dataDir);
    await expect(find()).rejects.toThrow(RedisMissing);
    await expect(find()).rejects.toThrow(/^No Redis found: install redis-server .*$/);
    expect(lines).toEqual([]);
  });
});

async function command<T>(url: string, job: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
  client.on('error', () => {});
  try {
    await client.connect();
    return await job(client);
  } finally {
    client.disconnect();
  }
}

const infoOf = (url: string) => command(url, (client) => client.info());
