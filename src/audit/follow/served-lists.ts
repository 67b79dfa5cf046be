import { z } from 'zod';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';

/** File of `/log`, of an auditor's folder and of a replica: how the log's key was replaced. */
export const ROTATIONS = 'rotations';

/** File of `/log`, and of a replica, that holds how the log went on under another name. */
export const CONTINUED = 'continued';

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
