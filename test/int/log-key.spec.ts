import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs, { cpSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import { openRotationReceipt, policyFor } from '../../src/ledger/core/statements/key-rotation.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly } from '../../src/ledger/core/tlog/policy.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import { readKeyHistory } from '../../src/ledger/read/key-history.js';
import { preparedKey, prepareKey, settleKey } from '../../src/ledger/keys/log-key-files.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { readHead, tileReader } from '../../src/ledger/store/tip.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { consistencyProof } from '../../src/ledger/core/tlog/merkle.js';
import { tileNodeReader } from '../../src/ledger/core/tlog/tiles.js';
import { encodeHashes } from '../../src/ledger/core/tlog/tlog-proof.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { submit } from '../attacks/witness.js';
import { witnessOf } from '../fixtures/witnesses.js';
import { bothEngines } from '../support/engines.js';
import { count, COUNTING, temporaryFolder, testConfig } from '../support/ledger.js';
import { startNode } from '../support/process.js';
import { runCommand } from '../support/terminal.js';

const ORIGIN = 'test.example/log';
const MODELS = COUNTING;
/** As the command does. */
async function rotate({ keysDir }: Config, { writer }: Ledger, keep = true): Promise<Receipt> {
  const from = writer.vkey;
  const next = prepareKey(keysDir, ORIGIN);
  const receipt = await writer.replaceKey(next);
  if (!receipt) throw new Error('not replaced');
  settleKey(keysDir, next, from, keep);
  return receipt;
}

async function write({ writer }: Ledger, times = 1): Promise<Receipt[]> {
  const outcomes = await Promise.all(Array.from({ length: times }, () => writer.commit(count(randomUUID(), 1))));
  return outcomes.flatMap((outcome) => (outcome.ok ? outcome.receipts : []));
}

async function verified(config: Config, vkey: string): Promise<VerifyReport> {
  const source = await openReader(config);
  try {
    const vault = Vault.openExisting(config.keysDir, ORIGIN);
    const { vkeys } = await readKeyHistory(dbOf(source), ORIGIN);
    const remembered = await readHeadFile(config.headFile, [vkey, ...vkeys]);
    return await verifyDatabase({ source, vkey, vault, remembered, models: MODELS });
  } finally {
    await source.destroy();
  }
}

describe.each(await bothEngines())("the log's key on $engine", ({ engine, missing, database }) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function place(): Promise<Config> {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    return testConfig(folder.path, await database());
  }

  async function open(config: Config): Promise<Ledger> {
    const ledger = await openLedger(config, new Clock(), MODELS);
    closers.push(() => ledger.close());
    return ledger;
  }

  it.skipIf(missing)(
    'is replaced while two processes write: nothing is lost, each receipt holds under its key',
    async () => {
      const config = await place();
      const [one, two] = [await open(config), await open(config)];
      const from = one.writer.vkey;
      const ending = new AbortController();
      const acknowledged: Receipt[] = [];
      const writing = [one, two].map(async (ledger) => {
        while (!ending.signal.aborted) acknowledged.push(...(await write(ledger, 3)));
      });
      while (acknowledged.length < 20) await write(two);
      const receipt = await rotate(config, await open(config));
      const then = acknowledged.length;
      while (acknowledged.length < then + 30) await write(one);
      ending.abort();
      await Promise.all(writing);

      const rotation = openRotationReceipt(receipt);
      expect(rotation).toMatchObject({ origin: ORIGIN, from, size: receipt.index });
      expect([one.writer.vkey, two.writer.vkey]).toEqual([rotation.to, rotation.to]);
      const signers = (each: Receipt) => [from, rotation.to].filter((vkey) => verifyReceipt(each, vkey).ok);
      for (const each of acknowledged) {
        const { size } = openCheckpoint(each.checkpoint, signers(each)[0] ?? '');
        expect(signers(each)).toEqual([size <= rotation.size ? from : rotation.to]);
        const policy = policyFor(logOnly(parseVerifierKey(from)), [rotation], each.checkpoint);
        expect(verifyReceipt(each, policy).ok).toBe(true);
      }
      expect(signers(receipt)).toEqual([from, rotation.to]);

      for (const trusted of [from, rotation.to]) {
        const report = await verified(config, trusted);
        expect(report).toMatchObject({ ok: true, findings: [], vkey: trusted, newestVkey: rotation.to });
        expect(report.entries).toBeGreaterThan(acknowledged.length);
      }
      const stored = await one.db.query<{ idx: number; entry: Buffer }>('SELECT idx, entry FROM entry');
      const byIndex = new Map(stored.map(({ idx, entry }) => [idx, entry.toString('base64')]));
      expect(acknowledged.filter(({ index, entry }) => byIndex.get(index) !== entry)).toEqual([]);
    },
  );

  it.skipIf(missing)('is replaced again and again; exports, the head file and the next start follow', async () => {
    const config = await place();
    const keys: string[] = [];
    // The first entry of the log is a rotation.
    for (let round = 0; round < 3; round++) {
      const ledger = await open(config);
      keys.push(ledger.writer.vkey);
      await rotate(config, ledger, round !== 1);
      await write(ledger, 2);
      keys.push(ledger.writer.vkey);
      await ledger.close();
    }
    const vkeys = [...new Set(keys)];
    expect(vkeys).toHaveLength(4);
    const names = readdirSync(config.keysDir).filter((name) => name.startsWith('log.key'));
    expect(names.toSorted()).toEqual(
      ['log.key', ...[0, 2].map((n) => `log.key.old-${vkeys[n]?.split('+')[1]}`)].toSorted(),
    );
    const source = await openReader(config);
    closers.push(() => source.destroy());
    const lines: string[] = [];
    for await (const line of exportLog(source, null)) lines.push(line);
    const file = join(config.dataDir, 'export');
    writeFileSync(file, lines.join('\n'));
    for (const trusted of vkeys) {
      expect(await verified(config, trusted)).toMatchObject({ ok: true, findings: [], newestVkey: vkeys[3], size: 9 });
      const report = await verifyExport(file, trusted, MODELS);
      expect(report).toMatchObject({ ok: true, findings: [], vkey: trusted, newestVkey: vkeys[3] });
    }
    const { reader, db: reading, vault, writer } = await open(config);
    expect(writer.vkey).toBe(vkeys[3]);
    // Its own keys are wrapped like all others.
    vault.keks.add();
    await writer.side((db) => vault.rewrapSubjects(db, 100));
    const events = await reader.events(LOG_CHAIN);
    expect(events.map(({ type, actor }) => [type, actor.id])).toEqual(
      Array.from({ length: 3 }, () => ['log-key.rotated/1', 'system']),
    );
    expect(await verified(config, vkeys[0] ?? '')).toMatchObject({ ok: true, findings: [] });
    const [published] = await reading.query<{ n: number }>('SELECT count(*) AS n FROM published');
    expect(published?.n).toBe(3);
    await writer.side((db) => db.query('DELETE FROM published WHERE size = 1'));
    expect((await verified(config, vkeys[0] ?? '')).findings).toContainEqual(
      expect.objectContaining({ kind: 'missing', table: 'published', where: { size: 1 } }),
    );
  });

  it.skipIf(missing)('is not used any more by a process that does not find the new one', async () => {
    const config = await place();
    const [old, other] = [await open(config), await open(config)];
    await write(old);
    const next = prepareKey(config.keysDir, ORIGIN);
    const hidden = join(config.dataDir, 'hidden');
    expect(await other.writer.replaceKey(next)).not.toBeNull();
    const [name = ''] = readdirSync(config.keysDir).filter((each) => each.startsWith('log.key.next-'));
    renameSync(join(config.keysDir, name), hidden);
    await expect(write(old)).rejects.toThrow('the new one is not in the keys folder');
    await expect(openLedger(config, new Clock(), MODELS)).rejects.toThrow('not the one of log');
    const head = await readHead(other.db);
    expect(openCheckpoint(head?.checkpoint ?? '', next.vkey).size).toBe(2);
    renameSync(hidden, join(config.keysDir, name));
    expect(await write(old)).toHaveLength(1);
    // A crash left the file under the name that it had: the next start gives it the other.
    await open(config);
    const left = readdirSync(config.keysDir).filter((each) => each.startsWith('log.key'));
    // The name that it had stays until the command that was cut short is run again.
    expect(left).toEqual(['log.key', name, expect.stringMatching(/^log\.key\.old-[0-9a-f]{8}$/)]);
    expect(await write(old)).toHaveLength(1);
    expect(await verified(config, next.vkey)).toMatchObject({ ok: true, findings: [] });
  });

  it.skipIf(missing)('is replaced once by two that do it at the same time', async () => {
    const config = await place();
    const [one, two] = [await open(config), await open(config)];
    const [a, b] = [prepareKey(config.keysDir, ORIGIN), prepareKey(config.keysDir, ORIGIN)];
    expect(a.vkey).toBe(b.vkey);
    const done = await Promise.all([one.writer.replaceKey(a), two.writer.replaceKey(b)]);
    expect(done.filter(Boolean)).toHaveLength(1);
    expect((await readHead(one.db))?.size).toBe(1);
    settleKey(config.keysDir, a, null, true);
    settleKey(config.keysDir, b, null, true);
    expect(await write(two)).toHaveLength(1);
  });

  it.skipIf(missing)('is replaced before a witness that knows both keys, and keeps what it has cosigned', async () => {
    const config = await place();
    const ledger = await open(config);
    const from = ledger.writer.vkey;
    const [first] = await write(ledger);
    const witness = join(config.dataDir, 'witness');
    const ask = async (vkeys: readonly string[], old: number, { checkpoint, index }: Receipt): Promise<number> => {
      const nodes = tileNodeReader(nodeHasher, tileReader(ledger.db));
      const proof = old === 0 ? [] : await consistencyProof(nodeHasher, old, index + 1, nodes);
      return (await submit(witness, vkeys, `old ${old}\n${encodeHashes(proof)}\n${checkpoint}`)).status;
    };
    expect(await ask([from], 0, first as Receipt)).toBe(200);
    const both = await rotate(config, ledger);
    expect(await ask([from], 1, both)).toBe(200);
    const to = ledger.writer.vkey;
    const [third] = await write(ledger);
    expect(await ask([from], 2, third as Receipt)).toBe(403);
    expect(await ask([from, to], 2, third as Receipt)).toBe(200);
    const [fourth] = await write(ledger);
    expect(await ask([to], 3, fourth as Receipt)).toBe(200);
  });

  // On SQLite a database is a file.
  it.each(engine === 'SQLite' ? [engine] : [])(
    'is not taken back with a database file of %s that was set back',
    async () => {
      const config = await place();
      const ledger = await open(config);
      await write(ledger);
      await ledger.close();
      cpSync(config.sqliteFile, `${config.sqliteFile}.before`);
      const later = await open(config);
      await rotate(config, later);
      await later.close();
      for (const end of ['', '-wal', '-shm']) rmSync(`${config.sqliteFile}${end}`, { force: true });
      cpSync(`${config.sqliteFile}.before`, config.sqliteFile);
      await expect(openLedger(config, new Clock(), MODELS)).rejects.toThrow('it was set back');
      const { findings } = await verified(config, later.writer.vkey);
      expect(findings).toContainEqual(
        expect.objectContaining({ table: 'log_head', what: 'vkey is not the one that is trusted' }),
      );
      expect(findings).toContainEqual(
        expect.objectContaining({ kind: 'missing', what: expect.stringContaining('the head file remembers 2') }),
      );
    },
  );
});

