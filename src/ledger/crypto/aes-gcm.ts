import { createDecipheriv } from 'node:crypto';
import { freshBytes } from './random.js';
import { KEY, NONCE, OVERHEAD, sealInPlace, TAG } from './seal-in-place.js';

/** A ciphertext cannot be opened: wrong key, wrong place or changed bytes. The message holds no plaintext. */
export class VaultError extends Error {}

/** AES-256-GCM: nonce || ciphertext || tag. @param aad place that the ciphertext is bound to */
export function encrypt(key: Uint8Array, aad: string, plain: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(plain.length + OVERHEAD);
  sealed.set(plain, NONCE);
  sealInPlace(sealed, key, aad, freshBytes(NONCE));
  return sealed;
}

/** @throws {VaultError} when the key, the place or the bytes are wrong */
export function decrypt(key: Uint8Array, aad: string, sealed: Uint8Array): Buffer {
  if (sealed.length < NONCE + TAG) throw new VaultError('sealed bytes are too short');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(Buffer.from(aad));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE, sealed.length - TAG)), decipher.final()]);
  } catch {
    throw new VaultError('sealed bytes do not fit their key or place');
  }
}

export function freshKey(): Uint8Array {
  return freshBytes(KEY);
}
