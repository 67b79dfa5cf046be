import { type Db, together } from '../../database/db.js';
import { TILE_WIDTH } from '../core/tlog/tiles.js';
import { bytes, integer } from './cells.js';

/** Rows of `entry` in the order of their index, column by column, and the lowest tiles of the same range. */
export interface EntryPage {
  readonly idx: readonly number[];
  readonly chain: readonly number[];
  readonly seq: readonly number[];
  /** Each entry with a 0x00 before it: the input of its leaf hash (RFC 6962 section 2.1). */
  readonly bytes: Buffer;
  /** Offset in `bytes` at which each ends and the next begins. */
  readonly ends: readonly number[];
  readonly leafTiles: ReadonlyMap<number, Buffer>;
}

type Columns = Omit<EntryPage, 'leafTiles'>;

/** Reads the stored entries from `from` to `to - 1`; some may be missing. */
export async function readPage(db: Db, from: number, to: number): Promise<EntryPage> {
  const readColumns = async (): Promise<Columns> =>
    (db.dialect === 'sqlite' ? await readPacked(db, from, to) : null) ?? (await readRows(db, from, to));
  const [columns, leafTiles] = await together(db, readColumns, () => readLeafTiles(db, from, to));
  return { ...columns, leafTiles };
}

async function readLeafTiles(db: Db, from: number, to: number): Promise<Map<number, Buffer>> {
  const tiles = await db.query<{ idx: number; hashes: unknown }>(
    'SELECT idx, hashes FROM tile WHERE level = 0 AND idx >= ? AND idx < ?',
    [Math.floor(from / TILE_WIDTH), Math.ceil(to / TILE_WIDTH)],
  );
  return new Map(tiles.map(({ idx, hashes }) => [idx, bytes(hashes)]));
}

/** @returns null when the tile is not stored */
export async function readTile(db: Db, level: number, index: number): Promise<Buffer | null> {
  const [row] = await db.query<{ hashes: unknown }>('SELECT hashes FROM tile WHERE level = ? AND idx = ?', [
    level,
    index,
  ]);
  return row ? bytes(row.hashes) : null;
}

interface Packed {
  readonly count: number;
  /** Number of rows whose columns have the right types. */
  readonly sound: number;
  readonly idx: string | null;
  readonly chain: string | null;
  readonly seq: string | null;
  readonly lengths: string | null;
  readonly bytes: Buffer | null;
}

/**
 * Reads a page as one row, since an object per entry costs more than its hashes. A cast between text and blob keeps the
 * bytes.
 * @returns null when a column has a wrong type; the caller then reads row by row
 */
async function readPacked(db: Db, from: number, to: number): Promise<Columns | null> {
  const [row] = await db.query<Packed>(
    `SELECT count(*) AS count,
       total(typeof(chain) = 'integer' AND typeof(seq) = 'integer' AND typeof(entry) = 'blob') AS sound,
       group_concat(idx) AS idx, group_concat(chain) AS chain, group_concat(seq) AS seq,
       group_concat(length(entry)) AS lengths, CAST(group_concat(CAST(x'00' || entry AS TEXT), '') AS BLOB) AS bytes
     FROM (SELECT idx, chain, seq, entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx)`,
    [from, to],
  );
  if (!row || row.sound !== row.count) return null;
  const lengths = numbers(row.lengths);
  const ends: number[] = [];
  let end = 0;
  for (const length of lengths) ends.push((end += 1 + length));
  const stored = row.bytes ?? Buffer.alloc(0);
  const columns = { idx: numbers(row.idx), chain: numbers(row.chain), seq: numbers(row.seq), ends, bytes: stored };
  return stored.length === end && lengths.length === row.count ? columns : null;
}

const numbers = (list: string | null): number[] => JSON.parse(`[${list ?? ''}]`) as number[];

async function readRows(db: Db, from: number, to: number): Promise<Columns> {
  const rows = await db.query<Record<'idx' | 'chain' | 'seq' | 'entry', unknown>>(
    'SELECT idx, chain, seq, entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
    [from, to],
  );
  const prefix = Buffer.of(0);
  const parts = rows.map(({ entry }) => bytes(entry));
  let end = 0;
  return {
    idx: rows.map(({ idx }) => integer(idx)),
    chain: rows.map(({ chain }) => integer(chain)),
    seq: rows.map(({ seq }) => integer(seq)),
    ends: parts.map(({ length }) => (end += 1 + length)),
    bytes: Buffer.concat(parts.flatMap((part) => [prefix, part])),
  };
}
