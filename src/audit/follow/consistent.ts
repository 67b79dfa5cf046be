import { equal } from '../../ledger/core/bytes.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import { type FetchFile, LogClient, LogFileError } from '../../ledger/core/tlog/log-client.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { Alarm, prefixOf } from './alarms.js';
import { isNotOurs, openMoved, type Signed } from './kept.js';
import type { KeyMove } from './key-moves.js';

/**
 * Checks that the checkpoint that was found continues each one that the follower remembers.
 * @returns reads the log's files against the checkpoint that was found
 * @throws {Alarm} `log`, `rollback` or `fork` when it does not; LogFileError
 */
export async function checkContinues(
  remembered: readonly Signed[],
  found: Signed,
  fetch: FetchFile,
): Promise<LogClient> {
  const { checkpoint } = found;
  for (const one of remembered) {
    const { note: kept, checkpoint: before } = one;
    if (before.origin !== checkpoint.origin)
      throw new Alarm('log', `another log answers: ${checkpoint.origin}`, { kept });
    if (checkpoint.size < before.size) await rolledBack(one, found, fetch);
    if (before.size === checkpoint.size && !equal(before.root, checkpoint.root))
      throw new Alarm('fork', `two signed trees of ${checkpoint.size} entries`, { kept });
  }
  const client = await LogClient.open(nodeHasher, fetch, checkpoint);
  for (const one of remembered) await continues(one.checkpoint, checkpoint, client, one.note);
  return client;
}

/**
 * Raises the alarm for a log that shows fewer entries than it has signed. If it still serves the larger tree, the two
 * trees are compared first. A smaller tree with another root is a fork, which can be proved.
 */
async function rolledBack(kept: Signed, found: Signed, fetch: FetchFile): Promise<never> {
  const words = `${found.checkpoint.size} entries after ${kept.checkpoint.size}`;
  let client: LogClient;
  try {
    client = await LogClient.open(nodeHasher, fetch, kept.checkpoint);
    await continues(found.checkpoint, kept.checkpoint, client, kept.note);
  } catch (error) {
    if (error instanceof LogFileError)
      throw new Alarm('rollback', `${words}; the rest is not served any more`, { kept: kept.note });
    throw error;
  }
  throw new Alarm('rollback', `${words}; the rest is still served, so that this may be an old answer`, {
    kept: kept.note,
  });
}

/**
 * @param client reads the newer tree's files
 * @param kept whichever of the two the follower remembers, as a signed note
 * @throws {Alarm} `fork` when the newer tree does not begin with the older one
 */
async function continues(older: Checkpoint, newer: Checkpoint, client: LogClient, kept: string): Promise<void> {
  if (equal(await client.rootAt(older.size), older.root)) return;
  const prefix = await prefixOf(client, older.size, newer.size);
  const words = `${newer.size} signed entries do not continue ${older.size} signed entries`;
  throw new Alarm('fork', words, { prefix, kept });
}

/** @throws {Alarm} when a remembered checkpoint is signed by a key that had already been replaced at its size */
export function checkKept(policy: Policy, moves: readonly KeyMove[], { note, checkpoint }: Signed): void {
  try {
    openMoved(policy, moves, note);
  } catch (error) {
    if (!isNotOurs(error)) throw error;
    throw new Alarm('signature', `a key that had been replaced before has signed ${checkpoint.size} entries`, {
      kept: note,
    });
  }
}
