import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openWriter } from '../../src/database/data-source.js';
import { Replica } from '../../src/audit/follow/replica/replica.js';
import { compareWithHead } from '../../src/ledger/core/statements/compare-heads.js';

import { openContinuationReceipt } from '../../src/ledger/core/statements/continuation.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly, type Policy } from '../../src/ledger/core/tlog/policy.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { type Continued, RestartRefused, restartLog } from '../../src/ledger/upkeep/restart.js';
import { prepareKey, settleKey } from '../../src/ledger/keys/log-key-files.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { bothEngines } from '../support/engines.js';
import {
  COUNTING,
  count,
  type Counter,
  counterModel,
  fresh,
  opened,
  temporaryFolder,
  testConfig,
} from '../support/ledger.js';
import { AGREED, backup, exported, follow, shown, verified as verifiedLog } from '../support/set-back.js';
import { runCommand } from '../support/terminal.js';

const ORIGIN = 'test.example/log';
const NEXT = 'test.example/log-2';
const MODELS = COUNTING;
const BEFORE = 5;
const LOST = 4;
/** One log before and after its database was set back. */
interface Past {
  readonly config: Config;
  readonly vkey: string;
  /** Receipts of entries that are left, and of those that were lost. */
  readonly kept: readonly Receipt[];
  readonly lost: readonly Receipt[];
  /** Counters that had the value 1. */
  readonly counters: readonly string[];
}

async function write({ writer }: Ledger, counters: readonly string[]): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (const id of counters) {
    const outcome = await writer.commit(count(id, 1));
    if (outcome.ok) receipts.push(...outcome.receipts);
  }
  return receipts;
}

const goOn = (config: Config, origin: string | null = NEXT): Promise<Continued> =>
  restartLog(config, new Clock(), MODELS, origin, AGREED);
const renamed = ({ dataDir, env }: Config, origin = NEXT): Config =>
  testConfig(dataDir, { LOG_ORIGIN: origin, ...(env.DATABASE_URL && { DATABASE_URL: env.DATABASE_URL }) });

const verified = (config: Config, vkey: string | null = null): Promise<VerifyReport> =>
  verifiedLog(config, MODELS, vkey);

