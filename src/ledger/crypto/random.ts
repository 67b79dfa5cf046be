import { randomFillSync } from 'node:crypto';

/** Bytes drawn at once, since a call for a few costs as much as one for thousands. */
const POOL_BYTES = 16_384;

const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** Bytes of the system's generator, each given out once and then wiped from the pool. @param length at most 64 */
export function freshBytes(length: number): Buffer {
  if (used + length > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = Buffer.from(pool.subarray(used, used + length));
  pool.fill(0, used, used + length);
  used += length;
  return bytes;
}
