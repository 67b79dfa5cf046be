/** Machines that sign in by `private_key_jwt`; for people see `api.ts`. */
import { randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { publicJwk } from '../../src/cli/keys/client-token.js';
import { ASSERTION_TYPE, TOKEN_PATH } from '../../src/identity/machines/client-assertion.js';
import { ed25519FromSeed } from '../../src/ledger/crypto/log-key.js';
import { accepted, type Answer, type Api } from './api.js';

export interface Machine {
  /** Client id. */
  readonly id: string;
  /** Its private key, 32 bytes. */
  readonly seed: Buffer;
  readonly kid: string;
}

/** Registers a machine with a new key; its role is auditor by default. @throws {Error} when it is refused */
export async function register(api: Api, over: object = {}): Promise<Machine> {
  const seed = randomBytes(32);
  const jwk = await publicJwk(seed);
  const body = { role: 'auditor', name: 'A machine', jwks: { keys: [jwk] }, ...over };
  const { id } = accepted(await api.as('admin').post('/api/clients', body)).body;
  return { id, seed, kid: jwk.kid ?? '' };
}

/** A new assertion for this service; claims and header can be overridden. */
export function assertionOf(api: Api, { id, seed, kid }: Machine, claims: object = {}, header: object = {}) {
  const exp = Math.floor(api.clock.now() / 1000) + 60;
  return new SignJWT({ iss: id, sub: id, aud: api.address + TOKEN_PATH, jti: randomUUID(), exp, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid, ...header })
    .sign(ed25519FromSeed(seed).privateKey);
}

/** A token request of RFC 7523 section 2.2. */
export function tokenForm(assertion: string, over: Record<string, string> = {}): string {
  const form = { grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPE, client_assertion: assertion };
  return new URLSearchParams({ ...form, ...over }).toString();
}

/** Sends these bytes to the token endpoint. */
export async function sendForm(api: Api, body: string, type = 'application/x-www-form-urlencoded'): Promise<Answer> {
  const call = api.request.post(TOKEN_PATH).set('content-type', type);
  // Without this, superagent would encode the text as JSON.
  return call.serialize((text: unknown) => text as string).send(body);
}

export async function askToken(api: Api, assertion: string | Promise<string>): Promise<Answer> {
  return sendForm(api, tokenForm(await assertion));
}

/** An access token of the machine. @throws {Error} when it is refused */
export async function tokenOf(api: Api, machine: Machine): Promise<string> {
  return accepted(await askToken(api, assertionOf(api, machine))).body.access_token;
}
