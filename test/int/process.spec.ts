import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tethered, which } from '../../src/cli/service/machine.js';
import { startNode, startServer } from '../support/process.js';
import { until } from '../support/wait.js';

/** State letter of a Linux process (proc(5)); null when it is gone. */
function stateOf(pid: number): string | null {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? null;
  } catch {
    return null;
  }
}
const gone = (pid: number) => [null, 'Z', 'X'].includes(stateOf(pid));

describe('a process under test', () => {
  it('gives lines, exit codes and what it said', async () => {
    const child = startNode('test/support/spawner.js', ['["true"]']);
    const [, pid] = await child.line(/^pid (\d+)$/);
    expect(Number(pid)).toBeGreaterThan(0);
    expect(child.stdout()).toBe(`pid ${pid}\n`);
    expect(await child.terminate()).toBe(7);
  });

  it('says so when the line never comes', async () => {
    const child = startNode('test/support/spawner.js', ['no JSON']);
    await expect(child.line(/^pid/)).rejects.toThrow(/ended without a line .*SyntaxError/s);
    expect((await child.ended).code).toBe(1);
  });

  it.skipIf(process.platform !== 'linux')('freezes, thaws and dies frozen', async () => {
    const child = startNode('test/support/spawner.js', ['["true"]']);
    await child.line(/^pid/);
    child.freeze();
    await until(() => stateOf(child.pid) === 'T', { what: 'stopped' });
    child.thaw();
    await until(() => stateOf(child.pid) !== 'T', { what: 'continued' });
    child.freeze();
    await child.kill();
    expect((await child.ended).signal).toBe('SIGKILL');
  });

  it.skipIf(which('setpriv') === null)('takes a tethered child with it when it is killed', async () => {
    const { command, args } = tethered('sleep', ['1000'], 'KILL');
    const parent = startNode('test/support/spawner.js', [JSON.stringify([command, ...args])]);
    const pid = Number((await parent.line(/^pid (\d+)$/))[1]);
    await until(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep'), { what: 'sleep runs' });
    await parent.kill();
    expect(await until(() => gone(pid), { what: 'the child is gone' })).toBe(true);
  });

  it('a server that cannot start is reported with what it said', async () => {
    await expect(startServer({}, { args: ['no-such-command'] })).rejects.toThrow('did not get ready: it ended with');
  });
});
