import { type KeyObject, sign } from 'node:crypto';
import { concat, utf8 } from '../../ledger/core/bytes.js';
import {
  appendSignature,
  cosignedText,
  formatVerifierKey,
  KEY_TYPE,
  parseVerifierKey,
  splitNote,
  type VerifierKey,
} from '../../ledger/core/tlog/note.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';

/** A witness's name and key: makes cosignatures (C2SP tlog-cosignature, cosignature/v1). */
export class WitnessKey {
  /** `<name>+<key id>+<base64(0x04 || public key)>` */
  readonly vkey: string;
  readonly verifier: VerifierKey;
  private readonly privateKey: KeyObject;

  /**
   * @param name a URL without its scheme, by which people know the witness
   * @param seed 32 bytes (RFC 8032)
   * @throws NoteError when the name cannot name a key
   */
  constructor(name: string, seed: Uint8Array) {
    const { privateKey, publicKey } = ed25519FromSeed(seed);
    this.privateKey = privateKey;
    this.vkey = formatVerifierKey(name, KEY_TYPE.cosignature, publicKey);
    this.verifier = parseVerifierKey(this.vkey);
  }

  /**
   * The note with this key's signature line at its end: 8 bytes of POSIX seconds, big-endian, and an Ed25519 signature.
   * @param seconds POSIX seconds; a safe integer
   */
  cosign(note: string, seconds: number): string {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(seconds));
    const message = utf8(cosignedText(splitNote(note).text, BigInt(seconds)));
    return appendSignature(note, this.verifier, concat(time, sign(null, message, this.privateKey)));
  }
}
