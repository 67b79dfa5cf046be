import { isObject } from '../../ledger/core/jcs.js';
import { verifyDisclosure } from '../../ledger/core/record/disclosure.js';
import type { PublicJwk } from '../../ledger/core/record/public-key.js';
import { type Receipt, verifyReceipt } from '../../ledger/core/record/receipt.js';
import { STATED, type ShownSignature, shownSignature } from '../../ledger/core/record/statement.js';
import { verifyChainHead } from '../../ledger/core/statements/chain-head-note.js';
import { compareWithHead } from '../../ledger/core/statements/compare-heads.js';
import { policyFor } from '../../ledger/core/statements/key-rotation.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { SIGNABLE_ON_LOG } from '../../ledger/log-chain/actor-keys.js';
import { SIGNABLE_ON_PRESCRIPTION, SIGNABLE_ON_SUPPLY } from '../../prescription/signable.js';
import { UsageError } from '../terminal.js';
import type { CheckedDocument, DocumentComparison, DocumentFault } from './document-report.js';
import type { KeptDocument } from './kept-documents.js';
import type { Pinned } from './pinned.js';

/** @throws {UsageError} when the option with the trusted key for this kind of document is missing */
export function checkDocument(file: string, document: KeptDocument, pinned: Pinned): CheckedDocument {
  const { kind } = document;
  if (kind === 'unknown') return { file, kind, ok: false, reason: 'form' };
  if (kind === 'chain-head') {
    if (!pinned.chainHeadKey) throw new UsageError(`${file} is checked with --chain-head-vkey <vkey>`);
    const result = verifyChainHead(document.note, pinned.chainHeadKey);
    return result.ok ? { file, kind, ok: true, shown: result.head } : { file, kind, ...result };
  }
  if (!pinned.policy) throw new UsageError(`${file} is checked with --vkey <vkey> or --policy <file>`);
  const content = kind === 'receipt' ? document.receipt : document.disclosure;
  const policy = policyFor(pinned.policy, pinned.rotations, checkpointIn(content));
  return kind === 'receipt'
    ? checkReceipt(file, content as Receipt, policy, pinned.actorKeys)
    : checkDisclosure(file, content, policy, pinned.actorKeys);
}

type ActorKeys = readonly PublicJwk[] | null;

function checkDisclosure(file: string, disclosure: unknown, policy: Policy, actorKeys: ActorKeys): CheckedDocument {
  const kind = 'disclosure';
  const result = verifyDisclosure(disclosure, policy);
  if (!result.ok) return { file, kind, ...result };
  const { disclosed, withheld, entry } = result;
  const isWhole = STATED.every((name) => Object.hasOwn(disclosed, name)) && !withheld.includes('signature');
  const signature = isWhole ? shownSignature(disclosed, entry, actorKeys ?? []) : undefined;
  const fault = actorKeys && signatureFault(signature, disclosed);
  if (fault) return { file, kind, ok: false, reason: fault };
  return { file, kind, ok: true, shown: result, ...(signature && { signature }) };
}

function checkReceipt(file: string, receipt: Receipt, policy: Policy, actorKeys: ActorKeys): CheckedDocument {
  const kind = 'receipt';
  const result = verifyReceipt(receipt, policy);
  if (!result.ok) return { file, kind, ...result };
  const { payload, entry } = result;
  const signature = payload ? shownSignature(payload, entry, actorKeys ?? []) : undefined;
  const fault = actorKeys && signatureFault(signature, payload);
  if (fault) return { file, kind, ok: false, reason: fault };
  return { file, kind, ok: true, shown: result, ...(signature && { signature }) };
}

/** The note in a receipt or a disclosure; empty when there is none. */
function checkpointIn(content: unknown): string {
  const checkpoint = isObject(content) ? content['checkpoint'] : undefined;
  return typeof checkpoint === 'string' ? checkpoint : '';
}

/** @returns why the actor's signature is not proved; null when it is, or when such events are not signed */
function signatureFault(
  signature: ShownSignature | undefined,
  shown: Readonly<Record<string, unknown>> | null | undefined,
): DocumentFault | null {
  if (!signature || !shown || (signature.state === 'none' && shown['kind'] === undefined)) return 'actor-unknown';
  if (signature.state === 'holds' || (signature.state === 'none' && !isSignable(shown))) return null;
  return 'actor-signature';
}

/** Signable event types by kind of chain, from the chain models. */
export const SIGNABLE: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['prescription', SIGNABLE_ON_PRESCRIPTION],
  ['supply', SIGNABLE_ON_SUPPLY],
  ['log', SIGNABLE_ON_LOG],
]);

/** Whether actors with a key sign such an event. The server adds consequences unsigned. */
function isSignable({ kind, type }: Readonly<Record<string, unknown>>): boolean {
  return SIGNABLE.get(kind)?.includes(String(type)) ?? false;
}

/** Compares every valid receipt and disclosure with every valid head of its chain. */
export function comparisonsOf(
  results: readonly CheckedDocument[],
  names: Pick<Policy, 'continued'>,
): DocumentComparison[] {
  return results.flatMap((held) => {
    if (!held.ok || held.kind === 'chain-head') return [];
    return results.flatMap((head): DocumentComparison[] => {
      if (!head.ok || head.kind !== 'chain-head') return [];
      const comparison = compareWithHead(held.shown, head.shown, names);
      const pair = { receipt: held.file, against: head.file, chain: held.shown.entry.chain };
      return comparison === 'unrelated' ? [] : [{ ...pair, comparison }];
    });
  });
}
