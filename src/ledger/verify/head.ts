import type { Db } from '../../database/db.js';
import { openCheckpoint } from '../core/tlog/checkpoint.js';
import { type HeadRow, readHead } from '../store/tip.js';
import { bytes, integer, text } from './cells.js';
import type { Findings } from './report.js';

/** A checkpoint whose signature holds. */
export interface Signed {
  readonly size: number;
  readonly root: Buffer;
}

export async function headToVerify(db: Db): Promise<HeadRow | null> {
  const row = await readHead(db);
  return (
    row && {
      origin: text(row.origin),
      vkey: text(row.vkey),
      size: integer(row.size),
      root: bytes(row.root),
      time: integer(row.time),
      checkpoint: text(row.checkpoint),
      read_models: integer(row.read_models),
    }
  );
}

/** @returns the checkpoint that the log's key signed; null when no signature is valid */
export function checkHead(head: HeadRow, vkey: string, findings: Findings): Signed | null {
  const wrong = (what: string): void => findings.add('tampered', 'log_head', {}, what);
  if (head.vkey !== vkey) wrong('vkey is not the one that is trusted');
  // A new database starts with time 0 (see openLedger): an empty log has no time.
  if (head.size === 0 && head.time !== 0) wrong('time is not that of an empty log');
  try {
    const { origin, size, root } = openCheckpoint(head.checkpoint, vkey);
    if (origin !== head.origin) wrong('origin is not the one that is signed');
    if (size !== head.size) wrong('size is not the one that is signed');
    if (!Buffer.from(root).equals(head.root)) wrong('root is not the one that is signed');
    return { size, root: Buffer.from(root) };
  } catch {
    wrong("checkpoint is not signed by the log's key");
    return null;
  }
}

/** @returns the head file's last checkpoint; null when none of the keys signed one */
export function rememberedCheckpoint(note: string | null, vkeys: readonly string[], findings: Findings): Signed | null {
  if (note === null) return null;
  for (const vkey of vkeys) {
    try {
      const { size, root } = openCheckpoint(note, vkey);
      return { size, root: Buffer.from(root) };
    } catch {
      // Another of the keys may have signed it.
    }
  }
  findings.add('tampered', 'head file', {}, "its last checkpoint is not signed by the log's key");
  return null;
}

/** Entries that are looked for beyond twice the stored rows. */
const GAP = 2000;

/**
 * The number of entries to verify: the signed size or, without a valid signature, the head's size. A size far beyond
 * the stored rows is cut: whoever forges it could otherwise keep `verify` busy for ever.
 */
export async function sizeToVerify(db: Db, head: HeadRow, signed: Signed | null, findings: Findings): Promise<number> {
  const [row] = await db.query<{ n: number }>('SELECT count(*) AS n FROM entry');
  const stored = row?.n ?? 0;
  const most = 2 * stored + GAP;
  const size = signed?.size ?? head.size;
  if (size >= 0 && size <= most) return size;
  if (size > most) {
    findings.add('missing', 'entry', { index: most }, `neither this entry nor any up to ${size} is there`);
    return most;
  }
  findings.add('tampered', 'log_head', {}, 'size is not a number of entries');
  return stored;
}

/**
 * Whether the read models were made by this program's version of the chain models. Other versions have other rows or
 * columns and cannot be compared.
 */
export function hasReadModelsOf(version: number, head: HeadRow, findings: Findings): boolean {
  const { read_models: made } = head;
  if (made === version) return true;
  if (!(made >= 0)) findings.add('tampered', 'log_head', {}, 'read_models is not a version');
  else
    findings.add(
      'missing',
      'log_head',
      {},
      `the lists are of version ${made}, this program's of version ${version}: ${
        made < version ? '`rxledger rebuild` makes them anew' : 'verify with the newer program'
      }`,
    );
  return false;
}
