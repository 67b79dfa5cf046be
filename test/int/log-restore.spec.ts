import { randomUUID } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { payloadsIn } from '../../src/cli/ledger/payload-files.js';
import { run } from '../../src/cli/program.js';
import { replicaFiles } from '../../src/cli/ledger/restore.js';
import { Clock, SettableClock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { Replica } from '../../src/audit/follow/replica/replica.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { LOG_REF, logModel } from '../../src/ledger/log-chain/log-chain.js';
import { restartLog } from '../../src/ledger/upkeep/restart.js';
import { prepareKey } from '../../src/ledger/keys/log-key-files.js';
import { type Restored, restoreLog, type RestoreOptions } from '../../src/ledger/upkeep/restore.js';
import { RestoreRefused } from '../../src/ledger/upkeep/lost-part.js';
import { type Command, SYSTEM } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { bothEngines, sharedPostgres } from '../support/engines.js';
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
import { AGREED, backup, exported, follow, verified } from '../support/set-back.js';
import { newSigner } from '../support/signer.js';
import { testTerminal } from '../support/terminal.js';

const ORIGIN = 'test.example/log';
const MODELS = COUNTING;
const BEFORE = 5;
const postgres = await sharedPostgres();

/** One log before and after its database was set back. */
interface Past {
  readonly config: Config;
  readonly vkey: string;
  /** Counters that had the value 1 before the backup. */
  readonly old: readonly string[];
  /** Receipts of what was lost, as those who wrote it kept them. */
  readonly receipts: readonly Receipt[];
  readonly size: number;
  /** An auditor's folder of all of it, with the replica in it. */
  readonly auditor: string;
  /** Lines of an export with payloads. */
  readonly lines: readonly string[];
  readonly setBack: () => Promise<void>;
}

/** All at once, so that one batch has many of them. */
async function write({ writer }: Ledger, counters: readonly string[]): Promise<Receipt[]> {
  const outcomes = await Promise.all(counters.map((id) => writer.commit(count(id, 1))));
  return outcomes.flatMap((outcome) => (outcome.ok ? outcome.receipts : []));
}

function enrolment(): Command {
  const signer = newSigner();
  const id = randomUUID();
  const actor = { id, org: null, role: 'prescriber' as const };
  const data = { account: id, jwk: signer.jwk, kid: signer.kid };
  const event = { chain: LOG_CHAIN, type: 'actor-key.enrolled/1', data, derived: {} };
  const occurredAt = new Date().toISOString();
  const jws = signer.sign({ log: ORIGIN, ...event, actor, occurredAt, commandId: id });
  return {
    actor: { ...actor, patient: null },
    chains: [LOG_REF],
    decide: () => ({ events: [event] }),
    idempotency: { client: id, key: id, request: '' },
    signature: { jws, occurredAt },
  };
}

async function restore(
  config: Config,
  replica: string | FetchFile | null,
  files: readonly string[],
  options: Partial<RestoreOptions> = {},
): Promise<Restored> {
  const fetch = typeof replica === 'string' ? replicaFiles(await Replica.open(join(replica, 'log'))) : replica;
  const sources = { replica: fetch, payloads: payloadsIn(files) };
  return restoreLog(config, new Clock(), MODELS, sources, { report: () => undefined, ...options });
}

async function sizeOf(config: Config): Promise<number> {
  const source = await openReader(config);
  try {
    return (await readHead(dbOf(source)))?.size ?? -1;
  } finally {
    await source.destroy();
  }
}

const totalsOf = async ({ reader }: Ledger, counters: readonly string[]) =>
  Promise.all(counters.map(async (id) => (await reader.chain<Counter>(id, counterModel))?.state.total));

describe.each(await bothEngines())('a log that was set back, on $engine', ({ missing, database }) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  function place(): string {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    return folder.path;
  }

  function file(lines: readonly string[]): string {
    const path = join(place(), 'file');
    writeFileSync(path, lines.join('\n'));
    return path;
  }

  /** @param lose writes what is lost. @param old counters of before the backup */
  async function past(
    lose: (ledger: Ledger, old: readonly string[], config: Config) => Promise<readonly Receipt[]> = (ledger, old) =>
      write(ledger, [...old.slice(0, 2), ...fresh(2)]),
    old = fresh(BEFORE),
  ): Promise<Past> {
    const config = testConfig(place(), await database());
    await opened(config, (ledger) => write(ledger, old));
    const setBack = await backup(config, closers);
    const { vkey, receipts } = await opened(config, async (ledger) => {
      const kept = await lose(ledger, old, config);
      return { vkey: ledger.writer.vkey, receipts: kept };
    });
    const auditor = place();
    const replica = await Replica.open(join(auditor, 'log'));
    expect(await follow(config, auditor, vkey, replica)).toMatchObject({ ok: true });
    const [size, lines] = [await sizeOf(config), await exported(config)];
    await setBack();
    return { config, vkey, old, receipts, size, auditor, lines, setBack };
  }

  const fromExport = ({ config, auditor, lines }: Past) => restore(config, auditor, [file(lines)]);

  it.skipIf(missing)('has everything again, and goes on as the log that it was', async () => {
    const mine = fresh(2);
    const { config, vkey, old, receipts, size, auditor, lines } = await past(async (ledger, before) => [
      ...(await write(ledger, [...before.slice(0, 2), ...mine])),
      ...(await ledger.writer.commit(enrolment()).then((outcome) => (outcome.ok ? outcome.receipts : []))),
      ...(await write(ledger, [...mine, ...mine])),
    ]);
    await expect(opened(config, () => Promise.resolve())).rejects.toThrow(/set back/);
    const headFile = readFileSync(config.headFile, 'utf8');

    const restored = await restore(config, auditor, [file(lines)]);
    expect(restored).toMatchObject({ log: ORIGIN, vkey, before: BEFORE, size, verified: { ok: true, size } });
    expect(readFileSync(config.headFile, 'utf8')).toBe(headFile);
    expect(await exported(config)).toEqual(lines);
    // It is shown at once: whoever follows it sees no smaller one.
    expect(await follow(config, auditor, vkey)).toMatchObject({ ok: true, standing: { size } });

    const more = await opened(config, async (ledger) => {
      expect(await totalsOf(ledger, [...old, ...mine])).toEqual([2, 2, 1, 1, 1, 3, 3]);
      expect(await ledger.reader.chain(LOG_CHAIN, logModel)).toMatchObject({ seq: 0 });
      const again = await Promise.all(receipts.map(({ index }) => ledger.reader.receipt(index)));
      expect(again.map((receipt) => receipt?.entry)).toEqual(receipts.map(({ entry }) => entry));
      const written = await write(ledger, [...old, ...mine, ...fresh(1)]);
      await ledger.writer.commit(enrolment());
      return written;
    });
    for (const receipt of [...receipts, ...more]) expect(verifyReceipt(receipt, vkey)).toMatchObject({ ok: true });
    expect(await verified(config, MODELS, vkey)).toMatchObject({ ok: true, size: size + BEFORE + 2 + 1 + 1 });
    expect(await follow(config, auditor, vkey)).toMatchObject({ ok: true });
    await expect(restore(config, auditor, [])).rejects.toThrow(/goes on as it is/);
  });

  it.skipIf(missing)('has it from what people kept: receipts and answers', async () => {
    const { config, receipts, auditor, size } = await past();
    const [first, ...others] = receipts.map((receipt) => JSON.stringify(receipt));
    const answer = file([`{"prescription":{},"receipts":[${others.join(',')}]}`]);
    await restore(config, auditor, [file([first!]), answer]);
    expect(await verified(config, MODELS)).toMatchObject({ ok: true, size });
  });

  it.skipIf(missing)('has many batches again, whole tiles among them, of a log that was empty', async () => {
    const many = fresh(300);
    const { config, auditor, lines, size } = await past(
      async (ledger) => [...(await write(ledger, many)), ...(await write(ledger, many))],
      [],
    );
    const steps: string[] = [];
    const progress: RestoreOptions['progress'] = ({ step, done, total }) => steps.push(`${step} ${done}/${total}`);
    await restore(config, auditor, [file(lines)], { batch: 250, progress });
    expect(steps).toEqual(expect.arrayContaining(['reading 600/600', 'writing 250/600', 'writing 600/600']));
    expect(await verified(config, MODELS)).toMatchObject({ ok: true, size, payloads: 600 });
    await opened(config, async (ledger) => expect(await totalsOf(ledger, [many[7]!])).toEqual([2]));
  });

  it.skipIf(missing)(
    'is left as it is where a payload is in no file, or is not what its entry commits to',
    async () => {
      const { config, lines, auditor, receipts, size } = await past();
      const without = (index: number): string[] => lines.filter((line) => !line.startsWith(`{"index":${index},`));
      const refused = async (text: readonly string[]): Promise<RestoreRefused> => {
        const error: unknown = await restore(config, auditor, [file(text)]).catch((reason: unknown) => reason);
        if (!(error instanceof RestoreRefused)) throw error;
        expect(await sizeOf(config)).toBe(BEFORE);
        return error;
      };
      const bare = lines.map((line) => line.replace(/,"payload":"[^"]*"/, ''));
      expect((await refused(bare)).missing).toEqual(receipts.map(({ index }) => index));
      const { missing: one, message } = await refused(without(size - 2));
      expect(one).toEqual([size - 2]);
      expect(message).toContain(`no file holds the payload of 1 of the 4 lost entries: index ${size - 2}`);

      const [other, last] = [lines.at(-2)!, lines.at(-1)!].map((line) => JSON.parse(line) as { payload: string });
      const swapped = JSON.stringify({ ...last, payload: other!.payload });
      const text = Buffer.from(last!.payload, 'base64');
      const edited = JSON.stringify({
        ...last,
        payload: Buffer.from(text.with(text.length - 3, 0x39)).toString('base64'),
      });
      for (const line of [swapped, edited])
        expect((await refused([...without(size - 1), line])).missing).toEqual([size - 1]);
      // A wrong one keeps the right one from nothing.
      await restore(config, auditor, [file([...without(size - 1), swapped, edited, lines.at(-1)!])]);
      expect(await verified(config, MODELS)).toMatchObject({ ok: true, size });
    },
  );

  it.skipIf(missing)('takes entries from nothing but a replica that gives what its head file remembers', async () => {
    const { config, auditor, lines } = await past();
    const other = await past();
    const refused = async (replica: string | FetchFile, why: RegExp): Promise<void> => {
      await expect(restore(config, replica, [file(lines)])).rejects.toThrow(why);
      expect(await sizeOf(config)).toBe(BEFORE);
    };
    await refused(other.auditor, /not one of this log, or was changed/);
    const [tile] = readdirSync(join(auditor, 'log/tile/entries/000.p'));
    const path = join(auditor, 'log/tile/entries/000.p', tile!);
    const [whole, forged] = [readFileSync(path), readFileSync(path)];
    forged[forged.length - 9]! ^= 1;
    writeFileSync(path, forged);
    await refused(auditor, /not one of this log, or was changed: tile\/entries/);
    rmSync(path);
    await refused(auditor, /lacks tile\/entries/);
    writeFileSync(path, whole);
    const named: FetchFile = async (name) => {
      const bytes = await replicaFiles(await Replica.open(join(auditor, 'log')))(name);
      if (name !== 'checkpoint' || !bytes) return bytes;
      return Buffer.from(Buffer.from(bytes).toString().replaceAll(ORIGIN, 'else.example/log'));
    };
    await refused(named, /one of the log else\.example\/log/);
    await refused(() => Promise.resolve(null), /no checkpoint/);
    await restore(config, auditor, [file(lines)]);
  });

  it.skipIf(missing)('has the last entries, or all, from those who kept them where no replica has them', async () => {
    const { config, vkey, lines, size, setBack, receipts } = await past();
    cpSync(config.headFile, `${config.headFile}.kept`);
    // It was looked at for the last time before the backup: a replica has what was published.
    const short = place();
    await follow(config, short, vkey, await Replica.open(join(short, 'log')));
    const answers = file([JSON.stringify({ prescription: {}, receipts })]);
    await expect(restore(config, short, [])).rejects.toThrow(`${size - BEFORE} of the ${size - BEFORE} lost entries`);
    // An entry that its payload fits, and that is another than the log has.
    const forged = lines.map((line, at) => {
      const { index, entry, payload } = JSON.parse(line) as { index: number; entry?: string; payload?: string };
      if (at === 0 || index !== size - 1 || entry === undefined) return line;
      const text = Buffer.from(entry, 'base64')
        .toString()
        .replace(/"time":"20(..)-/, '"time":"21$1-');
      return JSON.stringify({ index, entry: Buffer.from(text).toString('base64'), payload });
    });
    await expect(restore(config, short, [file(forged)])).rejects.toThrow(/do not give what the head file|has a time/);
    expect(await sizeOf(config)).toBe(BEFORE);
    for (const replica of [short, null]) {
      for (const files of [[file(lines)], [answers]]) {
        expect(await restore(config, replica, files, { batch: 3 })).toMatchObject({ size, verified: { ok: true } });
        await opened(config, (ledger) => write(ledger, fresh(1)));
        await setBack();
        rmSync(config.headFile);
        cpSync(`${config.headFile}.kept`, config.headFile);
      }
    }
  });

  it.skipIf(missing)(
    'is refused where the database is no beginning of it, or nothing says that it was longer',
    async () => {
      const { config, auditor, lines } = await past();
      const aside = `${config.headFile}.aside`;
      renameSync(config.headFile, aside);
      await expect(restore(config, auditor, [file(lines)])).rejects.toThrow(/no head file/);
      writeFileSync(config.headFile, readFileSync(aside, 'utf8').replaceAll('test.example', 'else.example'));
      await expect(restore(config, auditor, [file(lines)])).rejects.toThrow(/head file is that of the log else/);
      rmSync(config.headFile);
      // Written to without its head file: another log under the same name.
      await opened(config, (ledger) => write(ledger, fresh(1)));
      rmSync(config.headFile);
      renameSync(aside, config.headFile);
      await expect(restore(config, auditor, [file(lines)])).rejects.toThrow(/are not the beginning/);
      expect(await sizeOf(config)).toBe(BEFORE + 1);
    },
  );

  it.skipIf(missing)('is refused where an erasure or a new log key was lost, and says what is left to do', async () => {
    const erased = await past(async (ledger, [first = '']) => {
      await write(ledger, [first]);
      await ledger.writer.erase(first, SYSTEM);
      return [];
    });
    await expect(fromExport(erased)).rejects.toThrow(/entry 6 is the erasure of a patient.*`rxledger log restart`/);
    expect(await sizeOf(erased.config)).toBe(BEFORE);
    for (const after of [0, 1]) {
      const moved = await past(async (ledger, _, { keysDir }) => {
        await ledger.writer.replaceKey(prepareKey(keysDir, ORIGIN));
        return write(ledger, fresh(after));
      });
      await expect(fromExport(moved)).rejects.toThrow(/replaced.*`rxledger log restart`/);
      expect(await sizeOf(moved.config)).toBe(BEFORE);
    }
  });

  it.skipIf(missing)('goes on where it was interrupted', async () => {
    const { config, auditor, lines, size, setBack } = await past();
    const crash = new Error('crash');
    const progress: RestoreOptions['progress'] = ({ step, done }) => {
      if (step === 'writing' && done === 2) throw crash;
    };
    const attempt = (options: Partial<RestoreOptions>) => restore(config, auditor, [file(lines)], options);
    await expect(attempt({ batch: 1, progress })).rejects.toBe(crash);
    expect(await sizeOf(config)).toBe(BEFORE + 2);
    await expect(opened(config, () => Promise.resolve())).rejects.toThrow(/set back/);
    expect(await attempt({})).toMatchObject({ before: BEFORE + 2, size, verified: { ok: true } });
    await setBack();
    // Two at once: one of them finds that somebody writes, and nothing is written twice.
    const both = await Promise.allSettled([attempt({ batch: 1 }), attempt({ batch: 1 })]);
    for (const one of both)
      if (one.status === 'rejected') expect(String(one.reason)).toMatch(/somebody writes|remembers no more/);
    if (both.every(({ status }) => status === 'rejected')) await attempt({});
    expect(await verified(config, MODELS)).toMatchObject({ ok: true, size });
  });

  it.skipIf(missing)('is restored under the name under which it went on after it was set back before', async () => {
    const { config } = await past();
    const { said } = await restartLog(config, new Clock(), MODELS, 'test.example/log-2', AGREED);
    const same: Record<string, string> = config.postgresUrl ? { DATABASE_URL: config.postgresUrl } : {};
    const now = testConfig(config.dataDir, { ...same, LOG_ORIGIN: said.origin });
    const old = fresh(2);
    await opened(now, (ledger) => write(ledger, old));
    const setBack = await backup(now, closers);
    await opened(now, (ledger) => write(ledger, [...old, ...fresh(2)]));
    const [auditor, lines] = [place(), await exported(now)];
    await follow(now, auditor, said.to, await Replica.open(join(auditor, 'log')));
    await setBack();
    expect(await restore(now, auditor, [file(lines)])).toMatchObject({ log: said.origin, verified: { ok: true } });
    expect(await exported(now)).toEqual(lines);
  });

  it.skipIf(missing)('says on the command line what is missing', async () => {
    const { config, auditor, receipts, lines } = await past();
    const said: string[] = [];
    const line = (words: string) => said.push(words);
    const env = { ...config.env, DATA_DIR: config.dataDir } as unknown as Record<string, string>;
    const { terminal } = testTerminal({ out: line, err: line, env });
    const rx = (...args: string[]) => run(['log', 'restore', ...args], terminal);
    expect(await rx('--replica', auditor, '--json')).toBe(1);
    expect(JSON.parse(said.pop() ?? '')).toMatchObject({ missing: receipts.map(({ index }) => index), written: 0 });
    expect(await rx('--replica', join(auditor, 'log'), '--payloads', file(lines.slice(0, -1)))).toBe(1);
    expect(said.pop()).toMatch(/payload of 1 of the 4 lost entries: .* Nothing was written\.$/);
    expect(await rx('--replica', place())).toBe(3);
    expect(await rx('--replica', auditor, '--payloads', join(place(), 'none'))).toBe(3);
    expect(await rx('--replica', auditor, '--payloads', file(['{}']))).toBe(2);
    expect(await rx('--replica', 'http://127.0.0.1:1')).toBe(3);
  });
});

describe.skipIf(postgres.missing)('what was recorded long ago', () => {
  it('is written again on PostgreSQL, whose clock is far ahead of it', async () => {
    const folder = temporaryFolder();
    try {
      // On SQLite nobody compares the clocks.
      const config = testConfig(folder.path);
      const longAgo = new SettableClock(Date.now() - 3_600_000);
      const ledger = await openLedger(config, longAgo, MODELS);
      await write(ledger, fresh(3));
      const { vkey } = ledger.writer;
      await ledger.close();
      const auditor = join(folder.path, 'auditor');
      await follow(config, auditor, vkey, await Replica.open(join(auditor, 'log')));
      const lines = await exported(config);

      // The same log in a new database that knows nothing of it yet.
      const other = testConfig(folder.path, { DATABASE_URL: await postgres.createDatabase() });
      renameSync(config.headFile, `${config.headFile}.aside`);
      await opened(other, () => Promise.resolve());
      renameSync(`${config.headFile}.aside`, config.headFile);
      const path = join(folder.path, 'export');
      writeFileSync(path, lines.join('\n'));
      expect(await restore(other, auditor, [path])).toMatchObject({ before: 0, size: 3, verified: { ok: true } });
      expect(await exported(other)).toEqual(lines);
      await opened(other, (now) => write(now, fresh(1)));
    } finally {
      folder.remove();
    }
  });
});
