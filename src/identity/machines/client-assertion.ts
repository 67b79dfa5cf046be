/**
 * Client assertions: JWTs by which machines sign in (RFC 7523 section 3, `private_key_jwt` of OpenID Connect). Pure,
 * except for jose.
 */
import { createLocalJWKSet, decodeJwt, errors, jwtVerify, type JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { ASSERTION_ALGORITHMS, type Jwks } from './client-keys.js';

export const TOKEN_PATH = '/api/auth/token';
export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Longest remaining life of an assertion (from SMART Backend Services). Its `jti` is remembered as long. */
export const LONGEST_LIFE_SECONDS = 300;
/** How far the client's clock may be off. */
export const SKEW_SECONDS = 30;

/** Most assertions have no specific `typ`. Any other value means that the JWT was made for another purpose. */
const TYPES = [undefined, 'jwt', 'client-authentication+jwt'];

/** Lower case only, so that an id has one spelling. */
const id = z.uuid({ version: 'v4' }).refine((text) => text === text.toLowerCase());
const jti = z.string().min(1).max(255);

/**
 * The fault of an assertion. `unproven`: nothing shows that the client made it, so the answer is the same as for a
 * client that does not exist. All other faults are only reported when the client's own key has signed the assertion.
 */
export type AssertionFault = 'unproven' | 'typ' | 'iss' | 'sub' | 'aud' | 'exp' | 'nbf' | 'iat' | 'jti' | 'used';

export type CheckedAssertion =
  | { readonly jti: string; readonly expiresAt: number }
  | { readonly fault: AssertionFault };

/** @returns the client that the assertion names; null when it is not a JWT or names none */
export function claimedClient(assertion: string): string | null {
  try {
    return id.safeParse(decodeJwt(assertion).iss).data ?? null;
  } catch {
    return null;
  }
}

/**
 * The accepted audiences of an assertion: the token endpoint (RFC 7523, SMART) or the issuer (OpenID Connect). Never
 * taken from the request (`Host`, `X-Forwarded-Host`): whoever relays an assertion made for another server could write
 * a fitting value there. Without a public address they are this machine's local names.
 * @param localPort port at which the request arrived
 */
export function audiencesOf(publicUrl: string | undefined, localPort: number | undefined): string[] {
  const issuers =
    publicUrl === undefined
      ? ['localhost', '127.0.0.1', '[::1]'].map((host) => `http://${host}:${localPort}`)
      : [publicUrl];
  return issuers.flatMap((issuer) => [issuer, issuer + TOKEN_PATH]);
}

/**
 * Checks an assertion against the keys of the client that it names. The caller must check that it was not used before.
 * @param now ms since 1970
 * @returns its `jti` and its end (ms since 1970), or the first fault
 */
export async function checkAssertion(
  assertion: string,
  { client, keys, audiences, now }: { client: string; keys: Jwks; audiences: readonly string[]; now: number },
): Promise<CheckedAssertion> {
  let verified;
  try {
    verified = await jwtVerify(assertion, createLocalJWKSet(keys as JSONWebKeySet), {
      algorithms: ASSERTION_ALGORITHMS,
      issuer: client,
      subject: client,
      audience: [...audiences],
      requiredClaims: ['exp', 'jti'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(now),
    });
  } catch (error) {
    return { fault: faultOf(error) };
  }
  const { payload, protectedHeader } = verified;
  if (!TYPES.includes(protectedHeader.typ?.toLowerCase())) return { fault: 'typ' };
  // With several audiences, each of these servers could use the assertion at the others.
  if (Array.isArray(payload.aud) && payload.aud.length !== 1) return { fault: 'aud' };
  const seconds = now / 1000;
  const { exp = Number.NaN, iat = seconds } = payload;
  if (!(exp <= seconds + LONGEST_LIFE_SECONDS + SKEW_SECONDS)) return { fault: 'exp' };
  if (!(iat <= seconds + SKEW_SECONDS)) return { fault: 'iat' };
  const single = jti.safeParse(payload.jti);
  return single.success ? { jti: single.data, expiresAt: exp * 1000 } : { fault: 'jti' };
}

const CLAIMS = z.enum(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti']);

/** jose checks claims only after the signature. */
function faultOf(error: unknown): AssertionFault {
  if (error instanceof errors.JWTExpired) return 'exp';
  if (error instanceof errors.JWTClaimValidationFailed) return CLAIMS.safeParse(error.claim).data ?? 'unproven';
  return 'unproven';
}
