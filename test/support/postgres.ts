import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { canInstall, freePort, installPackages, tethered, which } from '../../src/cli/service/machine.js';
import { endChild } from '../../src/cli/service/redis-finder.js';

const run = promisify(execFile);

/** A private PostgreSQL on its own port, with fsync on, since tests check durability. */
export interface TestPostgres {
  readonly port: number;
  /** URL of a database of this server. */
  url(database: string): string;
  /** Creates an empty database. @returns its URL */
  createDatabase(): Promise<string>;
  /** Ends postmaster and all backends at once, as in a crash (SIGQUIT: no checkpoint, recovery at next start). */
  kill(): Promise<void>;
  /** Starts it again on the same port and data. */
  start(): Promise<void>;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

/**
 * The folder of `initdb` and `postgres`, newest version first, installed when missing and possible.
 * @throws {Error} saying why there is none.
 */
export async function postgresBinaries(): Promise<string> {
  const found = locate();
  if (found) return found;
  if (!canInstall()) throw new Error('PostgreSQL is not installed, and only root with apt-get can install it');
  await installPackages(['postgresql-common']);
  await withoutDefaultCluster(() => installPackages(['postgresql']));
  const installed = locate();
  if (!installed) throw new Error('no PostgreSQL server programs after the installation');
  return installed;
}

function locate(): string | null {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).filter((name) => /^\d+$/.test(name)) : [];
  const folders = versions.toSorted((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, 'bin'));
  const onPath = which('postgres');
  if (onPath) folders.push(dirname(realpathSync(onPath)));
  return folders.find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres'))) ?? null;
}

/** Without this setting during the installation, Debian's package makes a cluster and starts it at boot. */
async function withoutDefaultCluster(job: () => Promise<void>): Promise<void> {
  const setting = '/etc/postgresql-common/createcluster.d/rxledger-tests.conf';
  await mkdir(dirname(setting), { recursive: true });
  await writeFile(setting, 'create_main_cluster = false\n');
  try {
    await job();
  } finally {
    await rm(setting, { force: true });
  }
}

/** initdb and postgres refuse to run as root: as root they run as the user `postgres`, else as this user. */
async function serverUser(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => (await run('id', [flag, 'postgres'])).stdout));
  return { uid: Number(uid), gid: Number(gid) };
}

/** @throws {Error} saying why there is none. */
export async function startPostgres(): Promise<TestPostgres> {
  const bin = await postgresBinaries();
  const user = await serverUser();
  // Not os.tmpdir(): the user `postgres` may have no access to TMPDIR, and socket paths have at most 107 bytes.
  const dir = await mkdtemp(join(process.env['TEST_MEMORY'] ?? '/tmp', 'rxledger-pg-'));
  await chmod(dir, 0o700);
  if (user.uid !== undefined && user.gid !== undefined) await chown(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '--encoding=UTF8', '--locale=C', '--no-instructions'];
  await run(join(bin, 'initdb'), initdb, { cwd: dir, ...user });

  const launch = async (port: number): Promise<ChildProcess> => {
    const settings = ['fsync=on', 'listen_addresses=127.0.0.1', 'max_connections=200', 'log_statement=none'];
    const { command, args } = tethered(
      join(bin, 'postgres'),
      ['-D', data, '-k', dir, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
      'QUIT',
    );
    const child = spawn(command, args, { cwd: dir, ...user, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    let last = '';
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`postgres did not start: ${last}`)));
      createInterface({ input: child.stderr }).on('line', (line) => {
        last = line;
        if (line.includes('database system is ready to accept connections')) resolve();
      });
    });
    const end = () => child.kill('SIGQUIT');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    child.unref();
    return child;
  };

  const port = await freePort();
  let child = await launch(port);
  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;
  return {
    port,
    url,
    createDatabase: () => createDatabase(url('postgres')),
    kill: () => endChild(child, 'SIGQUIT'),
    async start() {
      if (child.exitCode === null && child.signalCode === null) throw new Error('this PostgreSQL is running');
      child = await launch(port);
    },
    async stop() {
      await endChild(child, 'SIGQUIT');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Creates an empty database with a random name beside the one of the URL. @returns its URL */
export async function createDatabase(server: string): Promise<string> {
  const name = `rxledger_test_${randomBytes(6).toString('hex')}`;
  await execute(server, `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Drops a database of {@link createDatabase}, even with open connections. */
export async function dropDatabase(server: string, database: string): Promise<void> {
  await execute(server, `DROP DATABASE IF EXISTS ${new URL(database).pathname.slice(1)} WITH (FORCE)`);
}

async function execute(server: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
