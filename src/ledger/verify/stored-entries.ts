import { setImmediate } from 'node:timers/promises';
import { type Db, together } from '../../database/db.js';
import { toBase64 } from '../core/bytes.js';
import { TILE_WIDTH } from '../core/tlog/tiles.js';
import type { KeyHistory } from '../read/key-history.js';
import { integer } from './cells.js';
import { type EntryAudit, TileAudit } from './entries.js';
import { type EntryPage, readPage, readTile } from './entry-pages.js';
import type { Signed } from './head.js';
import type { PublishedAudit } from './published.js';
import { Findings } from './report.js';

/** Entries that are read together: whole tiles. */
const PAGE = 16 * TILE_WIDTH;

/**
 * Checks every stored entry and tile up to a size: the tree is rebuilt from the entries as stored.
 * @param signed the checkpoint that the log's key signed; null when no signature is valid
 * @param remembered last checkpoint of the head file
 */
export async function verifyEntries(
  db: Db,
  size: number,
  audit: EntryAudit,
  signed: Signed | null,
  remembered: Signed | null,
  history: KeyHistory,
  published: PublishedAudit,
  findings: Findings,
  progress: (done: number) => void,
): Promise<void> {
  const tileFindings = new Findings();
  const moves = new Map(history.moves.map((move) => [move.size, move]));
  const atSize = (): void => {
    published.at(audit.tree);
    if (remembered && audit.tree.size === remembered.size && !audit.tree.root().equals(remembered.root)) {
      findings.add(
        'tampered',
        'head file',
        { size: remembered.size },
        'the log differs from the checkpoint that it remembers',
      );
    }
    const move = moves.get(audit.tree.size);
    if (move && !audit.tree.root().equals(move.root))
      findings.add('tampered', 'payload', { index: move.size }, 'replaces the key of another tree');
  };
  const read = async (from: number): Promise<EntryPage> => {
    const to = Math.min(from + PAGE, size);
    const entries = () => readPage(db, from, to);
    const [page] = await together(db, entries, () => published.read(from, to));
    return page;
  };
  await published.read(-1, 0);
  let page = await read(0);
  const tiles = new TileAudit(async (level, index) => {
    const found = level === 0 ? page.leafTiles.get(index) : undefined;
    return found ?? readTile(db, level, index);
  }, tileFindings);
  atSize();
  for (let from = 0; from < size; from += PAGE) {
    const to = Math.min(from + PAGE, size);
    // The next page is read while this one is hashed. No other query may run on this connection meanwhile.
    const [next] = await Promise.all([to < size ? read(to) : null, takePage(page, from, to, audit, findings, atSize)]);
    await tiles.take(audit.tree);
    page = next ?? page;
    progress(to);
  }
  await tiles.finish(audit.tree);
  await published.finish(size);
  const root = audit.tree.root();
  if (signed && !root.equals(signed.root)) {
    findings.add('tampered', 'entry', {}, 'the entries do not give the root that is signed');
    for (const index of tiles.differing)
      findings.add('tampered', 'entry', { index }, 'is not the entry that the tree holds');
  } else {
    // The entries match the signed root, so a differing tile was edited.
    for (const { kind, table, where, what } of tileFindings.listed) findings.add(kind, table, where, what);
  }
  await findStrays(db, size, tiles.tiles, findings);
}

async function takePage(
  { idx, chain, seq, ends, bytes: stored, leafTiles }: EntryPage,
  from: number,
  to: number,
  audit: EntryAudit,
  findings: Findings,
  atSize: () => void,
): Promise<void> {
  const text = stored.toString('latin1');
  let at = 0;
  for (let index = from; index < to; index++) {
    // The pending query needs turns of the event loop to make progress.
    if (index % TILE_WIDTH === 0) await setImmediate();
    if (idx[at] !== index) {
      findings.add('missing', 'entry', { index }, 'there is no such entry');
      // The tile's hash in place of the missing leaf lets the rest of the tree be checked.
      const tile = leafTiles.get(Math.floor(index / TILE_WIDTH));
      const leaf = tile?.subarray((index % TILE_WIDTH) * 32, (index % TILE_WIDTH) * 32 + 32);
      audit.tree.append(toBase64(leaf?.length === 32 ? leaf : new Uint8Array(32)));
    } else {
      const taken = audit.take(stored, text, ends[at - 1] ?? 0, ends[at]);
      if (taken.end && chain[at] !== taken.end.num)
        findings.add('tampered', 'entry', { index }, 'column chain is not that of its chain');
      if (taken.seq !== null && seq[at] !== taken.seq)
        findings.add('tampered', 'entry', { index }, 'column seq is not that of the entry');
      at++;
    }
    atSize();
  }
}

/** Reports rows that do not belong to the signed log. */
async function findStrays(db: Db, size: number, expectedTiles: number, findings: Findings): Promise<void> {
  const beyond = await db.query<{ idx: number }>(
    'SELECT idx FROM entry WHERE idx >= ? OR idx < 0 ORDER BY idx LIMIT 50',
    [size],
  );
  for (const { idx } of beyond)
    findings.add('tampered', 'entry', { index: integer(idx) }, 'stands beyond the log head');
  const all = await db.query<Record<'level' | 'idx', unknown>>('SELECT level, idx FROM tile ORDER BY level, idx');
  if (all.length <= expectedTiles) return;
  for (const tile of all) {
    const [level, index] = [integer(tile.level), integer(tile.idx)];
    if (!(level >= 0 && index >= 0 && index * 256 < Math.floor(size / 256 ** level)))
      findings.add('tampered', 'tile', { level, index }, 'stands beyond the log head');
  }
}
