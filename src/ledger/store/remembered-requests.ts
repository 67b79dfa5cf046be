/** What the ledger remembers of requests with an `Idempotency-Key` (design 3): only MACs. */
import type { Idempotency } from '../model.js';
import type { Vault } from '../keys/vault.js';

/** A remembered request: its events stand at `first … first + count - 1`. */
export interface RememberedRequest {
  readonly request: Buffer;
  readonly first: number;
  readonly count: number;
  /** Chain numbers by the position of the chain in the command. */
  readonly chains: readonly number[];
  /**
   * When the key was first used, ms since 1970; null for a signed request. Its key is the commandId that the actor
   * signed, which is used once for ever, so that its row is never pruned.
   */
  readonly usedAt: number | null;
}

const MAC_BYTES = 32;

/** How long a request is remembered at least, ms: 30 days. Then its key may be pruned, and the same key is a new request. */
export const REQUEST_LIFE_MS = 30 * 24 * 60 * 60 * 1000;

/** Under which a request is remembered: its client and the key that the client chose. */
export function idempotencyKey(vault: Vault, { client, key }: Pick<Idempotency, 'client' | 'key'>): Buffer {
  return vault.index.mac('idempotency-key', client, key);
}

/** By which the same request is known again. */
export function requestMac(vault: Vault, { client, request }: Pick<Idempotency, 'client' | 'request'>): Buffer {
  return vault.index.mac('idempotency-request', client, request);
}

/** In place of the MAC of a request about what was erased since: it is known by its key alone. */
export const FORGOTTEN = Buffer.alloc(MAC_BYTES);

/** Whether a request under a known key is the one that is remembered; of a forgotten one nobody can tell any more. */
export function isSameRequest(remembered: RememberedRequest, request: Buffer): boolean {
  return remembered.request.equals(request) || remembered.request.equals(FORGOTTEN);
}

/** The request's MAC out of column `request`, which holds MAC || seal. */
export const requestOf = (column: Buffer): Buffer => column.subarray(0, MAC_BYTES);

/** Binds a remembered request to its events: an edited row is found by `verify`. @param chains as stored */
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
