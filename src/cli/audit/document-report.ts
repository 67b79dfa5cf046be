/** The report of `rxledger audit proof` on saved files, each one alone and compared with the others. */
import { toBase64 } from '../../ledger/core/bytes.js';
import type { DisclosureReason, VerifiedDisclosure } from '../../ledger/core/record/disclosure.js';
import type { ReceiptReason, VerifiedReceipt } from '../../ledger/core/record/receipt.js';
import type { ShownSignature } from '../../ledger/core/record/statement.js';
import type { ChainHeadReason, SignedChainHead } from '../../ledger/core/statements/chain-head-note.js';
import type { Comparison } from '../../ledger/core/statements/compare-heads.js';

export type DocumentFault = ReceiptReason | DisclosureReason | ChainHeadReason | 'actor-signature' | 'actor-unknown';

export type CheckedDocument = { readonly file: string } & (
  | {
      readonly ok: true;
      readonly kind: 'receipt';
      readonly shown: VerifiedReceipt;
      /** The actor's signature; absent when the payload is not in the receipt. */
      readonly signature?: ShownSignature;
    }
  | {
      readonly ok: true;
      readonly kind: 'disclosure';
      readonly shown: VerifiedDisclosure;
      /** The actor's signature; absent when a member that it covers is withheld. */
      readonly signature?: ShownSignature;
    }
  | { readonly ok: true; readonly kind: 'chain-head'; readonly shown: SignedChainHead }
  | { readonly ok: false; readonly kind: string; readonly reason: DocumentFault }
);

/** A receipt or a disclosure compared with a chain head. */
export interface DocumentComparison {
  readonly receipt: string;
  readonly against: string;
  readonly chain: string;
  readonly comparison: Exclude<Comparison, 'unrelated'>;
}

/** Members of a file that are not documents to check. */
export interface Unchecked {
  readonly file: string;
  readonly members: readonly string[];
}

export interface CheckedFiles {
  readonly results: readonly CheckedDocument[];
  readonly unchecked: readonly Unchecked[];
  readonly comparisons: readonly DocumentComparison[];
}

const REASONS: Readonly<Record<DocumentFault, string>> = {
  form: 'it is not a receipt, a disclosure or a chain head, or its form is broken',
  checkpoint: 'no trusted log has signed the checkpoint, or a signature on it by a known key does not hold',
  log: 'it belongs to another log than the key or the policy, or to an earlier name of this log (--continued)',
  entry: 'the bytes are no entry',
  inclusion: "the entry does not stand at that index in the checkpoint's tree",
  payload: 'the payload is not what the entry commits to',
  members: 'the members are not those that the entry commits to',
  quorum: 'the witnesses that the policy demands have not cosigned the checkpoint',
  signature: 'the key of chain heads has not signed it',
  'actor-unknown': 'it does not show what its actor said, so that no signature can be checked',
  'actor-signature': 'the key that the actor gave you has not signed what it says',
};

const COMPARISONS: Readonly<Record<DocumentComparison['comparison'], string>> = {
  agrees: 'agrees',
  older: 'nothing follows: the chain head was signed before the entry was recorded; ask for a newer one',
  withheld: 'the entry stood in the log when the chain head was signed, and the head leaves it out',
  differs: 'the chain head and the receipt cannot both be true: the past of the chain was rewritten',
};

const AT_FAULT: ReadonlySet<DocumentComparison['comparison']> = new Set(['withheld', 'differs']);

/** Whether there is at least one document, all are valid, and no entry is withheld. */
export function holds({ results, comparisons }: CheckedFiles): boolean {
  return (
    results.length > 0 &&
    results.every(({ ok }) => ok) &&
    !comparisons.some(({ comparison }) => AT_FAULT.has(comparison))
  );
}

/** The report as one JSON value: bytes in base64, times of witnesses in RFC 3339. */
export function inJson(checked: CheckedFiles): object {
  const { results, unchecked, comparisons } = checked;
  return { ok: holds(checked), results: results.map(resultInJson), unchecked, comparisons };
}

