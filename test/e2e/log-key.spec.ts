import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { openRotationReceipt } from '../../src/ledger/core/statements/key-rotation.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { accepted, type Answer, type Api, newOrder, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { startNode } from '../support/process.js';
import { until } from '../support/wait.js';
import { runCommand } from '../support/terminal.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder.path, name);
let api: Api;
let auditor: string[];
beforeAll(async () => {
  api = await startApi({ DATA_DIR: at('data'), PUBLISH_SECONDS: '0.2' });
  const { out } = await command('keys', 'new', 'machine', at('auditor.key'), '--json');
  const body = { role: 'auditor', name: 'auditor', jwks: JSON.parse(out) };
  const { id } = accepted(await api.as('admin').post('/api/clients', body)).body;
  auditor = ['--client-id', id, '--key', at('auditor.key')];
});
afterAll(async () => {
  await api.close();
  folder.remove();
});

/** Runs a command line in this process. */
const command = (...args: string[]) => runCommand(args, { DATA_DIR: at('data') });

/** The command as a process of its own, as an operator runs it. */
async function operator(...args: string[]): Promise<{ code: number | null; out: string }> {
  const child = startNode('bin/rxledger.js', args, { env: { DATA_DIR: at('data') } });
  const { code } = await child.ended;
  return { code, out: child.stdout() };
}

async function follow(vkey: string) {
  const args = ['audit', 'follow', api.address, '--dir', at('auditor'), '--vkey', vkey, '--once', '--json', ...auditor];
  const { code, out } = await command(...args);
  return { code, said: JSON.parse(out) };
}

describe('rxledger log rotate-key beside a service at work', () => {
  it('loses no write, and whoever has pinned the old key goes on', async () => {
    const old = api.vkey;
    expect(await follow(old)).toMatchObject({ code: 0, said: { rotations: [] } });
    const prepared = (await command('log', 'rotate-key', '--prepare')).out.trim();
    expect((await command('log', 'rotate-key', '--prepare', '--json')).out).toContain(`"next":"${prepared}"`);

    const ending = new AbortController();
    const answers: Answer[] = [];
    const writing = [1, 2, 3].map(async () => {
      while (!ending.signal.aborted) answers.push(await api.as('prescriber').post('/api/prescriptions', newOrder(api)));
    });
    await until(() => answers.length > 10, { what: 'it writes' });
    const { code, out } = await operator('log', 'rotate-key', '--destroy-old', '--json');
    const then = answers.length;
    await until(() => answers.length > then + 10, { what: 'it writes on' });
    ending.abort();
    await Promise.all(writing);

    const done = JSON.parse(out);
    expect({ code, done }).toMatchObject({ code: 0, done: { from: old, to: prepared, old: null } });
    expect(openRotationReceipt(done.receipt)).toMatchObject({ from: old, to: prepared, size: done.index });
    const receipts = answers.map((answer) => accepted(answer).body.receipt as Receipt);
    const signers = receipts.map((receipt) => [old, prepared].filter((vkey) => verifyReceipt(receipt, vkey).ok).join());
    expect(new Set(signers)).toEqual(new Set([old, prepared]));

    await until(async () => {
      const note = (await api.request.get('/log/checkpoint')).text;
      const size = (await readHead(api.db))?.size ?? 0;
      return note.startsWith(`${done.log}\n${size}\n`) && openCheckpoint(note, prepared).size === size;
    });
    const moved = [{ from: old, to: prepared, size: done.index }];
    expect(await follow(old)).toMatchObject({ code: 0, said: { event: 'followed', rotations: moved, evidence: 0 } });
    expect(await follow(prepared)).toMatchObject({ code: 0, said: { rotations: [], entries: 0 } });
    const { body, text } = await api.request.get('/log/rotations');
    expect(body).toEqual({ items: [done.receipt], next: null });

    // What people keep holds under the key that they have pinned, and under what follows from it.
    const [before, after] = [old, prepared].map((vkey) => receipts[signers.indexOf(vkey)]);
    for (const [name, content] of Object.entries({ before, after, rotation: done }))
      writeFileSync(at(name), JSON.stringify(content));
    writeFileSync(at('rotations'), text);
    const checks = async (...args: string[]) => (await command('audit', 'proof', ...args)).code;
    expect(await checks(at('before'), at('rotation'), '--vkey', old)).toBe(0);
    expect(await checks(at('after'), '--vkey', old)).toBe(1);
    for (const along of ['rotations', 'rotation'])
      expect(await checks(at('before'), at('after'), '--vkey', old, '--rotations', at(along))).toBe(0);
    expect(await checks(at('before'), at('after'), '--vkey', old, '--vkey', prepared)).toBe(0);
    expect(await checks(at('before'), '--vkey', prepared, '--rotations', at('rotations'))).toBe(1);
    expect(await checks(at('before'), '--vkey', old, '--rotations', at('before'))).toBe(2);

    expect((await command('log', 'vkey')).out).toBe(prepared);
    expect((await command('log', 'vkey', '--all')).out).toBe(`${old}\n${prepared}`);
    for (const vkey of [old, prepared]) {
      const report = await command('log', 'verify', '--json', '--vkey', vkey);
      expect(report.code).toBe(0);
      expect(JSON.parse(report.out)).toMatchObject({ ok: true, vkey, newestVkey: prepared });
    }
  });
});
