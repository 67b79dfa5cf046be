import { z } from 'zod';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import type { FetchFile } from '../../ledger/core/tlog/log-client.js';

/** File below `/log`, in an auditor's folder and in a replica: the replacements of the log's key. */
export const ROTATIONS = 'rotations';

/** File below `/log` and in a replica: the events by which the log took new names. */
export const CONTINUED = 'continued';

const file = z.object({ items: z.array(z.unknown()), next: z.string().nullish() });

/** Far more pages than a log that replaces its key each day has after twenty years. */
const MOST_PAGES = 64;
/** The bytes of all pages together. */
const MOST_BYTES = 32 * 1024 * 1024;

/** The items of such a file, unchecked. @returns null when the file is not a list */
export function servedItems(bytes: Uint8Array): readonly unknown[] | null {
  return listIn(bytes)?.items ?? null;
}

/**
 * The items of all pages of a list, unchecked.
 * @returns null when it is not a list, or has more pages than any
 */
export async function fetchItems(fetch: FetchFile, list: string): Promise<readonly unknown[] | 'absent' | null> {
  const items: unknown[] = [];
  let bytes = await fetch(list);
  if (!bytes) return 'absent';
  for (let pages = 1, length = bytes.length; bytes; pages++) {
    const page = listIn(bytes);
    if (!page || pages > MOST_PAGES || length > MOST_BYTES) return null;
    items.push(...page.items);
    if (typeof page.next !== 'string') return items;
    bytes = await fetch(`${list}?limit=200&after=${encodeURIComponent(page.next)}`);
    length += bytes?.length ?? 0;
  }
  return null;
}

function listIn(bytes: Uint8Array): z.output<typeof file> | null {
  try {
    return file.safeParse(JSON.parse(fromUtf8(bytes))).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof EncodingError) return null;
    throw error;
  }
}
