/** Attacks on the replacement of the log's key, each made for real, and who notices. */
import { randomUUID } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clock } from '../../src/config/clock.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { type Db, dbOf } from '../../src/database/db.js';
import { Follower } from '../../src/follow/follower.js';
import { checkEvidence, evidenceSchema } from '../../src/follow/evidence.js';
import { fromBase64 } from '../../src/ledger/core/bytes.js';
import { LOG_CHAIN } from '../../src/ledger/core/entry.js';
import type { FetchFile } from '../../src/ledger/core/log-client.js';
import { LOG_KEY_ROTATED } from '../../src/ledger/core/log-key-rotation.js';
import { consistencyProof } from '../../src/ledger/core/merkle.js';
import { parseVerifierKey } from '../../src/ledger/core/note.js';
import { logOnly } from '../../src/ledger/core/policy.js';
import { parseTilePath, tileNodeReader } from '../../src/ledger/core/tiles.js';
import { encodeHashes } from '../../src/ledger/core/tlog-proof.js';
import { readHeadFile } from '../../src/ledger/head-file.js';
import { readKeyHistory } from '../../src/ledger/key-history.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LOG_REF, logModel } from '../../src/ledger/log-chain.js';
import { LogKey, rotationData } from '../../src/ledger/log-key.js';
import { prepareKey, settleKey } from '../../src/ledger/log-keys.js';
import { loadKey } from '../../src/ledger/key-files.js';
import { type Receipt, SYSTEM } from '../../src/ledger/model.js';
import { nodeHasher } from '../../src/ledger/node-hasher.js';
import { type Ledger, openLedger } from '../../src/ledger/open-ledger.js';
import { readHead, tileReader } from '../../src/ledger/tip.js';
import { Vault } from '../../src/ledger/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { LogFiles } from '../../src/log/log-files.js';
import type { Served } from '../../src/log/rounds-served.js';
import { count, counterModel, temporaryFolder, testConfig } from '../support/ledger.js';
import { asOperator } from './forging.js';
import { submit } from './witness.js';

const ORIGIN = 'ledger.example/keys';
const MODELS = [counterModel, logModel];
const BEFORE = 6;
const AFTER = 3;
const root = temporaryFolder();
const at = (name: string): string => join(root.path, name);
const configOf = (folder: string) => testConfig(folder, { LOG_ORIGIN: ORIGIN });
afterAll(() => root.remove());

/** Verifier keys; the first is what everybody pinned in the beginning. */
let [first, second] = ['', ''];
let receipts: Receipt[] = [];

