import { hkdfSync } from 'node:crypto';
import { nodeHasher } from '../crypto/node-hasher.js';
import { KEY } from '../crypto/seal-in-place.js';

/** File of the key from which the keys of blind indexes and MACs are derived. */
export const INDEX_KEY = 'index.key';

/** Looks up secret values without storing them. */
export class BlindIndex {
  private readonly purposes = new Map<string, Uint8Array>();

  /**
   * @param root the key of {@link INDEX_KEY}, 32 bytes
   * @param origin the log's first name
   */
  constructor(
    private readonly root: Uint8Array,
    private readonly origin: string,
  ) {}

  /**
   * HMAC-SHA-256 with a key per purpose (claim secrets, patients' tokens, idempotency keys). Each part is prefixed with
   * its length, so that no two lists of parts give the same bytes.
   */
  mac(purpose: string, ...parts: string[]): Buffer {
    let data = '';
    for (const part of parts) data += `${Buffer.byteLength(part)}:${part}`;
    return nodeHasher.hmac(this.keyOf(purpose), data);
  }

  /** Looks up an encrypted value without revealing it. Each domain has its own key. */
  of(domain: string, parts: readonly string[]): Buffer {
    return this.mac(`blind/${domain}`, ...parts);
  }

  /** A key per purpose, derived by HKDF (RFC 5869). */
  private keyOf(purpose: string): Uint8Array {
    let key = this.purposes.get(purpose);
    if (!key) {
      key = Buffer.from(hkdfSync('sha256', this.root, this.origin, `rxledger/${purpose}/v1`, KEY));
      this.purposes.set(purpose, key);
    }
    return key;
  }
}