describe.each(await bothEngines())('a log that was set back, on $engine', ({ missing, database }) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function past(more: Record<string, string> = {}): Promise<Past> {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    const config = testConfig(folder.path, { ...(await database()), ...more });
    const counters = fresh(BEFORE);
    const kept = await opened(config, (ledger) => write(ledger, counters));
    const setBack = await backup(config, closers);
    const { vkey, lost } = await opened(config, async (ledger) => ({
      vkey: ledger.writer.vkey,
      lost: await write(ledger, fresh(LOST)),
    }));
    await setBack();
    return { config, vkey, kept, lost, counters };
  }

  function place(): string {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    return folder.path;
  }

  it.skipIf(missing)('is not started, and goes on as another log that says how much was lost', async () => {
    const { config, vkey, kept, lost, counters } = await past();
    await expect(opened(config, () => Promise.resolve())).rejects.toThrow(/set back/);

    const { said, headFile } = await goOn(config);
    expect(said).toMatchObject({ from: vkey, oldOrigin: ORIGIN, origin: NEXT, size: BEFORE, bothSigned: true });
    expect(said.remembered.size).toBe(BEFORE + LOST);
    expect(headFile && readFileSync(headFile, 'utf8')).toContain(`\n${BEFORE + LOST}\n`);

    const now = renamed(config);
    await expect(opened(config, () => Promise.resolve())).rejects.toThrow(/LOG_ORIGIN/);
    const receipts = await opened(now, async (ledger) => {
      expect(ledger.writer.origin).toBe(NEXT);
      // Chains, their states and their keys go on.
      const states = await Promise.all(counters.map((id) => ledger.reader.chain<Counter>(id, counterModel)));
      expect(states.map((view) => view?.state.total)).toEqual(counters.map(() => 1));
      return write(ledger, [...counters, ...fresh(2)]);
    });
    expect(receipts.map((receipt) => verifyReceipt(receipt, said.to).ok)).toEqual(receipts.map(() => true));
    expect(receipts[0]).toMatchObject({ index: BEFORE + 1, log: NEXT });
    // What was receipted under the old key holds under it for ever, and shows what was lost.
    expect([...kept, ...lost].map((receipt) => verifyReceipt(receipt, vkey).ok)).not.toContain(false);

    expect(await verified(now)).toMatchObject({ ok: true, log: NEXT, size: BEFORE + 1 + BEFORE + 2, tampered: 0 });
    const report = await verified(now, vkey);
    expect(report.ok).toBe(false);
    expect(report.findings).toContainEqual(
      expect.objectContaining({ table: 'log_head', what: 'vkey is not the one that is trusted' }),
    );
  });

  it.skipIf(missing)('shows its earlier entries under the new name with what it continues', async () => {
    const { config } = await past();
    const { said } = await goOn(config);
    const now = renamed(config);
    const old = await opened(now, ({ reader }) => reader.receipt(2));
    const trust: Policy = logOnly(parseVerifierKey(said.to));
    expect(verifyReceipt(old, trust)).toEqual({ ok: false, reason: 'log' });
    expect(verifyReceipt(old, { ...trust, continued: [said] })).toMatchObject({ ok: true, index: 2 });
    // Behind the event nothing carries the old name.
    expect(verifyReceipt(old, { ...trust, continued: [{ ...said, size: 2 }] })).toEqual({ ok: false, reason: 'log' });

    const folder = place();
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const items = await shown(now, (fetch) => fetch('continued'));
    const continued = file('continued', Buffer.from(items!).toString());
    const receipt = file('receipt', JSON.stringify(old));
    const proof = async (...more: string[]): Promise<number> =>
      (await runCommand(['audit', 'proof', receipt, '--vkey', said.to, ...more])).code;
    expect(await proof()).toBe(1);
    expect(await proof('--continued', continued)).toBe(0);
    expect(await proof('--continued', receipt)).toBe(2);
  });

  it.skipIf(missing)('is exported under both names; a header that says otherwise is found', async () => {
    const { config } = await past();
    const { said } = await goOn(config);
    const now = renamed(config);
    await opened(now, (ledger) => write(ledger, fresh(2)));
    const lines = await exported(now);
    const file = join(place(), 'export');
    const check = async (first: string): Promise<VerifyReport> => {
      writeFileSync(file, [first, ...lines.slice(1)].join('\n'));
      return verifyExport(file, said.to, MODELS);
    };
    const header = JSON.parse(lines[0]!) as { names: object[] };
    expect(header).toMatchObject({
      log: NEXT,
      names: [
        { origin: ORIGIN, from: 0 },
        { origin: NEXT, from: BEFORE },
      ],
    });
    expect(await check(lines[0]!)).toMatchObject({ ok: true, entries: BEFORE + 3, payloads: BEFORE + 3 });
    for (const names of [undefined, [], [{ origin: ORIGIN, from: 0 }], [header.names[0], { origin: NEXT, from: 3 }]])
      expect(await check(JSON.stringify({ ...header, names }))).toMatchObject({ ok: false, missing: 0 });
  });

  it.skipIf(missing)('alarms who follows the old one, and is followed by who pins the new one', async () => {
    const { config, vkey } = await past();
    const [auditor, other, copy] = [place(), place(), place()];
    // Up to the backup: what this auditor knows is left.
    expect(await follow(config, auditor, vkey)).toMatchObject({ ok: true, standing: { size: BEFORE } });
    const { said } = await goOn(config);
    const now = renamed(config);
    await opened(now, (ledger) => write(ledger, fresh(3)));
    for (const folder of [auditor, place()]) {
      const poll = await follow(now, folder, vkey);
      expect(poll).toMatchObject({ ok: false, alarm: 'log', proved: true });
      expect(poll.ok ? '' : poll.what).toMatch(
        `goes on as ${NEXT}, under the key ${said.to}: it continues ${ORIGIN} with ${BEFORE} of its ${BEFORE + LOST} entries`,
      );
    }
    const replica = await Replica.open(copy);
    expect(await follow(now, other, said.to, replica)).toMatchObject({ ok: true, standing: { size: BEFORE + 4 } });
    const text = readFileSync(join(copy, 'continued'), 'utf8');
    const { items } = JSON.parse(text) as { items: Receipt[] };
    expect(items.map((item) => openContinuationReceipt(item))).toMatchObject([{ origin: NEXT, size: BEFORE }]);

    // It is written once, and again when it is not what was written.
    const file = join(copy, 'continued');
    const { ino } = statSync(file);
    expect(await follow(now, other, said.to, await Replica.open(copy))).toMatchObject({ ok: true });
    expect(statSync(file).ino).toBe(ino);
    for (const wrong of ['{garbage', text.replace('"index":', '"index":1'), text.slice(0, -1)]) {
      writeFileSync(file, wrong);
      expect(await follow(now, other, said.to, await Replica.open(copy))).toMatchObject({ ok: true });
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  it.skipIf(missing)(
    'is finished when it is run again after a crash, and refused when nothing is left to do',
    async () => {
      const { config } = await past();
      cpSync(config.headFile, `${config.headFile}.copy`);
      const { said, headFile } = await goOn(config);
      // As the crash right behind the commit leaves it: the database says it, no file has followed.
      const old = readdirSync(config.keysDir).find((name) => name.startsWith('log.key.old-'))!;
      const next = `log.key.next-${said.to.split('+')[1]}`;
      renameSync(join(config.keysDir, 'log.key'), join(config.keysDir, next));
      renameSync(join(config.keysDir, old), join(config.keysDir, 'log.key'));
      rmSync(headFile!);
      renameSync(`${config.headFile}.copy`, config.headFile);

      await expect(opened(renamed(config), () => Promise.resolve())).rejects.toThrow("the head file is not this log's");
      expect(await goOn(config)).toMatchObject({ said: { to: said.to, size: BEFORE }, headFile });
      expect(existsSync(headFile!)).toBe(true);
      await expect(goOn(config)).rejects.toThrow(RestartRefused);
      await opened(renamed(config), (ledger) => write(ledger, fresh(1)));
      expect(await verified(renamed(config))).toMatchObject({ ok: true, size: BEFORE + 2 });
    },
  );

  it.skipIf(missing)('goes on once more when it is set back once more', async () => {
    const { config } = await past();
    const { said } = await goOn(config);
    const now = renamed(config);
    await opened(now, (ledger) => write(ledger, fresh(2)));
    const setBack = await backup(now, closers);
    await opened(now, (ledger) => write(ledger, fresh(2)));
    await setBack();
    await expect(goOn(now, ORIGIN)).rejects.toThrow(/was called test.example\/log already/);
    const second = await goOn(now, null);
    expect(second.said).toMatchObject({ from: said.to, oldOrigin: NEXT, size: BEFORE + 3 });
    const then = renamed(now, second.said.origin);
    await opened(then, (ledger) => write(ledger, fresh(2)));
    expect(await verified(then)).toMatchObject({ ok: true, size: BEFORE + 6 });
    expect(await follow(then, place(), second.said.to)).toMatchObject({ ok: true, standing: { size: BEFORE + 6 } });
    const old = await opened(then, ({ reader }) => reader.receipt(1));
    const trust = logOnly(parseVerifierKey(second.said.to));
    expect(verifyReceipt(old, { ...trust, continued: [said, second.said] })).toMatchObject({ ok: true });
    expect(verifyReceipt(old, { ...trust, continued: [second.said] })).toEqual({ ok: false, reason: 'log' });
  });

  it.skipIf(missing)('is refused, and left as it is, where it was not set back', async () => {
    const { config } = await past();
    const aside = `${config.headFile}.aside`;
    renameSync(config.headFile, aside);
    await expect(goOn(config)).rejects.toThrow(/no head file/);
    writeFileSync(config.headFile, readFileSync(aside, 'utf8').replaceAll('test.example', 'else.example'));
    await expect(goOn(config)).rejects.toThrow(/not this log's/);
    rmSync(config.headFile);
    await opened(config, (ledger) => write(ledger, fresh(1)));
    await expect(goOn(config)).rejects.toThrow(/goes on as it is/);
    rmSync(config.headFile);
    renameSync(aside, config.headFile);
    await expect(goOn(config)).rejects.toThrow(/written to without it/);
    expect(await verified(config)).toMatchObject({ log: ORIGIN, size: BEFORE + 1 });
  });

  it.skipIf(missing)('names what was lost also where the log had replaced its key in it', async () => {
    const folder = place();
    const config = testConfig(folder, await database());
    await opened(config, (ledger) => write(ledger, fresh(BEFORE)));
    const setBack = await backup(config, closers);
    const [vkey, later] = await opened(config, async (ledger) => {
      const before = ledger.writer.vkey;
      await write(ledger, fresh(2));
      const next = prepareKey(config.keysDir, ORIGIN);
      await ledger.writer.replaceKey(next);
      settleKey(config.keysDir, next, before, true);
      await write(ledger, fresh(3));
      return [before, next.vkey];
    });
    await setBack();
    await expect(opened(config, () => Promise.resolve())).rejects.toThrow(
      /older key.*rxledger log restore.*rxledger log restart/,
    );
    const { said, oldKeys } = await goOn(config);
    expect(said).toMatchObject({ from: vkey, size: BEFORE, bothSigned: true, remembered: { size: BEFORE + 6 } });
    const files = [vkey, later].map((old) => `log.key.old-${old?.split('+')[1]}`);
    expect(readdirSync(config.keysDir)).toEqual(expect.arrayContaining(files));
    expect(oldKeys).toEqual(files.toSorted());
    expect(await verified(renamed(config))).toMatchObject({ ok: true, size: BEFORE + 1 });
    expect(await follow(renamed(config), place(), said.to)).toMatchObject({ ok: true });
    for (const pinned of [vkey, later])
      expect(await follow(renamed(config), place(), pinned ?? '')).toMatchObject({ ok: false });
  });

  it.skipIf(missing)('names the old key that is left where the one of the backup was destroyed', async () => {
    const { config, vkey } = await past();
    const setBack = await backup(config, closers);
    rmSync(config.headFile);
    const later = await opened(config, async (ledger) => {
      await write(ledger, fresh(1));
      const next = prepareKey(config.keysDir, ORIGIN);
      await ledger.writer.replaceKey(next);
      settleKey(config.keysDir, next, vkey, false);
      return next.vkey;
    });
    await setBack();
    const { said, oldKeys } = await goOn(config);
    expect(said).toMatchObject({ from: vkey, bothSigned: false });
    expect(oldKeys).toEqual([`log.key.old-${later.split('+')[1]}`]);
  });

  it.skipIf(missing)('goes on without its old key, and its new one can be replaced', async () => {
    const { config } = await past();
    rmSync(join(config.keysDir, 'log.key'));
    const { said, oldKeys } = await goOn(config);
    expect([said.bothSigned, oldKeys]).toEqual([false, []]);
    expect(readdirSync(config.keysDir).filter((name) => name.startsWith('log.key'))).toEqual(['log.key']);
    const now = renamed(config);
    const next = await opened(now, async ({ writer }) => {
      const prepared = prepareKey(config.keysDir, NEXT);
      await writer.replaceKey(prepared);
      settleKey(config.keysDir, prepared, said.to, false);
      return prepared.vkey;
    });
    expect(await verified(now)).toMatchObject({
      ok: true,
      newestVkey: next,
      continues: [expect.stringContaining(ORIGIN)],
    });
    expect(await follow(now, place(), next)).toMatchObject({ ok: true, standing: { continues: [expect.any(String)] } });
    // Nobody but the new key says so.
    expect(await follow(now, place(), said.from)).toMatchObject({ alarm: 'log', proved: false });
  });

  it.skipIf(missing)('is not continued from before it went on, nor under a name that it had', async () => {
    const { config } = await past();
    const setBack = await backup(config, closers);
    const { said, headFile } = await goOn(config);
    await opened(renamed(config), (ledger) => write(ledger, fresh(1)));
    await setBack();
    await expect(goOn(config, 'test.example/log-3')).rejects.toThrow(`from before that (${headFile})`);
    // Whoever puts the old head file back may go on from there, under yet another name.
    renameSync(config.headFile, `${config.headFile}.ended-${said.to.split('+')[1]}`);
    renameSync(headFile!, config.headFile);
    await expect(goOn(config, NEXT)).rejects.toThrow(`was called ${NEXT} already`);
    expect((await goOn(config, 'test.example/log-3')).said).toMatchObject({ size: BEFORE, oldOrigin: ORIGIN });
  });

  it.skipIf(missing)('keeps each head file that ended, and takes no other for one of its own', async () => {
    const { config } = await past();
    const { headFile } = await goOn(config);
    const kept = readFileSync(headFile!, 'utf8');
    const now = renamed(config);
    await opened(now, (ledger) => write(ledger, fresh(1)));
    const own = readFileSync(config.headFile, 'utf8');
    writeFileSync(config.headFile, own.replaceAll('test.example', 'else.example'));
    await expect(goOn(now)).rejects.toThrow("not this log's");
    rmSync(config.headFile);
    await expect(goOn(now)).rejects.toThrow('no head file');
    writeFileSync(config.headFile, kept);
    await expect(goOn(now)).rejects.toThrow('is kept already');
    expect(readFileSync(headFile!, 'utf8')).toBe(kept);
  });

  it.skipIf(missing)('compares its earlier entries with what is signed of their chains now', async () => {
    const { config } = await past();
    const { said } = await goOn(config);
    const old = await opened(renamed(config), ({ reader }) => reader.receipt(3));
    const trust: Policy = { ...logOnly(parseVerifierKey(said.to)), continued: [said] };
    const held = verifyReceipt(old, trust);
    if (!held.ok) throw new Error(held.reason);
    const head = { origin: NEXT, chain: held.entry.chain, seq: 0, leaf: new Uint8Array(32), size: BEFORE + 1 };
    expect(compareWithHead(held, head, trust)).toBe('differs');
    expect(compareWithHead(held, { ...head, chain: randomUUID() }, trust)).toBe('unrelated');
    expect(compareWithHead(held, head)).toBe('unrelated');
  });

  it.skipIf(missing)('is refused where what is left does not verify', async () => {
    const { config } = await past();
    const source = await openWriter(config);
    await source.query('UPDATE chain SET seq = seq + 1 WHERE num = 0');
    await source.destroy();
    await expect(goOn(config)).rejects.toThrow(/does not verify/);
    expect(await verified(config)).toMatchObject({ log: ORIGIN, size: BEFORE });
  });
});
