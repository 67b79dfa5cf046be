/** Logs that are long before anything is measured, made in seconds: rows as the writer leaves them, without payloads. */
import { rm } from 'node:fs/promises';
import type { DataSource } from 'typeorm';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { Clock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { openWriter } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { encodeEntry, entryTime, ZERO32 } from '../../src/ledger/core/record/entry.js';
import { GrowingTree } from '../../src/ledger/core/tlog/merkle.js';
import { loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { growTiles, loadTip } from '../../src/ledger/store/tip.js';
import { chainId } from '../support/made-log.js';

/** Entries of one statement: four values each, of SQLite's 32,766. */
const CHUNK = 5000;
/** Entries of one chain, as a prescription with its fills and doses has. */
const PER_CHAIN = 8;
/** Entries within a minute. */
const PER_MINUTE = 100;
/** Chains that grow at the same time. */
const OPEN_CHAINS = 1000;

/**
 * Makes a data folder with the log's keys and a SQLite database that holds `size` entries, their tiles and a signed
 * head: what `rxledger log verify --entries-only` finds whole and `rxledger serve` starts on.
 * @param size a multiple of 1000 or less than that
 */
export async function makeBulkLog(folder: string, size: number): Promise<Config> {
  const config = Config.parse({ DATA_DIR: folder });
  const ledger = await openLedger(config, new Clock(), CHAIN_MODELS);
  await ledger.close();
  const source = await openWriter(config);
  try {
    await fill(source, config, size);
  } finally {
    await source.destroy();
  }
  // It was opened on the empty log.
  await rm(config.headFile, { recursive: true, force: true });
  return config;
}

async function fill(source: DataSource, config: Config, size: number): Promise<void> {
  const db = dbOf(source);
  let tip = await loadTip(db);
  if (!tip) throw new Error('a new ledger has a head');
  const key = new LogKey(tip.origin, loadOrCreateKey(config.keysDir, 'log.key'));
  const tree = new GrowingTree(nodeHasher);
  const started = Date.now() - (size / PER_MINUTE + 1) * 60_000;
  let time = started;
  /** The chains that grow: number, next seq, last leaf. */
  const ends = new Map<number, { num: number; seq: number; leaf: Uint8Array }>();
  await db.query('PRAGMA synchronous = OFF');
  for (let from = 0; from < size; from += CHUNK) {
    const values: unknown[] = [];
    const to = Math.min(from + CHUNK, size);
    for (let index = from; index < to; index++) {
      const lane = index % OPEN_CHAINS;
      const round = Math.floor(index / OPEN_CHAINS);
      const seq = round % PER_CHAIN;
      const end = seq === 0 ? { num: index, seq: 0, leaf: ZERO32 } : ends.get(lane)!;
      time = started + Math.floor(index / PER_MINUTE) * 60_000;
      const entry = encodeEntry({
        chain: chainId(end.num),
        // As good as random, and of the right length.
        commitment: nodeHasher.sha256(`commitment ${index}`),
        log: tip.origin,
        prev: end.leaf,
        seq,
        time: entryTime(time),
      });
      const leaf = nodeHasher.leaf(entry);
      tree.append(leaf);
      ends.set(lane, { num: end.num, seq, leaf });
      values.push(index, end.num, seq, entry);
    }
    await db.query('BEGIN');
    await db.query(
      `INSERT INTO entry (idx, chain, seq, entry) VALUES ${Array.from({ length: to - from }, () => '(?, ?, ?, ?)').join(', ')}`,
      values,
    );
    const { written, partialTiles } = growTiles(tip, tree);
    for (const { level, index, hashes } of written) {
      await db.query('INSERT OR REPLACE INTO tile (level, idx, hashes) VALUES (?, ?, ?)', [level, index, hashes]);
    }
    await db.query('COMMIT');
    tip = { ...tip, size: tree.size, partialTiles, frontier: tree.frontier() };
    tree.settle();
  }
  const root = Buffer.from(tree.root());
  await db.query('UPDATE log_head SET size = ?, root = ?, time = ?, checkpoint = ? WHERE id = 1', [
    size,
    root,
    time,
    key.checkpoint(size, root),
  ]);
}
