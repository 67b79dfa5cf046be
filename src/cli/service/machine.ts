import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { delimiter, join } from 'node:path';

/** Prints one line to the user of the command. Lines must hold no secrets and no health data. */
export type Say = (line: string) => void;

/** @returns the path of an executable on PATH; null when there is none. */
export function which(name: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** Listens on a free port of the loopback address. @returns the port */
export async function listenLocally(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address.port;
}

/** @returns a TCP port of the loopback address that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenLocally(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether the error has that code of the operating system, for example `EEXIST`. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Whether a process with this id runs, of any user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/**
 * A command line whose process the kernel ends when this process dies, kill -9 included (`setpriv --pdeathsig`,
 * util-linux). Without `setpriv` the command is returned unchanged.
 */
export function tethered(
  binary: string,
  args: readonly string[],
  signal: 'KILL' | 'QUIT',
): { command: string; args: string[] } {
  const setpriv = process.platform === 'linux' ? which('setpriv') : null;
  return setpriv
    ? { command: setpriv, args: ['--pdeathsig', signal, binary, ...args] }
    : { command: binary, args: [...args] };
}

/** Whether {@link installPackages} can work here: root on Debian or Ubuntu. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && which('apt-get') !== null;
}

/**
 * Installs Debian packages without starting their services.
 * @throws {Error} with apt's last error line
 */
export async function installPackages(names: readonly string[]): Promise<void> {
  const install = ['install', '--yes', '--no-install-recommends', ...names];
  await withoutServices(async () => {
    // If it fails, package lists may be missing (a fresh machine) or outdated: update them first.
    if ((await aptGet(install)).code === 0) return;
    await aptGet(['update']);
    const second = await aptGet(install);
    if (second.code !== 0) throw new Error(`apt-get install ${names.join(' ')}: ${second.complaint}`);
  });
}

/** Debian's package scripts ask `policy-rc.d` before they start a service; 101 means no. */
async function withoutServices(job: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  let ours = false;
  try {
    await writeFile(policy, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 });
    ours = true;
  } catch (error) {
    // The machine has its own policy, as containers do; keep it.
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  try {
    await job();
  } finally {
    if (ours) await rm(policy, { force: true });
  }
}

function aptGet(args: readonly string[]): Promise<{ code: number | null; complaint: string }> {
  const options = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2', '-o', 'Acquire::http::Timeout=30'];
  return new Promise((resolve, reject) => {
    const child = spawn('apt-get', ['--quiet', ...options, ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let complaints = '';
    child.stdout.resume();
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, complaint: complaints.trim().split('\n').at(-1) ?? '' }));
  });
}
