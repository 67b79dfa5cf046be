/** Attacks on the replacement of the log's key: the log whose key was replaced once, honestly, is replaced again. */
import { randomBytes } from 'node:crypto';
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { SettableClock } from '../../src/time/clock.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import { LOG_KEY_ROTATED } from '../../src/ledger/core/statements/key-rotation.js';
import { LOG_REF } from '../../src/ledger/log-chain/log-chain.js';
import { LogKey, rotationData } from '../../src/ledger/crypto/log-key.js';
import { SYSTEM } from '../../src/ledger/model.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { testConfig } from '../support/ledger.js';
import { type Attack, MEMORY, payloadAt } from './attack.js';
import { asOperator } from './forging.js';
import { grow, keyIn, ORIGIN, replaceKey } from './world.js';

const log = () => ({ table: 'log_head' });
const onLog = 'with another key';

const fresh = () => {
  const seed = randomBytes(32);
  return { seed, key: new LogKey(ORIGIN, seed) };
};

/** The database names another key, and its head is signed and published with that one alone. */
async function usurp(folder: string, { key, seed }: { key: LogKey; seed: Uint8Array }): Promise<void> {
  await asOperator(folder, async (op) => {
    const head = await readHead(op.db);
    if (!head) throw new Error('there is no log');
    const checkpoint = key.checkpoint(head.size, head.root);
    await op.db.query('UPDATE log_head SET vkey = ?', [key.vkey]);
    await op.db.query(
      `INSERT INTO published (size, previous, checkpoint, published_at) SELECT ?, max(size), ?, 0 FROM published WHERE true
       ON CONFLICT (size) DO UPDATE SET checkpoint = excluded.checkpoint`,
      [head.size, checkpoint],
    );
    await op.publish(checkpoint);
  });
  writeFileSync(join(folder, 'keys', 'log.key'), seed);
}

export const ON_THE_KEY: readonly Attack[] = [
  {
    name: "replace the log's key without the old one",
    form: 'naive',
    line: 'log key',
    onLog,
    mutate: (folder) => usurp(folder, fresh()),
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
  {
    name: "replace the log's key without the old one, by a statement that a key of the operator signs in its place",
    form: 'clever',
    line: 'log key',
    onLog,
    async mutate(folder) {
      const [{ key: pretended }, next] = [fresh(), fresh()];
      const clock = new SettableClock(Date.now());
      const ledger = await openLedger(testConfig(folder, { LOG_ORIGIN: ORIGIN }), clock, CHAIN_MODELS);
      try {
        const head = await readHead(ledger.db);
        if (!head) throw new Error('there is no log');
        clock.set(head.time + 60_000);
        const data = { ...rotationData(pretended, next.key, head.size, head.root), from: ledger.writer.vkey };
        const decide = () => ({ events: [{ chain: LOG_CHAIN, type: LOG_KEY_ROTATED, data, derived: {} }] });
        await ledger.writer.commit({ actor: SYSTEM, chains: [LOG_REF], decide });
      } finally {
        await ledger.close();
      }
      await usurp(folder, next);
    },
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: ({ size }) => payloadAt(size),
  },
  {
    name: "replace the log's key twice, in two histories: a backup of before, its key replaced by another one",
    form: 'clever',
    line: 'log key twice',
    onLog,
    async mutate(folder, world) {
      rmSync(folder, { recursive: true });
      cpSync(world.backup, folder, { recursive: true });
      await replaceKey(folder);
      // Longer than what anybody has seen: it is refused for what it holds, not for its size.
      await grow(folder, 6);
    },
    caughtBy: MEMORY,
  },
  {
    name: 'sign on with the old key after it was replaced',
    form: 'naive',
    line: 'log key',
    onLog,
    async mutate(folder) {
      const [old = ''] = readdirSync(join(folder, 'keys')).filter((file) => file.startsWith('log.key.old-'));
      const seed = keyIn(folder, old);
      await usurp(folder, { key: new LogKey(ORIGIN, seed), seed });
    },
    // The tree is the same: to a witness that still knows the old key all is well.
    caughtBy: ['verify', 'root rebuild', 'follow', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
];
