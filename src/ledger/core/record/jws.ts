import { concat, EncodingError, fromBase64Url, fromUtf8, toBase64Url, utf8 } from '../bytes.js';
import { isObject } from '../jcs.js';
import type { CheckSignature, PublicJwk } from './public-key.js';

/** The text is not a detached JWS in the accepted form. The message never repeats it. */
export class JwsError extends Error {
  override readonly name = 'JwsError';
}

/** RFC 8037 `EdDSA`, its RFC 9864 name `Ed25519`, and RFC 7518 `ES256`: the curve of each. */
const CURVES = { EdDSA: 'Ed25519', Ed25519: 'Ed25519', ES256: 'P-256' } as const;
export type JwsAlgorithm = keyof typeof CURVES;

/** A detached JWS (RFC 7515 appendix F) with unencoded payload (RFC 7797), checked for its form only. */
export interface DetachedJws {
  readonly alg: JwsAlgorithm;
  readonly kid: string;
  /** The protected header, verbatim. */
  readonly header: string;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

const SIGNATURE_BYTES = 64;
const LONGEST = 1024;
const PARTS = /^([\w-]+)\.\.([\w-]+)$/;
/** A thumbprint: base64url of SHA-256. */
const KID = /^[\w-]{43}$/;

/**
 * Reads `<header>..<signature>`. The header holds exactly `alg`, `b64` (false), `crit` (["b64"]) and `kid`, in any
 * order, as JSON without white space; base64url has no stray bits. So each JWS has exactly one spelling.
 * @throws JwsError
 */
export function parseDetachedJws(text: string): DetachedJws {
  const [, header, signature] = (text.length <= LONGEST && PARTS.exec(text)) || [];
  if (header === undefined || signature === undefined) throw new JwsError('not a detached JWS');
  let members: unknown;
  let bytes: Uint8Array;
  try {
    const json = fromUtf8(fromBase64Url(header));
    members = JSON.parse(json);
    // Repeated members, escapes and white space do not survive parsing and writing, so they are refused.
    if (JSON.stringify(members) !== json)
      throw new JwsError('header is spelled otherwise than JSON without white space');
    bytes = fromBase64Url(signature);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof EncodingError) throw new JwsError('header or signature');
    throw error;
  }
  if (!isObject(members) || Object.keys(members).toSorted().join() !== 'alg,b64,crit,kid')
    throw new JwsError('header must have alg, b64, crit and kid, and nothing else');
  const { alg, b64, crit, kid } = members;
  if (typeof alg !== 'string' || !Object.hasOwn(CURVES, alg)) throw new JwsError('alg');
  if (b64 !== false || !Array.isArray(crit) || crit.length !== 1 || crit[0] !== 'b64') throw new JwsError('b64, crit');
  if (typeof kid !== 'string' || !KID.test(kid)) throw new JwsError('kid');
  if (bytes.length !== SIGNATURE_BYTES) throw new JwsError('signature is not 64 bytes');
  return { alg: alg as JwsAlgorithm, kid, header, signature: bytes };
}

/** Whether the key has signed the payload. False for an algorithm that does not fit the key. */
export function holdsFor(jws: DetachedJws, key: PublicJwk, payload: Uint8Array, check: CheckSignature): boolean {
  return key.crv === CURVES[jws.alg] && check(key, signingInput(jws.header, payload), jws.signature);
}

/**
 * Makes a detached JWS.
 * @param sign signs the signing input; returns 64 bytes in the form of {@link CheckSignature}
 */
export function signDetached(
  alg: JwsAlgorithm,
  kid: string,
  payload: Uint8Array,
  sign: (input: Uint8Array) => Uint8Array,
): string {
  const header = toBase64Url(utf8(JSON.stringify({ alg, b64: false, crit: ['b64'], kid })));
  return `${header}..${toBase64Url(sign(signingInput(header, payload)))}`;
}

/** RFC 7797 section 3: the encoded header, a dot, the unencoded payload. */
function signingInput(header: string, payload: Uint8Array): Uint8Array {
  return concat(utf8(`${header}.`), payload);
}
