/** What `rxledger proof verify` has to say about files that people kept, and against each other. */
import type { ShownSignature } from '../../ledger/core/record/statement.js';
import type { Comparison } from '../../ledger/core/statements/compare-heads.js';
import type { SignedChainList } from '../../ledger/core/statements/chain-list-note.js';
import type { ChainHeadReason, SignedChainHead } from '../../ledger/core/statements/chain-head-note.js';
import { toBase64 } from '../../ledger/core/bytes.js';
import type { DisclosureReason, VerifiedDisclosure } from '../../ledger/core/record/disclosure.js';
import type { ReceiptReason, VerifiedReceipt } from '../../ledger/core/record/receipt.js';

export type ProofReason = ReceiptReason | DisclosureReason | ChainHeadReason | 'actor-signature' | 'actor-unknown';

export type ProofResult = { readonly file: string } & (
  | {
      readonly ok: true;
      readonly kind: 'receipt' | 'tlog-proof';
      readonly shown: VerifiedReceipt;
      /** Of the actor; absent where the payload is not disclosed. */
      readonly signature?: ShownSignature;
    }
  | {
      readonly ok: true;
      readonly kind: 'disclosure';
      readonly shown: VerifiedDisclosure;
      /** Of the actor; absent where what it covers is withheld. */
      readonly signature?: ShownSignature;
    }
  | { readonly ok: true; readonly kind: 'chain-head'; readonly shown: SignedChainHead }
  | { readonly ok: true; readonly kind: 'chain-list'; readonly shown: SignedChainList }
  | { readonly ok: false; readonly kind: string; readonly reason: ProofReason }
);

/** A receipt against a chain head or list that was given with it. */
export interface ProofComparison {
  readonly receipt: string;
  readonly against: string;
  readonly chain: string;
  readonly comparison: ListComparison;
}

type ListComparison =
  | Exclude<Comparison, 'unrelated'>
  /** It is not on the list, and by what the receipt shows need not be. */
  | 'aside'
  /** None of the lists given is of a range with the chain in it. */
  | 'uncovered';

/** What stands beside proofs in a file. */
export interface Unchecked {
  readonly file: string;
  readonly members: readonly string[];
}

export interface ProofReport {
  readonly results: readonly ProofResult[];
  readonly unchecked: readonly Unchecked[];
  readonly comparisons: readonly ProofComparison[];
}

const REASONS: Readonly<Record<ProofReason, string>> = {
  form: 'it has not the form of a receipt, a disclosure, a proof, a chain head or a list',
  checkpoint: 'no trusted log has signed the checkpoint, or a signature on it by a known key does not hold',
  log: 'it is of another log than the key or the policy, or of before this one went on under its name (--continued)',
  entry: 'the bytes are no entry',
  inclusion: "the entry does not stand at that index in the checkpoint's tree",
  payload: 'the payload is not what the entry commits to',
  members: 'the members are not those that the entry commits to',
  quorum: 'the witnesses that the policy demands have not cosigned the checkpoint',
  signature: 'the key of chain heads has not signed it',
  'actor-unknown': 'it does not show what its actor said, so that no signature can be checked',
  'actor-signature': 'the key that the actor gave you has not signed what it says',
};

const COMPARISONS: Readonly<Record<ProofComparison['comparison'], string>> = {
  agrees: 'agrees',
  older: 'nothing follows: it was signed before the entry was recorded, ask for a newer one',
  withheld: 'the entry stood in the log when this was signed, and is left out',
  unlisted: "the chain is left out: withheld, unless it was erased or is not one of the owner's",
  aside: 'not on it, and need not be: the receipt gives the owner no part in the chain',
  uncovered: 'no list that was given is of a range with this chain in it: give all pages, to the end',
  differs: 'it says of the chain what cannot be true beside the receipt: the chain was given another past',
};

const AT_FAULT: ReadonlySet<ListComparison> = new Set(['withheld', 'unlisted', 'uncovered', 'differs']);

/** Whether there is something, everything holds and nothing is left out. */
export function holds({ results, comparisons }: ProofReport): boolean {
  return (
    results.length > 0 &&
    results.every(({ ok }) => ok) &&
    !comparisons.some(({ comparison }) => AT_FAULT.has(comparison))
  );
}

/** The report as one JSON value: bytes in base64, times of witnesses in RFC 3339. */
export function inJson(report: ProofReport): object {
  const { results, unchecked, comparisons } = report;
  return { ok: holds(report), results: results.map(resultInJson), unchecked, comparisons };
}

function resultInJson(result: ProofResult): object {
  if (!result.ok) return result;
  const { file, kind, ok } = result;
  if (result.kind === 'chain-head') {
    return { file, kind, ok, ...result.shown, leaf: toBase64(result.shown.leaf) };
  }
  if (result.kind === 'chain-list') {
    const chains = result.shown.chains.map((one) => ({ ...one, leaf: toBase64(one.leaf) }));
    return { file, kind, ok, ...result.shown, chains };
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

function contentInJson(result: Extract<ProofResult, { shown: { entry: object } }>): object {
  const { signature } = result;
  const signed = signature && signature.state !== 'none' && { signature };
  if (result.kind === 'disclosure')
    return { disclosed: result.shown.disclosed, withheld: result.shown.withheld, ...signed };
  const { payload } = result.shown;
  return { ...(payload && { payload }), ...signed };
}

/** The report in lines for people. */
export function inWords({ results, unchecked, comparisons }: ProofReport): string[] {
  return [
    ...results.flatMap(resultInWords),
    ...unchecked.map(({ file, members }) => `not checked, beside what is proven in ${file}: ${members.join(', ')}`),
    ...comparisons.map(({ receipt, against, chain, comparison }) => {
      const bad = AT_FAULT.has(comparison) ? `DOES NOT HOLD (${comparison})  ` : '';
      return `${bad}${receipt} and ${against}, chain ${chain}: ${COMPARISONS[comparison]}`;
    }),
  ].map(visible);
}

function resultInWords(result: ProofResult): string[] {
  const { file } = result;
  if (!result.ok) return [`DOES NOT HOLD (${result.reason})  ${file}: ${REASONS[result.reason]}`];
  if (result.kind === 'chain-head') {
    const { origin, chain, seq, size } = result.shown;
    return [`holds: ${file}`, `  signed: in ${origin} at ${size} entries, chain ${chain} ended with seq ${seq}`];
  }
  if (result.kind === 'chain-list') {
    const { origin, owner, chains, after, through, size } = result.shown;
    return [
      `holds: ${file}`,
      `  signed: in ${origin} at ${size} entries, ${chains.length} chains were those of ${owner}`,
      `  range   ${after} to ${through}`,
    ];
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

function contentInWords(result: Extract<ProofResult, { shown: { entry: object } }>): string[] {
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
  if (state === 'wrong') return ['  signed  with what is no signature'];
  return [`  signed  by its actor with key ${kid}${state === 'holds' ? '' : ', which was not checked (--actor-key)'}`];
}

/** Latest instant of a `Date`, POSIX seconds. */
const LAST_DATE = 8_640_000_000_000n;

/** RFC 3339 UTC; seconds since 1970 where that has no such form. */
function instant(seconds: bigint): string {
  return seconds > LAST_DATE ? String(seconds) : `${new Date(Number(seconds) * 1000).toISOString().slice(0, -5)}Z`;
}

/** A file may hold what would move the cursor of a terminal or turn its text round. */
function visible(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
