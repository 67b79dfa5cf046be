import { AnswerTooLong, bodyOf, within } from '../../net/untrusted-answer.js';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import { encodeHashes } from '../../ledger/core/tlog/tlog-proof.js';
import type { AskedWitness } from './witness-policy.js';

/** How long one request may take, to its last byte. */
const REQUEST_MS = 10_000;
/** A few signature lines; whoever sends more is cut off. */
const ANSWER_BYTES = 16_384;
const SIZE = /^(0|[1-9][0-9]{0,15})\n$/;

/** What a witness said to a submission; nothing of it is verified. */
export type WitnessAnswer =
  /** Signature lines, it says. */
  | { readonly kind: 'cosigned'; readonly lines: string }
  /** It has cosigned a tree of that size last, it says. */
  | { readonly kind: 'conflict'; readonly size: number }
  | { readonly kind: 'failed'; readonly failure: WitnessFailure };

/** Why there is no cosignature: a code that says nothing else, for the database, the log and readiness. */
export type WitnessFailure =
  | 'unreachable'
  | 'timeout'
  /** Not an answer of C2SP tlog-witness. */
  | 'malformed'
  /** Its signature of this checkpoint does not hold or is not there. */
  | 'bad-cosignature'
  /** 409 with a size that this log had when the submission was under way; the next round begins there. */
  | 'newer'
  /** 409 with a size that this log never had: a tree was shown to it that is not this one. */
  | 'ahead'
  /** 422, or 409 at equal sizes: the tree that it has cosigned is not the beginning of this one. */
  | 'inconsistent'
  | `http-${number}`;

/** Failures that say that the log stands forked, or was set back. */
export const ALARMS: readonly WitnessFailure[] = ['ahead', 'inconsistent'];

export function isAlarm(failure: WitnessFailure | null): boolean {
  return failure !== null && ALARMS.includes(failure);
}

/**
 * `POST <url>/add-checkpoint` (C2SP tlog-witness). Never rejects, and ends in time whatever the other side does.
 * @param old size of the tree that the witness cosigned last
 * @param proof consistency proof from there, 32 bytes each
 * @param checkpoint signed note
 * @param signal ends it at once
 */
export async function addCheckpoint(
  { url }: Pick<AskedWitness, 'url'>,
  old: number,
  proof: readonly Uint8Array[],
  checkpoint: string,
  signal: AbortSignal,
): Promise<WitnessAnswer> {
  try {
    return await within(REQUEST_MS, signal, async (ending) => {
      const answer = await fetch(`${url}/add-checkpoint`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        body: `old ${old}\n${encodeHashes(proof)}\n${checkpoint}`,
        redirect: 'manual',
        signal: ending,
      });
      return understand(answer.status, await textOf(answer, ending));
    });
  } catch (error) {
    return failed(error instanceof DOMException && error.name === 'TimeoutError' ? 'timeout' : 'unreachable');
  }
}

function understand(status: number, body: string | null): WitnessAnswer {
  if (status === 200) return body === null ? failed('malformed') : { kind: 'cosigned', lines: body };
  if (status === 422) return failed('inconsistent');
  if (status !== 409) return failed(`http-${status}`);
  const size = Number(SIZE.exec(body ?? '')?.[1]);
  return Number.isSafeInteger(size) ? { kind: 'conflict', size } : failed('malformed');
}

/** @returns null when it is longer than any answer, or no UTF-8 */
async function textOf(answer: Response, ending: AbortSignal): Promise<string | null> {
  try {
    return fromUtf8(await bodyOf(answer, ANSWER_BYTES, ending));
  } catch (error) {
    if (error instanceof AnswerTooLong || error instanceof EncodingError) return null;
    throw error;
  }
}

function failed(failure: WitnessFailure): WitnessAnswer {
  return { kind: 'failed', failure };
}