describe('rxledger log rotate-key', () => {
  const folder = temporaryFolder();
  const config = testConfig(folder.path);
  afterAll(() => folder.remove());
  const head = async (): Promise<string> => {
    const source = await openReader(config);
    const found = await readHead(dbOf(source));
    await source.destroy();
    return found?.vkey ?? '';
  };
  const keyFiles = () => readdirSync(config.keysDir).filter((name) => name.startsWith('log.key'));

  const command = (args: readonly string[], env: Record<string, string> = {}) =>
    runCommand(['log', 'rotate-key', ...args], { DATA_DIR: folder.path, ...env });

  it('ends what was interrupted, and does not begin anew', async () => {
    const ledger = await openLedger(config, new Clock(), MODELS);
    const from = ledger.writer.vkey;
    const next = prepareKey(config.keysDir, ORIGIN);
    const receipt = await ledger.writer.replaceKey(next);
    await write(ledger, 3);
    await ledger.close();
    expect(keyFiles()).toEqual(['log.key', expect.stringContaining('log.key.next-')]);
    const { code, out } = await command(['--destroy-old', '--json']);
    expect({ code, said: JSON.parse(out) }).toMatchObject({ code: 0, said: { from, to: next.vkey, old: null } });
    // What the run that was interrupted would have said.
    expect(JSON.parse(out)).toMatchObject({ index: 0, receipt });
    expect(keyFiles()).toEqual(['log.key']);
    expect(await head()).toBe(next.vkey);
  });

  it.each([
    ['and nothing has started since', false],
    ['also after the service has started since', true],
  ])('ends what kill -9 cut short when the key had its name already, %s', async (_, service) => {
    const from = await head();
    const env = { DATA_DIR: folder.path, LOG_ORIGIN: ORIGIN, KILLED_AFTER_RENAME: '/log.key' };
    const killed = startNode('bin/rxledger.js', ['log', 'rotate-key', '--destroy-old'], {
      env: { ...env, NODE_OPTIONS: `--import ${resolve('test/support/killed-after-rename.js')}` },
    });
    expect((await killed.ended).signal).toBe('SIGKILL');
    const to = await head();
    expect(to).not.toBe(from);
    if (service) await (await openLedger(config, new Clock(), MODELS)).close();
    const { code, out } = await command(['--destroy-old', '--json']);
    expect({ code, said: JSON.parse(out) }).toMatchObject({ code: 0, said: { from, to, old: null, left: [] } });
    expect(await head()).toBe(to);
    expect(keyFiles()).toEqual(['log.key']);
    // Ended: the next run is a rotation of its own.
    expect(JSON.parse((await command(['--destroy-old', '--json'])).out)).toMatchObject({ from: to });
  });

  it('prepares no further key while an interrupted rotation is to be ended', async () => {
    const from = await head();
    const ledger = await openLedger(config, new Clock(), MODELS);
    const next = prepareKey(config.keysDir, ORIGIN);
    await ledger.writer.replaceKey(next);
    await ledger.close();
    const before = keyFiles();
    const { code, out, err } = await command(['--prepare']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(`a rotation to ${next.vkey} has begun and was not ended`);
    expect(keyFiles()).toEqual(before);
    expect(JSON.parse((await command(['--destroy-old', '--json'])).out)).toMatchObject({ from, to: next.vkey });
    expect(keyFiles()).toEqual(['log.key']);
    expect(await head()).toBe(next.vkey);
    expect((await command(['--prepare'])).code).toBe(0);
  });

  it('replaces nothing where another run has replaced the key since it looked', async () => {
    const from = await head();
    const { statSync } = fs;
    const look = `log.key.next-${from.split('+')[1]}`;
    let other = '';
    // The first thing done with what the database said.
    const hooked = (...args: Parameters<typeof statSync>) => {
      if (other === '' && String(args[0]).endsWith(look)) {
        const env = { NODE_ENV: 'development', DATA_DIR: folder.path };
        const line = ['bin/rxledger.js', 'log', 'rotate-key', '--destroy-old', '--json'];
        other = execFileSync(process.execPath, line, { env, encoding: 'utf8' });
      }
      return statSync(...args);
    };
    Object.assign(fs, { statSync: hooked });
    syncBuiltinESMExports();
    let said: Awaited<ReturnType<typeof command>>;
    try {
      said = await command(['--destroy-old']);
    } finally {
      Object.assign(fs, { statSync });
      syncBuiltinESMExports();
    }
    const { to } = JSON.parse(other);
    expect(JSON.parse(other)).toMatchObject({ from });
    expect(said).toMatchObject({ code: 1, out: '', err: expect.stringContaining('nothing was done') });
    expect(await head()).toBe(to);
    expect(keyFiles()).toEqual(['log.key']);
  });

  it('destroys every file that holds the old key, whatever its name, and tells which older keys are left', async () => {
    const first = await head();
    const copy = join(config.keysDir, `log.key.${randomUUID()}`);
    cpSync(join(config.keysDir, 'log.key'), copy);
    expect((await command([])).out).toContain(`log.key.old-${first.split('+')[1]}`);
    const second = await head();
    cpSync(join(config.keysDir, 'log.key'), join(config.keysDir, `log.key.${randomUUID()}`));
    cpSync(join(config.keysDir, 'log.key'), join(config.keysDir, 'log.key-kept'));
    const old = `log.key.old-${first.split('+')[1]}`;
    const { out } = await command(['--destroy-old']);
    expect(out).toContain(`before: ${second}`);
    expect(out).toMatch('the old key is destroyed');
    expect(out).toMatch(`keys from before that are still in the keys folder, destroy them: ${basename(copy)}, ${old}`);
    expect(keyFiles()).toEqual(['log.key', basename(copy), old].toSorted());
    for (const name of keyFiles().slice(1)) rmSync(join(config.keysDir, name));
  });

  it('leaves alone what was prepared for a log of another name', async () => {
    const other = prepareKey(config.keysDir, 'other.example/log');
    const next = prepareKey(config.keysDir, ORIGIN);
    expect(keyFiles()).toHaveLength(3);
    expect(preparedKey(config.keysDir, 'other.example/log')?.vkey).toBe(other.vkey);
    expect(preparedKey(config.keysDir, ORIGIN)?.vkey).toBe(next.vkey);
    for (const { vkey } of [other, next]) rmSync(join(config.keysDir, `log.key.next-${vkey.split('+')[1]}`));
  });

  it('passes over half a key that a crash has left', async () => {
    const left = join(config.keysDir, `log.key.next-00000000.${randomUUID()}`);
    writeFileSync(left, Buffer.alloc(7), { mode: 0o600 });
    expect(await command(['--prepare'])).toMatchObject({ code: 0, err: '' });
    expect(keyFiles()).toHaveLength(3);
    for (const name of keyFiles().slice(1)) rmSync(join(config.keysDir, name));
  });

  it('keeps the old key under another name unless it is to be destroyed', async () => {
    const before = await head();
    const { code, out } = await command([]);
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining(`before: ${before}`) });
    expect(keyFiles()).toEqual(['log.key', `log.key.old-${before.split('+')[1]}`]);
    const id = (await head()).split('+')[1];
    // What a crash left when that key was made, or put aside.
    for (const name of [`log.key.next-${id}.1`, `log.key.old-${id}.2`])
      writeFileSync(join(config.keysDir, name), Buffer.alloc(32), { mode: 0o600 });
    expect((await command(['--destroy-old'])).out).toContain('the old key is destroyed');
    expect(keyFiles()).toEqual(['log.key', `log.key.old-${before.split('+')[1]}`]);
  });

  it('replaces nothing while the policy of the service names the old key alone', async () => {
    const before = await head();
    const witness = witnessOf(1).vkey;
    const policy = join(folder.path, 'policy');
    const lines = (...keys: string[]) =>
      [...keys.map((key) => `log ${key}`), `witness w1 ${witness} https://w1.example`, 'quorum w1', ''].join('\n');
    writeFileSync(policy, lines(before));
    const refused = await command([], { WITNESS_POLICY: policy });
    const next = (await command(['--prepare'])).out.trim();
    expect(refused).toMatchObject({ code: 3, out: '', err: expect.stringContaining(next) });
    expect(await head()).toBe(before);
    writeFileSync(policy, lines(before, next));
    expect(await command([], { WITNESS_POLICY: policy })).toMatchObject({ code: 0 });
    expect(await head()).toBe(next);
  });
});
