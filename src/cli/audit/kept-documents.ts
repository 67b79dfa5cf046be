/** What people keep to show later that something was recorded, and which kind of it a file holds. */
import { isDeepStrictEqual } from 'node:util';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import { CHAIN_HEAD_HEADER } from '../../ledger/core/statements/chain-head-note.js';
import { isObject } from '../../ledger/core/jcs.js';

export type KeptDocument =
  /** As it was found: `verifyReceipt` says whether it has a receipt's form. */
  | { readonly kind: 'receipt'; readonly receipt: unknown }
  | { readonly kind: 'disclosure'; readonly disclosure: unknown }
  | { readonly kind: 'chain-head'; readonly note: string }
  /** No document that is known here. */
  | { readonly kind: 'unknown' };

/** What a file holds. */
export interface Found {
  /** Empty: the file is an empty list. */
  readonly documents: readonly KeptDocument[];
  /** Names of the other members of an answer: they prove nothing, and nobody checks them. */
  readonly beside: readonly string[];
}

const UNKNOWN: Found = { documents: [{ kind: 'unknown' }], beside: [] };

/**
 * Knows a receipt, the answer to a write (all its receipts), what `/log/rotations` serves, a disclosure, an answer that
 * holds a disclosure (with its receipt), the note of a chain head, and the answer that holds such a note.
 */
export function documentsIn(file: Uint8Array): Found {
  const text = textOf(file);
  if (text === null) return UNKNOWN;
  const note = noteIn(text);
  if (note) return { documents: [note], beside: [] };
  const value = jsonIn(text);
  return isObject(value) ? documentsOf(value) : UNKNOWN;
}

function documentsOf(value: Record<string, unknown>): Found {
  const { disclosure, receipt, receipts, note, items } = value;
  if (value['members'] !== undefined)
    return { documents: [{ kind: 'disclosure', disclosure: value }], beside: othersIn(value, DISCLOSURE) };
  const used = new Map<string, readonly KeptDocument[]>();
  if (disclosure !== undefined) used.set('disclosure', [{ kind: 'disclosure', disclosure }]);
  const all: readonly unknown[] = Array.isArray(receipts) ? receipts : [];
  if (all.length > 0) used.set('receipts', all.map(asReceipt));
  // The service puts the first of them here again; somebody else may have put anything.
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

const asReceipt = (receipt: unknown): KeptDocument => ({ kind: 'receipt', receipt });

/** Members that are checked. `state` is the server's word, which the check finds out anew. */
const EITHER = ['v', 'log', 'index', 'entry', 'proof', 'checkpoint', 'state'];
const RECEIPT = new Set([...EITHER, 'payload', 'salt']);
const DISCLOSURE = new Set([...EITHER, 'members']);

function othersInDocument(document: KeptDocument): string[] {
  if (document.kind === 'receipt') return othersIn(document.receipt, RECEIPT).map((name) => `receipt.${name}`);
  if (document.kind !== 'disclosure') return [];
  return othersIn(document.disclosure, DISCLOSURE).map((name) => `disclosure.${name}`);
}

const othersIn = (document: unknown, own: ReadonlySet<string>): string[] =>
  isObject(document) ? Object.keys(document).filter((name) => !own.has(name)) : [];

function noteIn(text: string): KeptDocument | null {
  return text.startsWith(`${CHAIN_HEAD_HEADER}\n`) ? { kind: 'chain-head', note: text } : null;
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
