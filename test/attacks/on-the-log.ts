/** Attacks on the log as a whole: its length, its past, its tiles, its checkpoint. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { Clock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { restartLog } from '../../src/ledger/upkeep/restart.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { ed25519Signer, signNote } from '../../src/ledger/core/tlog/note.js';
import { nodeInTile, TILE_WIDTH } from '../../src/ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { readHead, tileReader } from '../../src/ledger/store/tip.js';
import { type Attack, entryAt, MEMORY } from './attack.js';
import { asOperator, instantOf, invented, itemAt, leafOf, minuteEarlier, replaced, rewriting, sql } from './forging.js';
import type { Operator } from './operator.js';
import { AGREED } from '../support/set-back.js';

const HASH = 32;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The same bytes in base64 that no encoder writes: the last character's unused bits are set. */
export function strayBits(base64: string): string {
  const pad = base64.indexOf('=');
  const last = ALPHABET[ALPHABET.indexOf(base64[pad - 1] ?? 'A') + 1] ?? '';
  return base64.slice(0, pad - 1) + last + base64.slice(pad);
}

/** The checkpoint's text in another spelling, signed by the log's own key. */
export const signedAnew =
  (change: (lines: [origin: string, size: string, root: string]) => string[]): Attack['mutate'] =>
  (folder) =>
    asOperator(folder, async (op) => {
      const head = await readHead(op.db);
      const seed = loadKey(join(folder, 'keys'), 'log.key');
      if (!head || !seed) throw new Error('there is no log');
      const text = change([head.origin, String(head.size), head.root.toString('base64')]);
      await op.publish(signNote(`${text.join('\n')}\n`, [ed25519Signer(head.origin, seed)]));
    });

/** One hash of the first full tile, the entry's own, is another. */
async function forgeTile(op: Operator, index: number, leaf: Uint8Array): Promise<Buffer> {
  const tile = Buffer.from(await tileReader(op.db)(0, 0));
  if (tile.length !== TILE_WIDTH * HASH || index >= TILE_WIDTH) throw new Error('the first tile is not full');
  tile.set(leaf, index * HASH);
  await op.db.query('UPDATE tile SET hashes = ? WHERE level = 0 AND idx = 0', [tile]);
  return tile;
}

/** An older copy of the database comes back; the files that are named come with it. */
const restore =
  (...files: string[]): Attack['mutate'] =>
  async (folder, { backup }) => {
    for (const end of ['-wal', '-shm']) rmSync(join(folder, `rxledger.sqlite${end}`), { force: true });
    for (const file of ['rxledger.sqlite', ...files]) cpSync(join(backup, file), join(folder, file));
  };

const log = () => ({ table: 'log_head' });
const tile = () => ({ table: 'tile', where: { level: 0, index: 0 } });

