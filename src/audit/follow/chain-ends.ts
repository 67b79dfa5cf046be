import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SqliteError, SqliteFile } from '../../sqlite/sqlite-file.js';
import { HASH_BYTES } from '../../ledger/core/hasher.js';
import { GrowingTree } from '../../ledger/core/tlog/merkle.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import type { ChainEnd, LogSoFar } from './entry-rules.js';

/** The follower's folder cannot be used; the message says why. */
export class FollowFolderError extends Error {
  override readonly name = 'FollowFolderError';
}

const ID_BYTES = 16;
const ROW_BYTES = ID_BYTES + HASH_BYTES;
/** SQLite's page cache, KiB. It bounds the memory whatever the length of the log. */
const CACHE_KIB = 32_768;

const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS progress (
     id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, time TEXT NOT NULL, frontier BLOB NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS chain (
     id BLOB PRIMARY KEY, seq INTEGER NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL) WITHOUT ROWID`,
];

/** How far the entries are checked. */
export interface Progress extends LogSoFar {
  /** The tree of that size, rebuilt from the entries. */
  readonly tree: GrowingTree;
}

/**
 * A follower's progress, in `follow.sqlite` of its folder: the tree's size and frontier, and the last entry of every
 * chain. Chains are on disk because there may be millions. Each step is one transaction, durable before it resolves.
 */
export class FollowStore {
  private constructor(private readonly db: SqliteFile) {}

  /** Locks the folder for this process. @throws {FollowFolderError} when another process has it */
  static async open(folder: string): Promise<FollowStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    let db: SqliteFile | null = null;
    try {
      db = await SqliteFile.open(join(folder, 'follow.sqlite'));
      for (const pragma of [
        'locking_mode = EXCLUSIVE',
        'journal_mode = WAL',
        'synchronous = FULL',
        `cache_size = -${CACHE_KIB}`,
      ])
        await db.query(`PRAGMA ${pragma}`);
      for (const statement of SCHEMA) await db.query(statement);
      return new FollowStore(db);
    } catch (error) {
      await db?.close();
      if (!(error instanceof SqliteError)) throw error;
      if (error.code === 'SQLITE_BUSY') throw new FollowFolderError('another process runs on this folder');
      throw new FollowFolderError(`follow.sqlite cannot be used (${error.code})`);
    }
  }

  async close(): Promise<void> {
    await this.db.close();
  }

  async progress(): Promise<Progress> {
    const [row] = await this.db.query<{ size: number; time: string; frontier: Buffer }>(
      'SELECT size, time, frontier FROM progress',
    );
    if (!row) return { size: 0, time: '', tree: new GrowingTree(nodeHasher) };
    const frontier = Array.from({ length: row.frontier.length / HASH_BYTES }, (_, at) =>
      row.frontier.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
    );
    return { size: row.size, time: row.time, tree: new GrowingTree(nodeHasher, row.size, frontier) };
  }

  /** @param ids chains, each once @returns the last entries of those that are known */
  async ends(ids: readonly string[]): Promise<Map<string, ChainEnd>> {
    const keys = Buffer.concat(ids.map(idBytes));
    const rows = await this.db.query<{ at: number; seq: number; idx: number; leaf: Buffer }>(
      `SELECT k.value AS at, seq, idx, leaf FROM json_each(?) k
       JOIN chain ON chain.id = substr(?, k.value * ${ID_BYTES} + 1, ${ID_BYTES})`,
      [JSON.stringify([...ids.keys()]), keys],
    );
    return new Map(rows.map(({ at, seq, idx, leaf }) => [ids[at]!, { seq, leaf, index: idx }]));
  }

  /** Records progress up to this tree. @param ends the new last entries of the chains that have grown */
  async advance(tree: GrowingTree, time: string, ends: ReadonlyMap<string, ChainEnd>): Promise<void> {
    const bytes = Buffer.concat([...ends].flatMap(([id, { leaf }]) => [idBytes(id), leaf]));
    const numbers = [...ends.values()].map(({ seq, index }) => [seq, index]);
    const frontier = Buffer.concat(tree.frontier());
    await this.db.query('BEGIN IMMEDIATE');
    try {
      await this.db.query(
        `INSERT INTO chain (id, seq, idx, leaf)
         SELECT substr(b.bytes, e.key * ${ROW_BYTES} + 1, ${ID_BYTES}), e.value ->> 0, e.value ->> 1,
                substr(b.bytes, e.key * ${ROW_BYTES} + ${ID_BYTES + 1}, ${HASH_BYTES})
         FROM (SELECT ? AS bytes) b, json_each(?) e WHERE true ORDER BY 1
         ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, idx = excluded.idx, leaf = excluded.leaf`,
        [bytes, JSON.stringify(numbers)],
      );
      await this.db.query('INSERT OR REPLACE INTO progress (id, size, time, frontier) VALUES (1, ?, ?, ?)', [
        tree.size,
        time,
        frontier,
      ]);
      await this.db.query('COMMIT');
    } catch (error) {
      await this.db.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}

const idBytes = (id: string): Buffer => Buffer.from(id.replaceAll('-', ''), 'hex');
