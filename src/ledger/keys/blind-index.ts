import { hkdfSync } from 'node:crypto';
import { nodeHasher } from '../crypto/node-hasher.js';
import { KEY } from '../crypto/seal-in-place.js';

/** The file of the key from which those of blind indexes and MACs are derived. */
export const INDEX_KEY = 'index.key';

/** Finds secret values again without storing them. */
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
   * HMAC-SHA-256 with a key per purpose (claim secrets, patients' tokens, idempotency keys). The length of each part
   * stands before it, so that no two lists of parts give the same bytes.
   */
  mac(purpose: string, ...parts: string[]): Buffer {
    let data = '';
    for (const part of parts) data += `${Buffer.byteLength(part)}:${part}`;
    return nodeHasher.hmac(this.keyOf(purpose), data);
  }

  /** Finds an encrypted value again without telling it. A key per domain. */
  of(domain: string, parts: readonly string[]): Buffer {
    return this.mac(`blind/${domain}`, ...parts);
  }

  /** A key for each use, derived by HKDF (RFC 5869). */
  private keyOf(purpose: string): Uint8Array {
    let key = this.purposes.get(purpose);
    if (!key) {
      key = Buffer.from(hkdfSync('sha256', this.root, this.origin, `rxledger/${purpose}/v1`, KEY));
      this.purposes.set(purpose, key);
    }
    return key;
  }
}
