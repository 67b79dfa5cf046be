import { createHash, createHmac, hash } from 'node:crypto';
import { HASH_BYTES, type Hasher } from '../core/hasher.js';

const BLOCK = 64;
const PREPARED = 64 * 1024;
const IPAD = 0x36;
const OPAD = 0x5c;

// One-shot hashing of a prepared buffer that is asked for a string costs a third of what a Hash object or a Buffer
// digest costs. The buffers are filled and read within one synchronous call. Digests that only feed the next hash
// stay strings of bytes ("binary").
const leafInput = Buffer.alloc(1 + PREPARED);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1);
// HMAC pads a key to a block with zeros (RFC 2104): the bytes after a key of 32 bytes are always the same.
const innerInput = Buffer.alloc(BLOCK + PREPARED, IPAD);
const outerInput = Buffer.alloc(BLOCK + HASH_BYTES, OPAD);

function sha256(input: Uint8Array | string): Buffer {
  return Buffer.from(hash('sha256', input, 'binary'), 'binary');
}

/** A UTF-16 code unit takes at most three bytes in UTF-8. */
const most = (data: Uint8Array | string): number => (typeof data === 'string' ? 3 * data.length : data.length);

/** Fills the inputs' key blocks. @param key 32 bytes */
function prepareKey(key: Uint8Array): void {
  for (let at = 0; at < HASH_BYTES; at++) {
    const byte = key[at]!;
    innerInput[at] = byte ^ IPAD;
    outerInput[at] = byte ^ OPAD;
  }
}

/** The same from a string of bytes. */
function prepareBinaryKey(key: string): void {
  for (let at = 0; at < HASH_BYTES; at++) {
    const byte = key.charCodeAt(at);
    innerInput[at] = byte ^ IPAD;
    outerInput[at] = byte ^ OPAD;
  }
}

/** HMAC under the prepared key; `data` is at most {@link PREPARED} bytes. */
function hmacPrepared(data: Uint8Array | string, encoding: 'binary' | 'base64'): string {
  let length: number;
  if (typeof data === 'string') length = innerInput.write(data, BLOCK, 'utf8');
  else {
    innerInput.set(data, BLOCK);
    length = data.length;
  }
  outerInput.write(hash('sha256', innerInput.subarray(0, BLOCK + length), 'binary'), BLOCK, 'binary');
  return hash('sha256', outerInput, encoding);
}

/** The writer's hasher, on node:crypto. A property test compares it with `nobleHasher`. */
export const nodeHasher = {
  leaf(entry) {
    if (entry.length > PREPARED) return createHash('sha256').update(Uint8Array.of(0)).update(entry).digest();
    leafInput.set(entry, 1);
    return sha256(leafInput.subarray(0, 1 + entry.length));
  },
  node(left, right) {
    nodeInput.set(left, 1);
    nodeInput.set(right, 1 + HASH_BYTES);
    return sha256(nodeInput);
  },
  hmac(key, data): Buffer {
    if (key.length !== HASH_BYTES || most(data) > PREPARED) return createHmac('sha256', key).update(data).digest();
    prepareKey(key);
    return Buffer.from(hmacPrepared(data, 'binary'), 'binary');
  },
  sha256,
  derivedHmac(key, label, data) {
    if (key.length !== HASH_BYTES || most(label) > PREPARED || most(data) > PREPARED) {
      const derived = createHmac('sha256', key).update(label).digest();
      return createHmac('sha256', derived).update(data).digest('base64');
    }
    prepareKey(key);
    prepareBinaryKey(hmacPrepared(label, 'binary'));
    return hmacPrepared(data, 'base64');
  },
} satisfies Hasher;
