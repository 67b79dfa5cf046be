import { EncodingError, equal, fromBase64, fromUtf8 } from '../../ledger/core/bytes.js';
import { type Checkpoint, CheckpointError, parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { HASH_BYTES } from '../../ledger/core/hasher.js';
import { NoteError, openNote, splitNote, type VerifierKey } from '../../ledger/core/tlog/note.js';
import type { TrustedLog } from './logs.js';

/** A well-formed request to cosign a checkpoint that the log has signed. */
export interface Submission {
  readonly log: TrustedLog;
  /** Size of the tree that the witness cosigned last, as the client claims; at most the checkpoint's size. */
  readonly oldSize: number;
  /** Consistency proof between the two sizes, not verified yet: hashes of 32 bytes. */
  readonly proof: readonly Uint8Array[];
  readonly checkpoint: Checkpoint;
  /** The checkpoint's text that is cosigned, extension lines included. */
  readonly text: string;
  /** The signed checkpoint with the log's own signature lines only, each once. */
  readonly note: string;
}

/** A status of C2SP tlog-witness other than 200, and the client's answer. */
export type Refusal =
  | { readonly status: 400 | 403 | 404 | 422; readonly reason: string }
  | { readonly status: 409; /** Size of the checkpoint cosigned last. */ readonly size: number };

const MAX_PROOF = 63;
const OLD = /^old (0|[1-9][0-9]{0,15})$/;

/**
 * Reads the body of `POST /add-checkpoint` (C2SP tlog-witness): `old <size>`, up to 63 lines of base64, an empty line,
 * a signed checkpoint. Refusals here do not depend on earlier cosignatures.
 * @returns 400: malformed, or the old size is beyond the checkpoint's. 404: the log is not among `logs`. 403: the log
 * has not signed it, or a signature line is wrong or malformed
 */
export function readSubmission(body: Uint8Array, logs: ReadonlyMap<string, TrustedLog>): Submission | Refusal {
  const parts = readParts(body);
  if (typeof parts === 'string') return { status: 400, reason: parts };
  const { oldSize, proof, text, signed, checkpoint } = parts;
  const log = logs.get(checkpoint.origin);
  if (!log) return { status: 404, reason: 'unknown log' };
  const note = signedBy(log.keys, signed);
  if (note === null) return { status: 403, reason: 'invalid signature: none that holds by a known key of the log' };
  if (oldSize > checkpoint.size) return { status: 400, reason: 'old size is beyond the size of the checkpoint' };
  return { log, oldSize, proof, checkpoint, text, note };
}

/** @returns the parts, or the fault in words; signature lines are not parsed yet */
function readParts(body: Uint8Array) {
  try {
    const whole = fromUtf8(body);
    const end = whole.indexOf('\n\n');
    if (end < 0) return 'malformed request: no empty line';
    const [old = '', ...hashes] = whole.slice(0, end).split('\n');
    const oldSize = Number(OLD.exec(old)?.[1]);
    if (!Number.isSafeInteger(oldSize)) return 'malformed request: old size line';
    if (hashes.length > MAX_PROOF) return `malformed request: more than ${MAX_PROOF} proof lines`;
    const proof = hashes.map(fromBase64);
    if (proof.some((hash) => hash.length !== HASH_BYTES)) return 'malformed request: a proof line is not 32 bytes';
    const signed = whole.slice(end + 2);
    const textEnd = signed.lastIndexOf('\n\n');
    if (textEnd < 0 || !signed.endsWith('\n')) return 'malformed checkpoint: not a note';
    const text = signed.slice(0, textEnd + 1);
    return { oldSize, proof, text, signed, checkpoint: parseCheckpoint(text) };
  } catch (error) {
    if (error instanceof EncodingError) return `malformed request: ${error.message}`;
    if (error instanceof CheckpointError) return `malformed checkpoint: ${error.message}`;
    throw error;
  }
}

/**
 * The note with the signature lines of these keys only, each once. Lines of others cost no verification, and a line
 * forged in our own name never gets into a stored note.
 * @returns null when no such line is there, one is invalid, or a line is malformed
 */
function signedBy(keys: readonly VerifierKey[], signed: string): string | null {
  try {
    const { text, lines } = splitNote(signed);
    const known = lines.filter(({ name, id }) => keys.some((key) => key.name === name && equal(key.keyId, id)));
    if (known.length === 0) return null;
    const note = `${text}\n${[...new Set(known.map(({ line }) => `${line}\n`))].join('')}`;
    openNote(note, keys);
    return note;
  } catch (error) {
    if (error instanceof NoteError) return null;
    throw error;
  }
}
