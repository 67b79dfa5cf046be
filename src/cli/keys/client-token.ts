/** A machine's side of signing in: an Ed25519 key signs an assertion (RFC 7523), which gets an access token. */
import { createPublicKey, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../time/clock.js';
import { bodyOf, within } from '../../net/untrusted-answer.js';
import { ASSERTION_TYPE, TOKEN_PATH } from '../../identity/machines/client-assertion.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';
import { contentOf } from '../files.js';
import { EnvironmentError } from '../terminal.js';

/** Short, since an assertion is used at once. */
const ASSERTION_SECONDS = 60;
/** A token is renewed this long before its end, so that a request with it still arrives in time. */
const RENEW_BEFORE_MS = 60_000;
const TIMEOUT_MS = 10_000;
/** Far more than a token's few hundred bytes. */
const MOST_BYTES = 65_536;

const granted = z.object({ access_token: z.string(), expires_in: z.number().positive() });
const refused = z.object({
  error: z.string().regex(/^[a-z_]{1,40}$/),
  error_description: z
    .string()
    .regex(/^[\x20-\x7e]{1,200}$/)
    .optional(),
});

/** The public key in the form of `POST /api/clients`. @param seed 32 bytes */
export async function publicJwk(seed: Uint8Array): Promise<JWK> {
  const jwk = await exportJWK(createPublicKey(ed25519FromSeed(seed).privateKey));
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: 'EdDSA', use: 'sig' };
}

/** @param seed 32 bytes; @param now ms since 1970 */
export async function makeAssertion(
  clientId: string,
  seed: Uint8Array,
  audience: string,
  now: number,
): Promise<string> {
  const seconds = Math.floor(now / 1000);
  const { kid = '' } = await publicJwk(seed);
  return new SignJWT()
    .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(audience)
    .setJti(randomUUID())
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + ASSERTION_SECONDS)
    .sign(ed25519FromSeed(seed).privateKey);
}

/** A machine's access token at one server, fetched on demand and renewed before it ends. */
export class ClientToken {
  private current: { readonly token: string; readonly renewAt: number } | null = null;
  private fetching: Promise<string> | null = null;

  /**
   * @param server its public address, `https://…`, which is also the audience of the assertion
   * @param seed 32 bytes, the private key
   * @param stop ends requests under way
   */
  constructor(
    private readonly server: string,
    private readonly clientId: string,
    private readonly seed: Uint8Array,
    private readonly clock: Clock,
    private readonly stop?: AbortSignal,
  ) {}

  /**
   * @returns the token for the Authorization header, as Bearer
   * @throws {EnvironmentError} when the server refuses or cannot be reached
   */
  async get(): Promise<string> {
    if (this.current && this.clock.now() < this.current.renewAt) return this.current.token;
    this.fetching ??= this.fetch().finally(() => (this.fetching = null));
    return this.fetching;
  }

  private async fetch(): Promise<string> {
    const asked = this.clock.now();
    const assertion = await makeAssertion(this.clientId, this.seed, endpoint(this.server), asked);
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: assertion,
    });
    const { status, answer } = await within(TIMEOUT_MS, this.stop, async (signal) => {
      const response = await fetch(endpoint(this.server), {
        method: 'POST',
        body,
        // A redirect would send the assertion to another server.
        redirect: 'error',
        signal,
      });
      const said = await bodyOf(response, MOST_BYTES, signal);
      return { status: response.status, answer: JSON.parse(said.toString()) as unknown };
    }).catch(() => {
      throw new EnvironmentError(`no access token: ${this.server} does not answer as a ledger does`);
    });
    const { data } = granted.safeParse(answer);
    if (status !== 200 || !data) throw new EnvironmentError(`no access token: ${reason(status, answer)}`);
    this.current = { token: data.access_token, renewAt: asked + data.expires_in * 1000 - RENEW_BEFORE_MS };
    return data.access_token;
  }
}

/** Characters of a bearer token (RFC 6750), at most as long as a header may be. */
const TOKEN = /^[\w.~+/-]{1,8192}=*$/;

/**
 * An access token in a file that another program renews.
 * @param file read anew for each call
 * @returns gives the token for the Authorization header, as Bearer; rejects with {@link EnvironmentError} when there is
 * none
 */
export function tokenIn(file: string): () => Promise<string> {
  return async () => {
    const text = (await contentOf(file)).toString();
    if (!TOKEN.test(text.trim())) throw new EnvironmentError(`${file} holds no access token`);
    return text.trim();
  };
}

const endpoint = (server: string): string => server.replace(/\/+$/, '') + TOKEN_PATH;

function reason(status: number, answer: unknown): string {
  const { data } = refused.safeParse(answer);
  if (!data) return `the server said ${status}`;
  return data.error_description === undefined ? data.error : `${data.error} (${data.error_description})`;
}
