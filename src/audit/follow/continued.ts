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
import { CONTINUED, servedItems } from './served-lists.js';
import { Alarm } from './alarms.js';

export interface Continued {
  readonly said: Continuation;
  readonly receipt: Receipt;
}

/**
 * What the log serves, each as its new key signs it, oldest first; whether that key is trusted is for the caller.
 * @throws {Alarm} `signature` for one that no key signs so
 * @throws {SourceError} when the log is away
 */
export async function fetchContinued(fetch: FetchFile): Promise<Continued[]> {
  const bytes = await fetch(CONTINUED);
  if (!bytes) return [];
  try {
    return continuedIn(bytes);
  } catch (error) {
    if (error instanceof ContinuationError)
      throw new Alarm(
        'signature',
        `the log says that it continues another, but not as its key signs: ${error.message}`,
      );
    throw error;
  }
}

/**
 * The names that the log had, by events that stand in the tree that is signed now: nobody's word but the log's.
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

/** As `/log/continued` serves them. */
export function continuedText(all: readonly Continued[]): string {
  return JSON.stringify({ items: all.map(({ receipt }) => receipt) });
}

/** What such a file holds, oldest first. @throws ContinuationError for one that no key signs so */
export function continuedIn(bytes: Uint8Array): Continued[] {
  const items = servedItems(bytes);
  if (!items) throw new ContinuationError('not a list of them');
  const all = items.map((item) => ({ said: openContinuationReceipt(item, nodeHasher), receipt: item as Receipt }));
  return all.toSorted((a, b) => a.said.size - b.said.size);
}
