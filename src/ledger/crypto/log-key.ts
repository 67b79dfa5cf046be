import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { formatCheckpoint } from '../core/tlog/checkpoint.js';
import { formatRotation } from '../core/statements/key-rotation.js';
import { formatVerifierKey, keyId, signNote, type NoteSigner } from '../core/tlog/note.js';

/** Algorithm byte of Ed25519 in C2SP signed-note. */
const ED25519 = 0x01;
/** DER of a PKCS#8 Ed25519 private key up to its 32-byte seed (RFC 8410 section 7). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** @param seed 32 bytes (RFC 8032) */
export function ed25519FromSeed(seed: Uint8Array): { privateKey: KeyObject; publicKey: Buffer } {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { privateKey, publicKey: spki.subarray(spki.length - 32) };
}

/** The log's name and key: signs checkpoints with node:crypto. */
export class LogKey {
  /** C2SP verifier key, `<origin>+<key id>+<base64>`. */
  readonly vkey: string;
  readonly signer: NoteSigner;

  constructor(
    readonly origin: string,
    seed: Uint8Array,
  ) {
    const { privateKey, publicKey } = ed25519FromSeed(seed);
    this.vkey = formatVerifierKey(origin, ED25519, publicKey);
    this.signer = {
      name: origin,
      keyId: keyId(origin, ED25519, publicKey),
      sign: (message) => sign(null, message, privateKey),
    };
  }

  /** A signed checkpoint (C2SP tlog-checkpoint). @param root 32 bytes */
  checkpoint(size: number, root: Uint8Array): string {
    return signNote(formatCheckpoint({ origin: this.origin, size, root }), [this.signer]);
  }
}

/** Data of the event by which `next` replaces `old` after this tree. @param root 32 bytes */
export function rotationData(old: LogKey, next: LogKey, size: number, root: Uint8Array) {
  const [from, to] = [old.vkey, next.vkey];
  const text = formatRotation({ origin: old.origin, from, to, size, root });
  return { from, to, statement: signNote(text, [old.signer, next.signer]) };
}

/** The checkpoint of the tree that contains the event, signed by both keys. @param root 32 bytes */
export function handOverCheckpoint(old: LogKey, next: LogKey, size: number, root: Uint8Array): string {
  return signNote(formatCheckpoint({ origin: old.origin, size, root }), [old.signer, next.signer]);
}
