import { z } from 'zod';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';

const file = z.object({ items: z.array(z.unknown()) });

/** What a file of `/log` lists, unchecked. @returns null when it is no such list */
export function servedItems(bytes: Uint8Array): readonly unknown[] | null {
  try {
    return file.safeParse(JSON.parse(fromUtf8(bytes))).data?.items ?? null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof EncodingError) return null;
    throw error;
  }
}