async function opened<T>(folder: string, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = await openLedger(configOf(folder), new Clock(), MODELS);
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

async function write({ writer }: Ledger, times: number): Promise<Receipt[]> {
  const written: Receipt[] = [];
  for (let n = 0; n < times; n++) {
    const outcome = await writer.commit(count(randomUUID(), 1));
    if (outcome.ok) written.push(...outcome.receipts);
  }
  return written;
}

async function rotate(folder: string, ledger: Ledger): Promise<void> {
  const next = prepareKey(join(folder, 'keys'), ORIGIN);
  const receipt = await ledger.writer.replaceKey(next);
  settleKey(join(folder, 'keys'), next, null, true);
  if (receipt) receipts.push(receipt);
}

/** What the folder shows to the world, as the service over it would. */
async function shown<T>(folder: string, use: (files: FetchFile, db: Db, checkpoint: string) => Promise<T>): Promise<T> {
  const source = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
  try {
    const db = dbOf(source);
    const head = await readHead(db);
    const checkpoint = head?.checkpoint ?? '';
    const reader = new LedgerReader(db, new Vault(join(folder, 'keys'), ORIGIN), ORIGIN);
    const log = new LogFiles(reader, { reaches: () => Promise.resolve(true) } as unknown as Served);
    const files: FetchFile = async (path) => {
      if (path === 'checkpoint') return Buffer.from(checkpoint);
      if (path === 'rotations') return Buffer.from(JSON.stringify({ items: await log.rotations() }));
      const tile = parseTilePath(path);
      if (!tile) return null;
      const { level, index, width } = tile;
      return level === 'entries' ? log.bundle(index, width) : log.tile(level, index, width);
    };
    return await use(files, db, checkpoint);
  } finally {
    await source.destroy();
  }
}

const policy = () => logOnly(parseVerifierKey(first));

/** @returns the alarm, and whether its evidence proves it to others; null: the follower sees nothing */
async function follow(auditor: string, folder: string): Promise<string | null> {
  const copy = at(randomUUID());
  cpSync(at(auditor), copy, { recursive: true });
  return shown(folder, async (fetch) => {
    const options = { policy: policy(), fetch, url: 'https://log.example', clock: new Clock() };
    const follower = await Follower.open(copy, options);
    const poll = await follower.poll();
    await follower.close();
    if (poll.ok) return null;
    const evidence = evidenceSchema.parse(JSON.parse(readFileSync(poll.evidence, 'utf8')));
    return `${poll.alarm}${checkEvidence(nodeHasher, policy(), evidence).proved ? ', proved' : ''}`;
  });
}

/** @returns the tables that are blamed; null: nothing is found */
async function verify(folder: string, vkey: string): Promise<string | null> {
  const source = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
  try {
    const { vkeys } = await readKeyHistory(dbOf(source), ORIGIN);
    const remembered = await readHeadFile(join(folder, 'head'), [vkey, ...vkeys]);
    const vault = Vault.openExisting(join(folder, 'keys'), ORIGIN);
    const { ok, findings } = await verifyDatabase({ source, vkey, vault, remembered, models: MODELS });
    return ok ? null : [...new Set(findings.map(({ table }) => table))].join(', ');
  } finally {
    await source.destroy();
  }
}

/** The status of a witness that has cosigned all that the honest log signed, and knows both keys. */
function witness(folder: string): Promise<number> {
  return shown(folder, async (_, db, checkpoint) => {
    const copy = at(randomUUID());
    cpSync(at('witness'), copy, { recursive: true });
    const nodes = tileNodeReader(nodeHasher, tileReader(db));
    const [old, size] = [BEFORE + 1 + AFTER, Number(checkpoint.split('\n')[1])];
    const proof = size > old ? await consistencyProof(nodeHasher, old, size, nodes) : [];
    return (await submit(copy, [first, second], `old ${Math.min(old, size)}\n${encodeHashes(proof)}\n${checkpoint}`))
      .status;
  });
}

/** @returns what a holder of receipts, of before and after, does not find where it was; null: all is there */
function holder(folder: string): Promise<string | null> {
  return shown(folder, async (_, db) => {
    for (const { index, entry } of receipts) {
      const [row] = await db.query<{ entry: Buffer }>('SELECT entry FROM entry WHERE idx = ?', [index]);
      if (!row?.entry.equals(Buffer.from(fromBase64(entry)))) return `entry ${index}`;
    }
    return null;
  });
}

/** The operator's database names another key, and its head is signed with that one alone. */
async function usurp(folder: string, key: LogKey, seed: Uint8Array): Promise<void> {
  await asOperator(folder, async (op) => {
    const head = await readHead(op.db);
    const checkpoint = key.checkpoint(head?.size ?? 0, head?.root ?? Buffer.alloc(32));
    await op.db.query('UPDATE log_head SET vkey = ?', [key.vkey]);
    await op.db.query(
      `INSERT INTO published (size, previous, checkpoint, published_at) SELECT ?, max(size), ?, 0 FROM published WHERE true
       ON CONFLICT (size) DO UPDATE SET checkpoint = excluded.checkpoint`,
      [head?.size ?? 0, checkpoint],
    );
    await op.publish(checkpoint);
  });
  writeFileSync(join(folder, 'keys', 'log.key'), seed);
}

const fresh = () => {
  const seed = Buffer.from(randomUUID().replaceAll('-', ''));
  return { seed, key: new LogKey(ORIGIN, seed) };
};

beforeAll(async () => {
  await opened(at('log'), async (ledger) => {
    first = ledger.writer.vkey;
    receipts = await write(ledger, BEFORE);
  });
  await shown(at('log'), async (_, __, checkpoint) => submit(at('witness'), [first], `old 0\n\n${checkpoint}`));
  cpSync(at('log'), at('backup'), { recursive: true });
  for (const auditor of ['early', 'late'])
    await shown(at('log'), async (fetch) => {
      const follower = await Follower.open(at(auditor), { policy: policy(), fetch, url: '', clock: new Clock() });
      await follower.poll();
      await follower.close();
    });
  await opened(at('log'), async (ledger) => {
    await rotate(at('log'), ledger);
    second = ledger.writer.vkey;
    receipts.push(...(await write(ledger, AFTER)));
  });
  await shown(at('log'), async (fetch, db, checkpoint) => {
    const follower = await Follower.open(at('late'), { policy: policy(), fetch, url: '', clock: new Clock() });
    await follower.poll();
    await follower.close();
    const proof = await consistencyProof(
      nodeHasher,
      BEFORE,
      BEFORE + 1 + AFTER,
      tileNodeReader(nodeHasher, tileReader(db)),
    );
    const body = `old ${BEFORE}\n${encodeHashes(proof)}\n${checkpoint}`;
    const { status } = await submit(at('witness'), [first, second], body);
    if (status !== 200) throw new Error('the witness refuses the honest log');
  });
});

interface Seen {
  /** Of the key that was pinned first. */
  readonly verify: string | null;
  /** Auditors who had looked before the key was replaced, and after. */
  readonly early: string | null;
  readonly late: string | null;
  readonly witness: number;
  readonly receipts: string | null;
}

const HONEST: Seen = { verify: null, early: null, late: null, witness: 200, receipts: null };

const ATTACKS: readonly [string, (folder: string) => Promise<void>, Seen][] = [
  ['nothing', () => Promise.resolve(), HONEST],
  [
    'goes on honestly, and replaces the key again',
    (folder) =>
      opened(folder, async (ledger) => {
        await rotate(folder, ledger);
        receipts.pop();
      }),
    { ...HONEST, witness: 200 },
  ],
  [
    'replaces the key without the old one, and says nothing',
    async (folder) => {
      const { key, seed } = fresh();
      await usurp(folder, key, seed);
    },
    { verify: 'log_head, head file, published', early: 'signature', late: 'signature', witness: 403, receipts: null },
  ],
  [
    'replaces the key without the old one, by a statement that a key of its own signs twice',
    async (folder) => {
      const [{ key: pretended }, { key, seed }] = [fresh(), fresh()];
      await opened(folder, async ({ writer, reader }) => {
        const { size = 0, root: tree = Buffer.alloc(32) } = (await readHead(reader.db)) ?? {};
        const data = { ...rotationData(pretended, key, size, tree), from: second };
        const decide = () => ({ events: [{ chain: LOG_CHAIN, type: LOG_KEY_ROTATED, data, derived: {} }] });
        await writer.commit({ actor: SYSTEM, chains: [LOG_REF], decide });
      });
      await usurp(folder, key, seed);
    },
    {
      verify: 'payload, log_head, head file, published',
      early: 'signature',
      late: 'signature',
      witness: 403,
      receipts: null,
    },
  ],
  [
    'comes back with a backup of before, and replaces the key by another one: what nobody without a memory sees',
    async (folder) => {
      rmSync(folder, { recursive: true });
      cpSync(at('backup'), folder, { recursive: true });
      await opened(folder, async (ledger) => {
        await write(ledger, 1);
        await rotate(folder, ledger);
        receipts.pop();
        await write(ledger, AFTER + 2);
      });
    },
    { verify: null, early: null, late: 'fork, proved', witness: 403, receipts: `entry ${BEFORE}` },
  ],
  [
    'signs on with the old key',
    async (folder) => {
      const [old] = [first.split('+')[1]];
      const seed = loadKey(join(folder, 'keys'), `log.key.old-${old}`) ?? Buffer.alloc(0);
      await usurp(folder, new LogKey(ORIGIN, seed), seed);
    },
    // The tree is the same: to who has not seen the new key, and to a witness that still knows the old one, all is well.
    { verify: 'log_head, published', early: null, late: 'signature', witness: 200, receipts: null },
  ],
];

describe('an operator with root who', () => {
  it.each(ATTACKS)('%s', async (_, attack, expected) => {
    const folder = at(randomUUID());
    cpSync(at('log'), folder, { recursive: true });
    await attack(folder);
    const seen: Seen = {
      verify: await verify(folder, first),
      early: await follow('early', folder),
      late: await follow('late', folder),
      witness: await witness(folder),
      receipts: await holder(folder),
    };
    expect(seen).toEqual(expected);
  });
});