export const ON_THE_LOG: readonly Attack[] = [
  {
    name: 'truncate',
    form: 'naive',
    line: 'entries',
    mutate: sql(
      ({ size }) => `DELETE FROM payload WHERE idx >= ${size - 15}`,
      ({ size }) => `DELETE FROM entry WHERE idx >= ${size - 15}`,
    ),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    alarm: 'away',
    blames: ({ size }) => entryAt(size - 15),
  },
  {
    name: 'truncate',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items) => items.slice(0, -15)),
    caughtBy: MEMORY,
    alarm: 'rollback',
  },
  {
    name: 'truncate what no checkpoint that was kept has seen',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items) => items.slice(0, -5)),
    caughtBy: ['receipt'],
  },
  {
    name: 'roll back to a backup',
    form: 'naive',
    line: 'backup',
    mutate: restore(),
    caughtBy: ['verify', ...MEMORY],
    alarm: 'rollback',
    blames: ({ backupSize }) => entryAt(backupSize),
  },
  {
    name: 'roll back to a backup, the head file with it',
    form: 'clever',
    line: 'backup',
    mutate: restore('head'),
    caughtBy: MEMORY,
    alarm: 'rollback',
  },
  {
    // By the command that is there for it: what it was made for and what it can be misused for look alike.
    name: 'roll back to a backup, and continue it as another log',
    form: 'clever',
    line: 'backup',
    async mutate(folder, world) {
      await restore()(folder, world);
      const config = Config.parse({ DATA_DIR: folder });
      await restartLog(config, new Clock(), CHAIN_MODELS, 'elsewhere.example/log', AGREED);
    },
    caughtBy: ['verify', 'root rebuild', ...MEMORY, 'chain head'],
    alarm: 'log',
    blames: log,
  },
  {
    name: 'forge a full tile',
    form: 'naive',
    line: 'tiles',
    mutate: (folder, { target }) =>
      asOperator(folder, async (op) => void (await forgeTile(op, target[2], new Uint8Array(HASH)))),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: tile,
  },
  {
    name: 'forge a full tile, and an entry that fits it',
    form: 'clever',
    line: 'tiles',
    mutate: (folder, { target: [index] }) =>
      asOperator(folder, async (op) => {
        const entry = Buffer.from(minuteEarlier(itemAt(await op.read(), index).stored));
        await op.db.query('UPDATE entry SET entry = ? WHERE idx = ?', [entry, index]);
        await forgeTile(op, index, leafOf(entry));
      }),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: ({ target: [, next] }) => entryAt(next),
    fools: 'trusts tiles',
  },
  {
    name: 'forge a full tile and its parent',
    form: 'clever',
    line: 'tiles',
    mutate: (folder, { target: [index] }) =>
      asOperator(folder, async (op) => {
        const forged = await forgeTile(op, index, new Uint8Array(HASH));
        const parent = Buffer.from(nodeInTile(nodeHasher, forged, 8, 0));
        await op.db.query('UPDATE tile SET hashes = ? WHERE level = 1 AND idx = 0', [parent]);
      }),
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'files',
    blames: tile,
  },
  {
    name: "another log's checkpoint",
    form: 'clever',
    line: 'tiles',
    mutate: async (folder, { other }) => {
      let theirs = '';
      await asOperator(other, async (op) => {
        theirs = (await readHead(op.db))?.checkpoint ?? '';
      });
      await asOperator(folder, (op) => op.publish(theirs));
    },
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
  {
    name: 'a checkpoint with a leading zero in its size',
    form: 'clever',
    line: 'tiles',
    mutate: signedAnew(([origin, size, root]) => [origin, `0${size}`, root]),
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
  {
    name: 'a checkpoint with a size beyond safe integers',
    form: 'clever',
    line: 'tiles',
    mutate: signedAnew(([origin, , root]) => [origin, '9007199254740993', root]),
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
  {
    name: 'a checkpoint with its root in base64 that is not canonical',
    form: 'clever',
    line: 'tiles',
    mutate: signedAnew(([origin, size, root]) => [origin, size, strayBits(root)]),
    caughtBy: ['verify', 'root rebuild', 'follow', 'witness', 'policy', 'receipt'],
    alarm: 'signature',
    blames: log,
  },
  {
    name: 'a checkpoint with its signature in base64 that is not canonical',
    form: 'naive',
    line: 'tiles',
    mutate: (folder) =>
      asOperator(folder, async (op) => {
        const { checkpoint = '' } = (await readHead(op.db)) ?? {};
        await op.publish(checkpoint.replace(/\S+=\n$/, (base64) => strayBits(base64)));
      }),
    caughtBy: ['verify', 'root rebuild', 'witness', 'policy', 'receipt'],
    alarm: 'away',
    blames: log,
  },
  {
    name: 'an entry with its commitment in base64 that is not canonical',
    form: 'clever',
    line: 'entries',
    mutate: rewriting((items, { target: [, , index] }) =>
      replaced(items, [index], (item) => {
        const text = Buffer.from(item.stored).toString('utf8');
        const entry = text.replace(/(?<="commitment":")[^"]+/, strayBits);
        return { ...item, bytes: () => Buffer.from(entry) };
      }),
    ),
    caughtBy: ['verify', 'commitment', 'root rebuild', ...MEMORY, 'chain head'],
    blames: ({ target: [, , index] }) => entryAt(index),
  },
  {
    name: 'invent an event in the name of somebody who does not sign and append it',
    form: 'clever',
    line: null,
    mutate: rewriting((items, { target, size }) => [
      ...items,
      invented(itemAt(items, target[4]), instantOf(itemAt(items, size - 1))),
    ]),
    caughtBy: [],
    waitsFor: 'a key of the actor',
  },
];
