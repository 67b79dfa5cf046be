/** Remembered requests with an `Idempotency-Key` (design 3): only MACs are stored. */
import type { Idempotency } from '../model.js';
import type { Vault } from '../keys/vault.js';

/** A remembered request, whose events have log indexes `first … first + count - 1`. */
export interface RememberedRequest {
  readonly request: Buffer;
  readonly first: number;
  readonly count: number;
  /** Chain numbers by the position of the chain in the command. */
  readonly chains: readonly number[];
  /**
   * When the key was first used, ms since 1970; null for a signed request. Its key is the commandId that the actor
   * signed, which may be used only once ever, so its row is never pruned.
   */
  readonly usedAt: number | null;
}

const MAC_BYTES = 32;

/**
 * Shortest time for which a request is remembered, ms: 30 days. After that it may be pruned, and the same key is a new
 * request.
 */
export const REQUEST_LIFE_MS = 30 * 24 * 60 * 60 * 1000;

/** Key of the row: the client and the key that the client chose. */
export function idempotencyKey(vault: Vault, { client, key }: Pick<Idempotency, 'client' | 'key'>): Buffer {
  return vault.index.mac('idempotency-key', client, key);
}

/** Recognises the same request. */
export function requestMac(vault: Vault, { client, request }: Pick<Idempotency, 'client' | 'request'>): Buffer {
  return vault.index.mac('idempotency-request', client, request);
}

/** Replaces the MAC of a request about an erased chain, which is then recognised by its key only. */
export const FORGOTTEN = Buffer.alloc(MAC_BYTES);

/** Whether a request under a known key is the remembered one. A forgotten one counts as the same. */
export function isSameRequest(remembered: RememberedRequest, request: Buffer): boolean {
  return remembered.request.equals(request) || remembered.request.equals(FORGOTTEN);
}

/** The request's MAC from column `request`, which holds MAC || seal. */
export const requestOf = (column: Buffer): Buffer => column.subarray(0, MAC_BYTES);

/** Binds a remembered request to its events, so that `verify` finds an edited row. @param chains as stored */
export function requestSeal(
  vault: Vault,
  key: Buffer,
  { request, first, count, usedAt }: Omit<RememberedRequest, 'chains'>,
  chains: string,
): Buffer {
  return vault.index.mac(
    'idempotency-seal',
    key.toString('hex'),
    request.toString('hex'),
    String(first),
    String(count),
    chains,
    String(usedAt),
  );
}

/** The values of a row of table `idempotency`, in column order. */
export function requestRow(vault: Vault, key: Buffer, remembered: RememberedRequest) {
  const { request, first, count, chains, usedAt } = remembered;
  const places = JSON.stringify(chains);
  const seal = requestSeal(vault, key, remembered, places);
  return [key, Buffer.concat([request, seal]), first, count, places, usedAt] as const;
}
