import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../support/terminal.js';
import { witnessOf } from '../fixtures/witnesses.js';
import { accepted, type Answer, type Api, newOrder, startApi, tablets } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';

/** A person's own folder, on a machine that knows nothing of the service. */
const mine = temporaryFolder();
const server = temporaryFolder();
let api: Api;
let vkey = '';
let headVkey = '';
let files: string[] = [];
let prescription = '';
let withoutKey: Awaited<ReturnType<typeof runCommand>>;

const verify = (...args: string[]) =>
  runCommand(['audit', 'proof', '--json', '--vkey', vkey, ...args], { DATA_DIR: '/nowhere' });

function save(name: string, answer: Answer): string {
  const file = join(mine.path, name);
  writeFileSync(file, accepted(answer).text);
  return file;
}

beforeAll(async () => {
  mkdirSync(server.path, { recursive: true });
  api = await startApi({ DATA_DIR: server.path });
  const env = { DATA_DIR: server.path };
  vkey = (await runCommand(['log', 'vkey'], env)).out;
  headVkey = (await runCommand(['log', 'vkey', '--chain-heads'], env)).out;

  const issued = await api.as('prescriber').post('/api/prescriptions', newOrder(api));
  prescription = accepted(issued).body.prescription.id;
  const path = `/api/prescriptions/${prescription}`;
  const claim = await api.as('pharmacist').post(`${path}/claim`, { token: issued.body.token });
  const { secret } = accepted(claim).body.claim;
  const give = (days: number) =>
    api.as('pharmacist').post(`${path}/dispenses`, { secret, quantity: tablets(String(days)), daysSupply: days });
  files = [save('issued.json', issued), save('claimed.json', claim), save('dispensed.json', await give(10))];
  save('head-before.json', await api.as('patient').get(`/api/chains/${prescription}/head`));
  const identifiers = [{ system: 'urn:test', value: 'saved' }];
  const enrolled = await api.as('prescriber').post('/api/patients', { name: 'Ines Testcase', identifiers });
  files.push(save('rest.json', await give(20)), save('enrolled.json', enrolled));
  const dose = { outcome: 'taken', at: new Date(api.clock.now() - 60_000).toISOString() };
  files.push(save('dose.json', await api.as('patient').post(`${path}/doses`, dose)));
  save('head.json', await api.as('patient').get(`/api/chains/${prescription}/head`));
  await api.close();
  rmSync(join(server.path, 'keys', 'chain-head.key'));
  withoutKey = await runCommand(['log', 'vkey', '--chain-heads'], env);
  server.remove();
});
afterAll(() => mine.remove());

describe('receipts saved to files, once the service is gone', () => {
  it('of any write hold, by the key alone', async () => {
    expect(vkey).toBe(api.vkey);
    const { code, out, err } = await verify(...files);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { results } = JSON.parse(out);
    expect(results.length).toBeGreaterThanOrEqual(files.length);
    const types = results.map(({ payload }: { payload: { type: string } }) => payload.type);
    for (const type of [
      'order.issued/1',
      'dispense.claimed/1',
      'dispense.recorded/1',
      'patient.enrolled/1',
      'dose.taken/1',
    ]) {
      expect(types).toContain(type);
    }
    expect(results.every(({ state }: { state: string }) => state === 'committed')).toBe(true);
  });

  it('need no key of chain heads; without one there is none to print', () => {
    expect(withoutKey).toMatchObject({ code: 3, out: '', err: expect.stringContaining('no key of chain heads yet') });
  });

  it('do not hold by another key', async () => {
    const other = vkey.replace(/\+[^+]*\+.*/, headVkey.slice(headVkey.indexOf('+')));
    const { code } = await runCommand(['audit', 'proof', '--vkey', other, files[0]!]);
    // A key id belongs to a name: such a key is none.
    expect(code).toBe(2);
    const { code: asHead, out } = await runCommand(['audit', 'proof', '--vkey', headVkey, '--json', files[0]!]);
    expect(asHead).toBe(1);
    expect(JSON.parse(out).results[0].reason).toBe('log');
  });

  it('do not show a quorum that nobody was', async () => {
    const policy = join(mine.path, 'policy.txt');
    writeFileSync(policy, `log ${vkey}\nquorum none\n`);
    expect((await runCommand(['audit', 'proof', '--policy', policy, files[0]!])).code).toBe(0);
    writeFileSync(policy, `log ${vkey}\nwitness w1 ${witnessOf(1).vkey}\nquorum w1\n`);
    const { code, out } = await runCommand(['audit', 'proof', '--policy', policy, '--json', files[0]!]);
    expect({ code, reason: JSON.parse(out).results[0].reason }).toEqual({ code: 1, reason: 'quorum' });
  });

  it('hold with no bit changed', async () => {
    const { v, log, index, entry, proof, checkpoint, payload, salt } = JSON.parse(
      readFileSync(files[1]!, 'utf8'),
    ).receipt;
    // What the service says beside these proves nothing and is not read.
    const bytes = Buffer.from(JSON.stringify({ v, log, index, entry, proof, checkpoint, payload, salt }));
    const file = join(mine.path, 'flipped.json');
    writeFileSync(file, bytes);
    expect((await verify(file)).code).toBe(0);
    // Every byte would take minutes; a prime step comes by every member.
    for (let at = 0; at < bytes.length; at += 5) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << (at % 7);
      writeFileSync(file, flipped);
      const { code, out } = await verify(file);
      expect({ at, code, ok: JSON.parse(out).ok }).toEqual({ at, code: 1, ok: false });
    }
  });

  it('fit the signed head of that time; an older head says nothing of what came later', async () => {
    const [head, before] = ['head.json', 'head-before.json'].map((name) => join(mine.path, name));
    const { code, out } = await verify(...files, head!, '--chain-head-vkey', headVkey);
    expect(code).toBe(0);
    const { comparisons } = JSON.parse(out) as {
      comparisons: { receipt: string; against: string; chain: string; comparison: string }[];
    };
    // Nothing follows for other chains.
    expect(new Set(comparisons.map(({ chain }) => chain))).toEqual(new Set([prescription]));
    expect(comparisons.length).toBeGreaterThanOrEqual(5);
    expect(new Set(comparisons.map(({ comparison }) => comparison))).toEqual(new Set(['agrees']));

    const older = await verify(files[3]!, before!, '--chain-head-vkey', headVkey);
    expect(older.code).toBe(0);
    expect(JSON.parse(older.out).comparisons).toMatchObject([{ comparison: 'older' }]);
  });
});
