import type { Receipt } from '../core/record/receipt.js';
import type { Db } from '../../database/db.js';
import { inclusionProof } from '../core/tlog/merkle.js';
import { publishedAt } from '../rows/published.js';
import { disclosed, openClear } from '../store/payload.js';
import type { TileProofs } from './stored-proofs.js';

/**
 * The receipt of an event that replaced the log's key or name, under the first checkpoint that contains it.
 * @param origin the log's name in that checkpoint
 * @returns null when that checkpoint is not stored
 * @throws VaultError, PayloadError, EntryError when the payload does not match its entry's commitment
 */
export async function moveReceipt(db: Db, proofs: TileProofs, origin: string, index: number): Promise<Receipt | null> {
  const [row] = await db.query<{ entry: Buffer; body: Buffer }>(
    'SELECT e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx WHERE e.idx = ?',
    [index],
  );
  const checkpoint = await publishedAt(db, index + 1);
  if (!row || checkpoint === null) return null;
  openClear(row.entry, row.body);
  const proof = await proofs.prove((hasher, nodeAt) => inclusionProof(hasher, index, index + 1, nodeAt));
  return {
    v: 1,
    log: origin,
    index,
    entry: row.entry.toString('base64'),
    proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
    checkpoint,
    ...disclosed(row.body),
  };
}
