/**
 * A log that goes on under another name. Its database lost entries that it had signed, so going on under the old name
 * would be a fork (design 3, "The head file"). The new log's tree begins with the remaining entries, byte for byte. The
 * first entry that it adds, on the log's own chain, records what is continued and how much was lost.
 */
import { equal, fromBase64, fromUtf8, toBase64 } from '../bytes.js';
import { type Checkpoint, openCheckpoint } from '../tlog/checkpoint.js';
import { parsePayload } from '../record/commitment.js';
import { LOG_CHAIN } from '../record/entry.js';
import { HASH_BYTES, type Hasher, nobleHasher } from '../hasher.js';
import { isObject } from '../jcs.js';
import { type Rotation, logKey, refusing, rootBefore } from './key-rotation.js';
import { formatVerifierKey, openNote } from '../tlog/note.js';
import type { Policy } from '../tlog/policy.js';
import { verifyReceipt, type Receipt } from '../record/receipt.js';

/**
 * Type of the log chain's event: data `{from, to, remembered, rememberedBy?, statement}`; `rememberedBy` is there only
 * when the lost entries replaced the log's key. It is then the key that signed `remembered`.
 */
export const LOG_CONTINUED = 'log.continued/1';
const HEADER = 'rxledger/log-continued/v1';
const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** The statement of the new key, and also of the old one if it is still available. */
export interface Continuation {
  /** C2SP verifier keys; the name of each is its log's origin. */
  readonly from: string;
  readonly to: string;
  /** The log that ended, and the one that goes on. */
  readonly oldOrigin: string;
  readonly origin: string;
  /** Number of remaining entries: the event's log index. They carry the old name and belong to the new log too. */
  readonly size: number;
  /** 32 bytes; of the tree of that size. */
  readonly root: Uint8Array;
  /** The last known checkpoint of the old log: its entries from `size` on are lost. */
  readonly remembered: Checkpoint;
  /** Whether the old key has signed the statement as well. */
  readonly bothSigned: boolean;
}

/** The data is not a continuation, or is not signed by its key. */
export class ContinuationError extends Error {
  override readonly name = 'ContinuationError';
}

type Statement = Pick<Continuation, 'from' | 'to' | 'oldOrigin' | 'origin' | 'size' | 'root' | 'remembered'>;

/**
 * `rxledger/log-continued/v1\n<new origin>\n<new vkey>\n<old origin>\n<old vkey>\n<entries left>\n<base64
 * root>\n<entries remembered>\n<base64 root>\n`, the text of a note signed by the new key and, if available, the old
 * one.
 */
export function formatContinuation({ from, to, oldOrigin, origin, size, root, remembered }: Statement): string {
  const trees = [size, toBase64(root), remembered.size, toBase64(remembered.root)];
  return `${[HEADER, origin, to, oldOrigin, from, ...trees].join('\n')}\n`;
}

/**
 * Reads the event's data. Its members must agree, and the new key must have signed the statement. The old key must have
 * signed the old log's checkpoint of more entries than remain.
 * @throws {ContinuationError}
 */
export function openContinuation(data: unknown): Continuation {
  const { from, to, remembered, rememberedBy = from, statement } = isObject(data) ? data : {};
  if (![from, to, remembered, rememberedBy, statement].every((text) => typeof text === 'string'))
    throw new ContinuationError('from, to, remembered or statement is not there');
  return read(() => {
    const [old, next] = [logKey(from as string), logKey(to as string)];
    const { text, verified } = openNote(statement as string, [old, next]);
    if (!verified.some(({ key }) => key === next)) throw new ContinuationError('the new key has not signed');
    if (logKey(rememberedBy as string).name !== old.name)
      throw new ContinuationError('its last checkpoint is that of another log');
    const last = openCheckpoint(remembered as string, rememberedBy as string);
    const [header, , , , , size = '', root = '', lastSize, lastRoot, ...more] = text.split('\n');
    const said: Continuation = {
      from: from as string,
      to: to as string,
      oldOrigin: old.name,
      origin: next.name,
      size: Number(size),
      root: fromBase64(root),
      remembered: last,
      bothSigned: verified.length === 2,
    };
    if (header !== HEADER || more.length !== 1 || more[0] !== '' || text !== formatContinuation(said))
      throw new ContinuationError('not a statement of what it goes with');
    if (lastSize !== String(last.size) || lastRoot !== toBase64(last.root))
      throw new ContinuationError('it states another last checkpoint');
    if (old.name === next.name) throw new ContinuationError('both logs have one name');
    if (!SIZE.test(size) || !Number.isSafeInteger(said.size) || said.root.length !== HASH_BYTES)
      throw new ContinuationError('it states no tree');
    if (last.size <= said.size) throw new ContinuationError('nothing was lost');
    return said;
  });
}

/**
 * Checks a receipt of the event, signed by the new key. Its checkpoint must be the first one with the event, and its
 * tree must begin with the stated tree. The caller decides whether to trust the new key: NO trust passes from the old
 * key to it.
 * @throws {ContinuationError}
 */
export function openContinuationReceipt(receipt: unknown, hasher: Hasher = nobleHasher): Continuation {
  const { payload, checkpoint, index } = (isObject(receipt) ? receipt : {}) as Partial<Receipt>;
  if (typeof payload !== 'string' || typeof checkpoint !== 'string')
    throw new ContinuationError('not a receipt with payload');
  const said = read(() => openContinuation(parsePayload(fromUtf8(fromBase64(payload)))['data']));
  const shown = verifyReceipt(receipt as Receipt, said.to, hasher);
  if (!shown.ok) throw new ContinuationError(`its receipt does not hold (${shown.reason})`);
  const { entry, payload: members, size } = shown;
  if (entry.chain !== LOG_CHAIN || members?.['kind'] !== 'log' || members['type'] !== LOG_CONTINUED)
    throw new ContinuationError('not an event of a log that goes on');
  if (said.size !== index || size !== index + 1) throw new ContinuationError('its checkpoint is not the one behind it');
  const proof = (receipt as Receipt).proof.map(fromBase64);
  if (!equal(rootBefore(hasher, index, proof), said.root)) throw new ContinuationError('it was stated of another tree');
  return said;
}

/**
 * Selects the continuations to believe, since each is only a claim of its key.
 * @returns those signed by a pinned key, or by a key that a pinned key has replaced or continued
 */
export function vouchedFor(
  { logs }: Pick<Policy, 'logs'>,
  rotations: readonly Rotation[],
  all: readonly Continuation[],
): Continuation[] {
  const vouched = new Set(logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey)));
  const continued: Continuation[] = [];
  const moves = [...rotations, ...all].toSorted((a, b) => b.size - a.size);
  for (const move of moves) {
    if (!vouched.has(move.to)) continue;
    // A key vouches for its predecessor's events, since it has signed the tree that contains them.
    vouched.add(move.from);
    continued.push(...all.filter((one) => one === move));
  }
  return continued;
}

/** The loss in words, for a message. */
export function lossInWords({ oldOrigin, size, remembered, bothSigned }: Continuation): string {
  const by = bothSigned ? 'as the old key signs, too' : 'the old key has not signed that';
  return `it continues ${oldOrigin} with ${size} of its ${remembered.size} entries (${by})`;
}

function read<T>(work: () => T): T {
  return refusing(work, (message) => new ContinuationError(message));
}
