import { ed25519 } from '@noble/curves/ed25519.js';
import { Recent } from './recently-used.js';

/** Keys whose check is remembered: it takes about a millisecond, and the same few keys come again and again. */
const KEPT = 1000;
const checked = new Recent<string, boolean>(KEPT);

/**
 * Whether 32 bytes are a public key under which only its owner can sign. Under a key of small order one signature is
 * valid for any text. With a part of small order implementations disagree. Every way in asks this.
 */
export function isEd25519Key(bytes: Uint8Array): boolean {
  const name = bytes.join();
  const known = checked.get(name);
  if (known !== undefined) return known;
  const good = isGood(bytes);
  checked.set(name, good);
  return good;
}

function isGood(bytes: Uint8Array): boolean {
  try {
    const point = ed25519.Point.fromBytes(bytes, false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}
