/** The input of every class of discrepancy, and how a discrepancy gets its id. */
import type { JsonObject } from '../ledger/core/record/event.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { toBase64, utf8 } from '../ledger/core/bytes.js';
import { jcs } from '../ledger/core/jcs.js';
import type { Discrepancy } from '../patient/state.js';

export type Judging = {
  /** ms since 1970. */
  readonly now: number;
  readonly settings: {
    /** D13: share of the previous supply that must be used before the next fill is not early, 0 to 1. */
    readonly earlyRefillFactor: number;
  };
};

export type Finding = Omit<Discrepancy, 'id' | 'evidence'> & {
  /** Identifies the discrepancy: ids only, with sorted lists, so that the order of arrival makes no difference. */
  readonly key: JsonObject;
  /** Other compared values. They may grow without making another discrepancy. */
  readonly facts: JsonObject;
};

const ID_BYTES = 16;

/** Gives a finding its id: `<class>:<base64url of the first 16 bytes of SHA-256(JCS({chain, ...key}))>`. */
export function named({ key, facts, ...finding }: Finding): Discrepancy {
  const digest = sha256(utf8(jcs({ chain: finding.chain, ...key }))).slice(0, ID_BYTES);
  const base64url = toBase64(digest).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return {
    ...finding,
    id: `${finding.class}:${base64url}`,
    orgs: sortedSet(finding.orgs),
    evidence: { ...facts, ...key },
  };
}

/** Without repeats, sorted. */
export function sortedSet(values: Iterable<string>): string[] {
  return [...new Set(values)].toSorted();
}
