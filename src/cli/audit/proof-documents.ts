/** What people keep to show later that something was recorded: which kind a file holds. */
import { isDeepStrictEqual } from 'node:util';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import { CHAIN_LIST_HEADER } from '../../ledger/core/statements/chain-list-note.js';
import { CHAIN_HEAD_HEADER } from '../../ledger/core/statements/chain-head-note.js';
import { isObject } from '../../ledger/core/jcs.js';
import { parseTlogProof, type TlogProof, TlogProofError } from '../../ledger/core/tlog/tlog-proof.js';

export type ProofDocument =
  /** As it was found: whether it has a receipt's form is for `verifyReceipt`. */
  | { readonly kind: 'receipt'; readonly receipt: unknown }
  | { readonly kind: 'disclosure'; readonly disclosure: unknown }
  | { readonly kind: 'tlog-proof'; readonly proof: TlogProof }
  | { readonly kind: 'chain-head'; readonly note: string }
  | { readonly kind: 'chain-list'; readonly note: string }
  /** Nothing that is known here. */
  | { readonly kind: 'unknown' };

/** What a file holds. */
export interface Found {
  /** None: the file is a list that is empty. */
  readonly documents: readonly ProofDocument[];
  /** Names of what else stands in an answer: it proves nothing, and nobody checks it. */
  readonly beside: readonly string[];
}

const TLOG_PROOF = 'c2sp.org/tlog-proof@';
const UNKNOWN: Found = { documents: [{ kind: 'unknown' }], beside: [] };

/**
 * A receipt, the answer to a write (all its receipts), what `/log/rotations` serves, a disclosure or the answer that
 * holds one (with its receipt), a tlog-proof, the note of a chain head or list, or the answer that holds such a note.
 */
export function documentsIn(file: Uint8Array): Found {
  const text = textOf(file);
  if (text === null) return UNKNOWN;
  if (text.startsWith(TLOG_PROOF)) return { documents: [proofIn(text)], beside: [] };
  const note = noteIn(text);
  if (note) return { documents: [note], beside: [] };
  const value = jsonIn(text);
  return isObject(value) ? documentsOf(value) : UNKNOWN;
}

function documentsOf(value: Record<string, unknown>): Found {
  const { disclosure, receipt, receipts, note, items } = value;
  if (value['members'] !== undefined)
    return { documents: [{ kind: 'disclosure', disclosure: value }], beside: othersIn(value, DISCLOSURE) };
  const used = new Map<string, readonly ProofDocument[]>();
  if (disclosure !== undefined) used.set('disclosure', [{ kind: 'disclosure', disclosure }]);
  const all: readonly unknown[] = Array.isArray(receipts) ? receipts : [];
  if (all.length > 0) used.set('receipts', all.map(asReceipt));
  // The first of them, or whatever somebody made of it.
  const isAmong = all.some((one) => isDeepStrictEqual(one, receipt));
  if (receipt !== undefined) used.set('receipt', isAmong ? [] : [asReceipt(receipt)]);
  const said = typeof note === 'string' ? noteIn(note) : null;
  if (said) used.set('note', [said]);
  const isList = Array.isArray(items) && items.every((item) => isObject(item) && item['entry'] !== undefined);
  if (used.size === 0 && isList) used.set('items', items.map(asReceipt));
  if (used.size > 0) {
    const documents = [...used.values()].flat();
    const beside = Object.keys(value).filter((name) => !used.has(name));
    return { documents, beside: [...beside, ...documents.flatMap(othersInDocument)] };
  }
  if (value['entry'] === undefined) return UNKNOWN;
  return { documents: [asReceipt(value)], beside: othersIn(value, RECEIPT) };
}

const asReceipt = (receipt: unknown): ProofDocument => ({ kind: 'receipt', receipt });

/** Members that are checked; `state` is what the server said of it, and is found out anew. */
const EITHER = ['v', 'log', 'index', 'entry', 'proof', 'checkpoint', 'state'];
const RECEIPT = new Set([...EITHER, 'payload', 'salt']);
const DISCLOSURE = new Set([...EITHER, 'members']);

function othersInDocument(document: ProofDocument): string[] {
  if (document.kind === 'receipt') return othersIn(document.receipt, RECEIPT).map((name) => `receipt.${name}`);
  if (document.kind !== 'disclosure') return [];
  return othersIn(document.disclosure, DISCLOSURE).map((name) => `disclosure.${name}`);
}

const othersIn = (document: unknown, own: ReadonlySet<string>): string[] =>
  isObject(document) ? Object.keys(document).filter((name) => !own.has(name)) : [];

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
