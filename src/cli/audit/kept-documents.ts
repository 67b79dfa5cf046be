/** Recognises the documents that people save as proof that something was recorded. */
import { isDeepStrictEqual } from 'node:util';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import { CHAIN_HEAD_HEADER } from '../../ledger/core/statements/chain-head-note.js';
import { isObject } from '../../ledger/core/jcs.js';

export type KeptDocument =
  /** Unchecked: `verifyReceipt` checks its form. */
  | { readonly kind: 'receipt'; readonly receipt: unknown }
  | { readonly kind: 'disclosure'; readonly disclosure: unknown }
  | { readonly kind: 'chain-head'; readonly note: string }
  /** Not a known document. */
  | { readonly kind: 'unknown' };

export interface Found {
  /** Empty: the file is an empty list. */
  readonly documents: readonly KeptDocument[];
  /** Names of the other members of an answer, which are not checked and prove nothing. */
  readonly beside: readonly string[];
}

const UNKNOWN: Found = { documents: [{ kind: 'unknown' }], beside: [] };

/**
 * Recognises receipts, disclosures and notes of chain heads, each alone or in the service's answer. An answer to a
 * write or of `/log/rotations` holds several receipts.
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
  // The service repeats the first receipt here; anybody else may have put in something different.
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

/** Members that are checked. `state` is only the server's claim; the check determines it anew. */
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
