import type { Receipt } from '../../ledger/core/record/receipt.js';
import { join } from 'node:path';
import { equal, utf8 } from '../../ledger/core/bytes.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import type { FetchFile, LogClient } from '../../ledger/core/tlog/log-client.js';
import {
  handOver,
  openRotationReceipt,
  passedOn,
  replacedTwice,
  type Rotation,
  RotationError,
} from '../../ledger/core/statements/key-rotation.js';
import { formatVerifierKey } from '../../ledger/core/tlog/note.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { fetchItems, ROTATIONS, servedItems } from './served-lists.js';
import { Alarm, prefixOf } from './alarms.js';
import { readIfThere, writeDurably } from './durable.js';
import type { Replica } from './replica/replica.js';
import { FollowFolderError } from './chain-ends.js';

/** One replacement of the log's key that both keys have signed. */
export interface KeyMove {
  readonly rotation: Rotation;
  readonly receipt: Receipt;
}

/**
 * The moves that the folder holds, or else its replica. Either source is safe, since both keys have signed each move.
 * @throws {FollowFolderError} when the file was damaged or changed
 */
export async function readMoves(folder: string, replica?: Replica): Promise<KeyMove[]> {
  const kept = replica?.keyRotations();
  const bytes = (await readIfThere(join(folder, ROTATIONS))) ?? (kept ? utf8(kept) : null);
  if (!bytes) return [];
  try {
    return opened(servedItems(bytes));
  } catch (error) {
    if (error instanceof RotationError) throw new FollowFolderError(`its rotations do not hold: ${error.message}`);
    throw error;
  }
}

export async function keepMoves(folder: string, moves: readonly KeyMove[]): Promise<void> {
  await writeDurably(join(folder, ROTATIONS), movesText(moves));
}

/** The same JSON as `/log/rotations`. */
export function movesText(moves: readonly KeyMove[]): string {
  return JSON.stringify({ items: moves.map(({ receipt }) => receipt) });
}

/**
 * The moves that the log serves.
 * @param kept known moves; they stay valid whatever is served
 * @throws {Alarm} `signature` for a move that is not signed by both keys, `fork` for a key that was replaced twice
 * @throws {SourceError} when the log cannot be reached
 */
export async function fetchMoves(fetch: FetchFile, kept: readonly KeyMove[]): Promise<KeyMove[]> {
  const items = await fetchItems(fetch, ROTATIONS);
  if (items === 'absent') return [...kept];
  let served: KeyMove[];
  try {
    served = opened(items);
  } catch (error) {
    if (error instanceof RotationError)
      throw new Alarm('signature', `the log serves an invalid replacement of its key: ${error.message}`);
    throw error;
  }
  const twice = replacedTwice([...kept, ...served]);
  if (twice) {
    const [one, other] = twice;
    const words = `the log has replaced one key twice: behind ${one.rotation.size} and behind ${other.rotation.size} entries`;
    throw new Alarm('fork', words, { successors: [one.receipt, other.receipt] });
  }
  // A replacement that the log no longer shows is not undone: the old key stays replaced.
  const shown = new Set(served.map(({ rotation }) => rotation.from));
  return kept.every(({ rotation }) => shown.has(rotation.from)) ? served : [...kept];
}

/**
 * Checks that the currently signed tree begins with each tree that an old key has handed over.
 * @param moves none of them after the checkpoint that was found
 * @param client of the checkpoint that was found
 * @throws {Alarm}
 */
export async function checkMoves(moves: readonly KeyMove[], found: Checkpoint, client: LogClient): Promise<void> {
  for (const { receipt } of moves) {
    const { size, root } = handOver(receipt);
    if (equal(await client.rootAt(size), root)) continue;
    const prefix = await prefixOf(client, size, found.size);
    const words = `${found.size} signed entries do not continue the ${size} that both keys have signed`;
    throw new Alarm('fork', words, { kept: receipt.checkpoint, prefix });
  }
}

/** The rotations that follow from the policy's pinned keys, without those before a pinned key. */
export function alongTrust({ logs }: Policy, moves: readonly KeyMove[]): Rotation[] {
  const pinned = logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  return passedOn(
    pinned,
    moves.map(({ rotation }) => rotation),
  );
}

function opened(items: readonly unknown[] | null): KeyMove[] {
  if (!items) throw new RotationError('not a list of them');
  const moves = items.map((item) => ({
    rotation: openRotationReceipt(item, nodeHasher),
    receipt: item as Receipt,
  }));
  return moves.toSorted((a, b) => a.rotation.size - b.rotation.size);
}
