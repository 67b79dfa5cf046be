import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Db } from '../../database/db.js';
import { utf8 } from '../core/bytes.js';
import { cosignedText, KEY_TYPE, parseVerifierKey, splitNote, type VerifierKey } from '../core/tlog/note.js';
import { integer, text } from './cells.js';
import type { Findings } from './report.js';

/** Rows that are read together. */
const PAGE = 1000;
/** DER of an Ed25519 public key up to its 32 bytes (RFC 8410 section 4). */
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');
const TIME_BYTES = 8;

interface Witness {
  readonly key: VerifierKey;
  readonly publicKey: KeyObject;
}

/**
 * Checks that every cosignature is by the witness that its row names, on the published checkpoint of its size. The
 * policy, not the database, decides which witnesses count. A removed cosignature leaves no trace: the checkpoint just
 * has one less.
 */
export async function verifyCosignatures(db: Db, findings: Findings): Promise<void> {
  const witnesses = new Map<string, Witness | null>();
  let [size, witness] = [Number.MIN_SAFE_INTEGER, ''];
  for (;;) {
    const rows = await db.query<Record<'size' | 'witness' | 'line' | 'checkpoint', unknown>>(
      `SELECT c.size, c.witness, c.line, p.checkpoint FROM cosignature c LEFT JOIN published p ON p.size = c.size
       WHERE c.size > ? OR (c.size = ? AND c.witness > ?) ORDER BY c.size, c.witness LIMIT ?`,
      [size, size, witness, PAGE],
    );
    for (const row of rows) {
      const vkey = text(row.witness);
      if (!witnesses.has(vkey)) witnesses.set(vkey, witnessOf(vkey));
      const by = witnesses.get(vkey) ?? null;
      const where = { size: integer(row.size), witness: by?.key.name ?? 'unreadable' };
      const wrong = (what: string): void => findings.add('tampered', 'cosignature', where, what);
      if (!by) wrong('witness is not the verifier key of a witness');
      else if (row.checkpoint === null) wrong('there is no published checkpoint of this size');
      else if (!holds(by, text(row.checkpoint), text(row.line)))
        wrong("is not that witness's of the published checkpoint");
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    [size, witness] = [integer(last.size), text(last.witness)];
  }
}

function witnessOf(vkey: string): Witness | null {
  try {
    const key = parseVerifierKey(vkey);
    if (key.type !== KEY_TYPE.cosignature) return null;
    const der = Buffer.concat([SPKI_ED25519, key.publicKey]);
    return { key, publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
  } catch {
    return null;
  }
}

function holds({ key, publicKey }: Witness, checkpoint: string, line: string): boolean {
  try {
    const { text: signed } = splitNote(checkpoint);
    const note = splitNote(`${checkpoint}${line}\n`);
    const last = note.lines.at(-1);
    // The column must hold exactly one line: two would be served as two.
    if (note.text !== signed || last?.line !== line || last.name !== key.name) return false;
    if (!Buffer.from(last.id).equals(Buffer.from(key.keyId))) return false;
    const time = Buffer.from(last.signature).readBigUInt64BE();
    return verify(null, utf8(cosignedText(signed, time)), publicKey, last.signature.subarray(TIME_BYTES));
  } catch {
    return false;
  }
}
