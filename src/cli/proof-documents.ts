/** What people keep to show later that something was recorded: which kind a file holds. */
import { EncodingError, fromUtf8 } from '../ledger/core/bytes.js';
import { CHAIN_LIST_HEADER } from '../ledger/core/chain-head-list.js';
import { CHAIN_HEAD_HEADER } from '../ledger/core/chain-head.js';
import { isObject } from '../ledger/core/jcs.js';
import { parseTlogProof, type TlogProof, TlogProofError } from '../ledger/core/tlog-proof.js';

export type ProofDocument =
  /** As it was found: whether it has a receipt's form is for `verifyReceipt`. */
  | { readonly kind: 'receipt'; readonly receipt: unknown }
  | { readonly kind: 'disclosure'; readonly disclosure: unknown }
  | { readonly kind: 'tlog-proof'; readonly proof: TlogProof }
  | { readonly kind: 'chain-head'; readonly note: string }
  | { readonly kind: 'chain-list'; readonly note: string }
  /** Nothing that is known here. */
  | { readonly kind: 'unknown' };

const TLOG_PROOF = 'c2sp.org/tlog-proof@';
const UNKNOWN: readonly ProofDocument[] = [{ kind: 'unknown' }];

/**
 * A receipt, the answer to a write (all its receipts), what `/log/rotations` serves, a disclosure or the answer that
 * holds one (with its receipt), a tlog-proof, the note of a chain head or list, or the answer that holds such a note.
 */
export function documentsIn(file: Uint8Array): readonly ProofDocument[] {
  const text = textOf(file);
  if (text === null) return UNKNOWN;
  if (text.startsWith(TLOG_PROOF)) return [proofIn(text)];
  const note = noteIn(text);
  if (note) return [note];
  const value = jsonIn(text);
  if (!isObject(value)) return UNKNOWN;
  const { disclosure, ...answer } = value;
  if (disclosure !== undefined) return [{ kind: 'disclosure', disclosure }, ...receiptsIn(answer)];
  if (value['members'] !== undefined) return [{ kind: 'disclosure', disclosure: value }];
  const receipts = receiptsIn(value);
  if (receipts.length > 0) return receipts;
  const { items, note: answered, entry } = value;
  const rotations = Array.isArray(items) && items.every((item) => isObject(item) && item['entry'] !== undefined);
  if (rotations) return items.map((one) => ({ kind: 'receipt', receipt: one }));
  if (typeof answered === 'string') return [noteIn(answered) ?? { kind: 'unknown' }];
  return entry === undefined ? UNKNOWN : [{ kind: 'receipt', receipt: value }];
}

/** Of the answer to a write. */
function receiptsIn({ receipt, receipts }: Record<string, unknown>): readonly ProofDocument[] {
  if (Array.isArray(receipts) && receipts.length > 0) return receipts.map((one) => ({ kind: 'receipt', receipt: one }));
  return receipt === undefined ? [] : [{ kind: 'receipt', receipt }];
}

function noteIn(text: string): ProofDocument | null {
  if (text.startsWith(`${CHAIN_HEAD_HEADER}\n`)) return { kind: 'chain-head', note: text };
  return text.startsWith(`${CHAIN_LIST_HEADER}\n`) ? { kind: 'chain-list', note: text } : null;
}

function proofIn(text: string): ProofDocument {
  try {
    return { kind: 'tlog-proof', proof: parseTlogProof(text) };
  } catch (error) {
    if (error instanceof TlogProofError) return { kind: 'unknown' };
    throw error;
  }
}

function textOf(file: Uint8Array): string | null {
  try {
    return fromUtf8(file);
  } catch (error) {
    if (error instanceof EncodingError) return null;
    throw error;
  }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
