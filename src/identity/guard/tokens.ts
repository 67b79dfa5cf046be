import { createHash, createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import { exportJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../time/clock.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';
import type { Actor } from '../../ledger/model.js';

/** A token's life. Short, since only disabling the account ends it earlier. */
export const TOKEN_SECONDS = 900;
/** A disabled account's tokens stop working within this time, and at once in the process that disabled it. */
export const RECHECK_SECONDS = 30;
/** Number of cached verified tokens: checking an EdDSA signature again costs about 240 µs. */
const CACHED_TOKENS = 10_000;

export const ISSUER = 'rxledger';
export const AUDIENCE = 'rxledger-api';

const claims = z.object({
  sub: z.string(),
  exp: z.number(),
  role: z.enum(['prescriber', 'pharmacist', 'patient', 'auditor', 'administrator']),
  org: z.string().nullable(),
  patient: z.string().nullable(),
});

interface Verified {
  readonly actor: Actor;
  /** ms since 1970 */
  readonly expiresAt: number;
  recheckAt: number;
  /** A check under way, so that a burst of requests asks the database only once. */
  recheck: Promise<Actor | null> | null;
}

/** The built-in identity provider's access tokens: JWT (RFC 7519) signed with EdDSA (RFC 8037). */
export class Tokens {
  private readonly privateKey: KeyObject;
  private readonly publicKey: KeyObject;
  private readonly keyId: string;
  private readonly verified = new Map<string, Verified>();

  /**
   * @param seed 32 bytes, the Ed25519 private key
   * @param isActive whether the account exists and is not disabled
   */
  constructor(
    seed: Buffer,
    private readonly clock: Clock,
    private readonly isActive: (accountId: string) => Promise<boolean>,
    private readonly cached = CACHED_TOKENS,
  ) {
    this.privateKey = ed25519FromSeed(seed).privateKey;
    this.publicKey = createPublicKey(this.privateKey);
    const raw = this.publicKey.export({ format: 'der', type: 'spki' });
    this.keyId = createHash('sha256').update(raw).digest('base64url').slice(0, 16);
  }

  /** @returns a token for the actor and its life in seconds */
  async issue(actor: Actor): Promise<{ accessToken: string; expiresIn: number }> {
    const now = Math.floor(this.clock.now() / 1000);
    const accessToken = await new SignJWT({ role: actor.role, org: actor.org, patient: actor.patient })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: this.keyId })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(actor.id)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + TOKEN_SECONDS)
      .sign(this.privateKey);
    return { accessToken, expiresIn: TOKEN_SECONDS };
  }

  /** @returns the token's actor; null when the token is invalid. Not a promise when the token is known already. */
  verify(token: string): Actor | null | Promise<Actor | null> {
    const known = this.verified.get(token);
    if (!known) return this.verifyAnew(token);
    const now = this.clock.now();
    if (known.expiresAt <= now) {
      this.verified.delete(token);
      return null;
    }
    if (now < known.recheckAt) return known.actor;
    known.recheck ??= this.recheck(token, known);
    return known.recheck;
  }

  /** Drops an account's verified tokens: its next request asks the database. */
  forget(accountId: string): void {
    for (const [token, { actor }] of this.verified) if (actor.id === accountId) this.verified.delete(token);
  }

  /** Drops the verified tokens of a patient's accounts, which may be gone already. */
  forgetPatient(id: string): void {
    for (const [token, { actor }] of this.verified) if (actor.patient === id) this.verified.delete(token);
  }

  /** RFC 7517: the public key in the form that others fetch. */
  async jwks(): Promise<{ keys: JWK[] }> {
    return { keys: [{ ...(await exportJWK(this.publicKey)), alg: 'EdDSA', use: 'sig', kid: this.keyId }] };
  }

  private async verifyAnew(token: string): Promise<Actor | null> {
    let payload: unknown;
    try {
      const verification = await jwtVerify(token, this.publicKey, {
        algorithms: ['EdDSA'],
        typ: 'at+jwt',
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp', 'iat', 'jti'],
        currentDate: new Date(this.clock.now()),
      });
      payload = verification.payload;
    } catch {
      return null;
    }
    const parsed = claims.safeParse(payload);
    if (!parsed.success) return null;
    const { sub, exp, role, org, patient } = parsed.data;
    if (!(await this.isActive(sub))) return null;
    const actor: Actor = { id: sub, role, org, patient };
    if (this.verified.size >= this.cached) {
      const oldest = this.verified.keys().next();
      if (!oldest.done) this.verified.delete(oldest.value);
    }
    this.verified.set(token, {
      actor,
      expiresAt: exp * 1000,
      recheckAt: this.clock.now() + RECHECK_SECONDS * 1000,
      recheck: null,
    });
    return actor;
  }

  private async recheck(token: string, known: Verified): Promise<Actor | null> {
    try {
      if (!(await this.isActive(known.actor.id))) {
        this.verified.delete(token);
        return null;
      }
      known.recheckAt = this.clock.now() + RECHECK_SECONDS * 1000;
      return known.actor;
    } finally {
      known.recheck = null;
    }
  }
}
