import { type PublicJwk, thumbprint } from '../ledger/core/record/public-key.js';

/** Keys whose private half stands in a published text: anybody can sign with them. By their thumbprint (RFC 7638). */
const PUBLISHED: ReadonlySet<string> = new Set([
  // RFC 8037 appendix A, also the first test of RFC 8032
  'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  // RFC 7515 appendix A.3
  'oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U',
  // RFC 7517 appendix A.2
  'cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s',
]);

export const PUBLISHED_KEY = 'is an example key whose private half is published: make a key of your own';

/** Whether anybody can sign with this key. Other kinds than those of {@link PublicJwk} are not known here. */
export function isPublishedKey(key: { readonly kty: string; readonly crv?: string; x?: string; y?: string }): boolean {
  const { kty, crv, x, y } = key;
  return PUBLISHED.has(thumbprint((y === undefined ? { kty, crv, x } : { kty, crv, x, y }) as PublicJwk));
}

/** For examples. Nobody has its private half: it was thrown away when the key was made. */
export const EXAMPLE_KEY = { kty: 'OKP', crv: 'Ed25519', x: 'w8blg1BwkX-od4tZtTaHw2avMjnqXm5_8hQ03Dua7-A' } as const;
