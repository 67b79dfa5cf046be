// @ts-check
// JavaScript, so that a thread can be started from this file as it stands: Node 20 runs no TypeScript.
import { createCipheriv, randomFillSync } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';

export const NONCE = 12;
export const TAG = 16;
/** What a ciphertext is longer than its plaintext. */
export const OVERHEAD = NONCE + TAG;
export const KEY = 32;
/** Bytes of a {@link sealAll} record before its AAD: offset, length and length of the AAD (uint32, LE), key. */
export const RECORD = 12 + KEY;

/**
 * AES-256-GCM: turns the plaintext that stands behind room for a nonce, and before room for a tag, into
 * nonce || ciphertext || tag.
 * @param {Uint8Array} place as long as the ciphertext will be
 * @param {Uint8Array} key 32 bytes
 * @param {string | Uint8Array} aad
 * @param {Uint8Array} nonce 12 fresh random bytes
 * @returns {void}
 */
export function sealInPlace(place, key, aad, nonce) {
  const end = place.length - TAG;
  place.set(nonce);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG });
  cipher.setAAD(typeof aad === 'string' ? Buffer.from(aad) : aad);
  place.set(cipher.update(place.subarray(NONCE, end)), NONCE);
  // GCM is a stream: the end adds no bytes, but makes the tag.
  cipher.final();
  place.set(cipher.getAuthTag(), end);
}

/**
 * Seals many places of one memory and wipes the keys.
 * @param {Buffer} memory
 * @param {number} records where the records stand that say what to seal, one behind the other
 * @param {number} count how many
 * @returns {void}
 */
export function sealAll(memory, records, count) {
  const nonces = randomFillSync(Buffer.alloc(count * NONCE));
  let at = records;
  for (let done = 0; done < count; done++) {
    const from = memory.readUInt32LE(at);
    const place = memory.subarray(from, from + memory.readUInt32LE(at + 4));
    const end = at + RECORD + memory.readUInt32LE(at + 8);
    const key = memory.subarray(at + 12, at + RECORD);
    sealInPlace(place, key, memory.subarray(at + RECORD, end), nonces.subarray(done * NONCE, (done + 1) * NONCE));
    key.fill(0);
    at = end;
  }
}

/** @typedef {{ shared: SharedArrayBuffer, records: number, count: number }} Order what a thread is told */

const port = parentPort;
if (port && workerData === 'seal') {
  port.on('message', (/** @type {Order} */ { shared, records, count }) => {
    sealAll(Buffer.from(shared), records, count);
    port.postMessage(count);
  });
}
