import { z } from 'zod';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';

/** File below `/log`, in an auditor's folder and in a replica: the replacements of the log's key. */
export const ROTATIONS = 'rotations';

/** File below `/log` and in a replica: the events by which the log took new names. */
export const CONTINUED = 'continued';

const file = z.object({ items: z.array(z.unknown()) });

/** The items of such a file, unchecked. @returns null when the file is not a list */
export function servedItems(bytes: Uint8Array): readonly unknown[] | null {
  try {
    return file.safeParse(JSON.parse(fromUtf8(bytes))).data?.items ?? null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof EncodingError) return null;
    throw error;
  }
}
