import { z } from 'zod';
import { equal, EncodingError, fromBase64, fromUtf8, toBase64 } from '../../ledger/core/bytes.js';
import { commit, parsePayload, PayloadError } from '../../ledger/core/record/commitment.js';
import type { Entry } from '../../ledger/core/record/entry.js';
import { type FetchFile, LogFileError } from '../../ledger/core/tlog/log-client.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';

const CHAIN = 'chain';

/** `GET /log/chain`. */
const page = z.object({
  items: z.array(z.object({ index: z.number(), entry: z.string(), salt: z.string(), payload: z.string() })),
});

/**
 * Checks that `/log/chain` publishes an event of the log's own chain: the entry of the tree, with the payload that it
 * commits to. Without this check the log could, for example, hide a revocation from the actor whose key it ends.
 * @param bytes the entry as the tree has it
 * @throws LogFileError
 */
export async function checkShown(
  fetch: FetchFile,
  index: number,
  bytes: Uint8Array,
  { commitment }: Entry,
): Promise<void> {
  const path = `${CHAIN}?${index === 0 ? '' : `after=${index - 1}&`}limit=1`;
  const file = await fetch(path);
  const [item] = file ? itemsIn(file) : [];
  if (item?.index !== index) throw new LogFileError(path, 'missing');
  if (item.entry !== toBase64(bytes) || !commits(item, commitment)) throw new LogFileError(path, 'hash');
}

function itemsIn(file: Uint8Array): z.output<typeof page>['items'] {
  try {
    return page.parse(JSON.parse(fromUtf8(file))).items;
  } catch {
    return [];
  }
}

function commits({ salt, payload }: { salt: string; payload: string }, commitment: Uint8Array): boolean {
  try {
    const members = parsePayload(fromUtf8(fromBase64(payload)));
    return equal(commit(nodeHasher, fromBase64(salt), members).commitment, commitment);
  } catch (error) {
    if (error instanceof EncodingError || error instanceof PayloadError) return false;
    throw error;
  }
}
