import type { Receipt } from '../../ledger/core/record/receipt.js';
import { equal } from '../../ledger/core/bytes.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import type { FetchFile, LogClient } from '../../ledger/core/tlog/log-client.js';
import { handOver } from '../../ledger/core/statements/key-rotation.js';
import {
  type Continuation,
  ContinuationError,
  openContinuationReceipt,
} from '../../ledger/core/statements/continuation.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { CONTINUED, fetchItems, servedItems } from './served-lists.js';
import { Alarm } from './alarms.js';

export interface Continued {
  readonly said: Continuation;
  readonly receipt: Receipt;
}

/**
 * The events by which the log took new names, oldest first. Each is signed by its new key; the caller decides whether
 * to trust that key.
 * @throws {Alarm} `signature` when the new key has not signed one
 * @throws {SourceError} when the log cannot be reached
 */
export async function fetchContinued(fetch: FetchFile): Promise<Continued[]> {
  const items = await fetchItems(fetch, CONTINUED);
  if (items === 'absent') return [];
  try {
    return opened(items);
  } catch (error) {
    if (error instanceof ContinuationError)
      throw new Alarm('signature', `the log serves an invalid continuation of another log: ${error.message}`);
    throw error;
  }
}

/**
 * The log's earlier names, from events that the currently signed tree contains: the log itself vouches for them.
 * @param found the checkpoint that was found
 * @param client of that checkpoint
 */
export async function namesIn(
  all: readonly Continued[],
  found: Checkpoint,
  client: LogClient,
): Promise<Continuation[]> {
  const names: Continuation[] = [];
  let name = found.origin;
  for (const { said, receipt } of all.toReversed()) {
    const { size, root } = handOver(receipt);
    if (said.origin !== name || size > found.size || !equal(await client.rootAt(size), root)) continue;
    names.push(said);
    name = said.oldOrigin;
  }
  return names;
}

/** The same JSON as `/log/continued`. */
export function continuedText(all: readonly Continued[]): string {
  return JSON.stringify({ items: all.map(({ receipt }) => receipt) });
}

/** Parses such a file, oldest first. @throws ContinuationError when the new key has not signed one */
export function continuedIn(bytes: Uint8Array): Continued[] {
  return opened(servedItems(bytes));
}

function opened(items: readonly unknown[] | null): Continued[] {
  if (!items) throw new ContinuationError('not a list of them');
  const all = items.map((item) => ({ said: openContinuationReceipt(item, nodeHasher), receipt: item as Receipt }));
  return all.toSorted((a, b) => a.said.size - b.said.size);
}