function resultInJson(result: CheckedDocument): object {
  if (!result.ok) return result;
  const { file, kind, ok } = result;
  if (result.kind === 'chain-head') {
    return { file, kind, ok, ...result.shown, leaf: toBase64(result.shown.leaf) };
  }
  const { state, log, entry, index, size, witnesses } = result.shown;
  const { chain, seq, time } = entry;
  return {
    file,
    kind,
    ok,
    state,
    log,
    size,
    index,
    entry: { chain, seq, time, ...(entry.log !== log && { log: entry.log }) },
    witnesses: witnesses.map(({ name, key, time: seconds }) => ({ name, key: key.name, time: instant(seconds) })),
    ...contentInJson(result),
  };
}

function contentInJson(result: Extract<CheckedDocument, { shown: { entry: object } }>): object {
  const { signature } = result;
  const signed = signature && signature.state !== 'none' && { signature };
  if (result.kind === 'disclosure')
    return { disclosed: result.shown.disclosed, withheld: result.shown.withheld, ...signed };
  const { payload } = result.shown;
  return { ...(payload && { payload }), ...signed };
}

/** The report as lines for people. */
export function inWords({ results, unchecked, comparisons }: CheckedFiles): string[] {
  return [
    ...results.flatMap(resultInWords),
    ...unchecked.map(({ file, members }) => `not checked in ${file}: ${members.join(', ')}`),
    ...comparisons.map(({ receipt, against, chain, comparison }) => {
      const bad = AT_FAULT.has(comparison) ? `DOES NOT HOLD (${comparison})  ` : '';
      return `${bad}${receipt} and ${against}, chain ${chain}: ${COMPARISONS[comparison]}`;
    }),
  ].map(visible);
}

function resultInWords(result: CheckedDocument): string[] {
  const { file } = result;
  if (!result.ok) return [`DOES NOT HOLD (${result.reason})  ${file}: ${REASONS[result.reason]}`];
  if (result.kind === 'chain-head') {
    const { origin, chain, seq, size } = result.shown;
    return [`holds: ${file}`, `  signed: in ${origin} at ${size} entries, chain ${chain} ended with seq ${seq}`];
  }
  const { state, log, entry, index, size, witnesses } = result.shown;
  return [
    `holds: ${file}`,
    `  ${state}: ${log}, ${size} entries`,
    ...(entry.log === log ? [] : [`  recorded when the log was ${entry.log}`]),
    ...witnesses.map(({ name, key, time }) => `  cosigned by ${name} (${key.name}) at ${instant(time)}`),
    `  entry   chain ${entry.chain}, seq ${entry.seq}, time ${entry.time}, index ${index}`,
    ...contentInWords(result),
  ];
}

function contentInWords(result: Extract<CheckedDocument, { shown: { entry: object } }>): string[] {
  if (result.kind !== 'disclosure') {
    const { payload } = result.shown;
    const words = payload ? ['  payload', ...valueInWords(payload)] : ['  payload not disclosed'];
    return [...signatureInWords(result.signature), ...words];
  }
  const { shown } = result;
  return [
    ...signatureInWords(result.signature),
    '  disclosed',
    ...valueInWords(shown.disclosed),
    shown.withheld.length > 0 ? `  not disclosed: ${shown.withheld.join(', ')}` : '  nothing is withheld',
  ];
}

const valueInWords = (value: object): string[] =>
  JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) => `    ${line}`);

function signatureInWords(signature: ShownSignature | undefined): string[] {
  if (!signature || signature.state === 'none') return [];
  const { state, kid } = signature;
  if (state === 'wrong') return ['  signed  with an invalid signature'];
  return [`  signed  by its actor with key ${kid}${state === 'holds' ? '' : ', which was not checked (--actor-key)'}`];
}

/** Latest instant of a `Date`, POSIX seconds. */
const LAST_DATE = 8_640_000_000_000n;

/** RFC 3339 UTC; seconds since 1970 for an instant that has no such form. */
function instant(seconds: bigint): string {
  return seconds > LAST_DATE ? String(seconds) : `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5)}Z`;
}

/** Escapes characters that could move a terminal's cursor or reverse its text, since a file may hold anything. */
function visible(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
