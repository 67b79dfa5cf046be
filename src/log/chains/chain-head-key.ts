import { sign } from 'node:crypto';
import {
  type SignedChainHead,
  chainHeadKeyName,
  formatChainHead,
} from '../../ledger/core/statements/chain-head-note.js';
import { formatVerifierKey, KEY_TYPE, keyId, type NoteSigner, signNote } from '../../ledger/core/tlog/note.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';

/** File of the keys folder: 32 bytes. */
export const CHAIN_HEAD_KEY_FILE = 'chain-head.key';

/** Signs chain heads for one log, with node:crypto. */
export class ChainHeadKey {
  /** C2SP verifier key, `<origin>/chain-heads+<key id>+<base64>`. */
  readonly vkey: string;
  private readonly signer: NoteSigner;

  /** @param seed 32 bytes (RFC 8032) */
  constructor(
    readonly origin: string,
    seed: Uint8Array,
  ) {
    const name = chainHeadKeyName(origin);
    const { privateKey, publicKey } = ed25519FromSeed(seed);
    this.vkey = formatVerifierKey(name, KEY_TYPE.ed25519, publicKey);
    this.signer = {
      name,
      keyId: keyId(name, KEY_TYPE.ed25519, publicKey),
      sign: (message) => sign(null, message, privateKey),
    };
  }

  /** A signed note. */
  head(head: Omit<SignedChainHead, 'origin'>): string {
    return signNote(formatChainHead({ ...head, origin: this.origin }), [this.signer]);
  }
}
