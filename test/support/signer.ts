/** An actor's key pair, and signing with it. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type JwsAlgorithm, signDetached } from '../../src/ledger/core/record/jws.js';
import { isPublicJwk, type PublicJwk, thumbprint } from '../../src/ledger/core/record/public-key.js';
import { type Statement, statementBytes } from '../../src/ledger/core/record/statement.js';
import type { Answer, Caller } from './api.js';

export interface Signer {
  readonly jwk: PublicJwk;
  readonly kid: string;
  /** A detached JWS over the statement. */
  sign(statement: Statement): string;
}

export function newSigner(crv: PublicJwk['crv'] = 'Ed25519', alg?: JwsAlgorithm): Signer {
  const { privateKey } =
    crv === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return signerOf(privateKey, alg);
}

/** @param der PKCS#8, base64 */
export function storedSigner(der: string): Signer {
  return signerOf(createPrivateKey({ key: Buffer.from(der, 'base64'), format: 'der', type: 'pkcs8' }));
}

function signerOf(privateKey: KeyObject, alg?: JwsAlgorithm): Signer {
  const { d: _secret, ...jwk } = privateKey.export({ format: 'jwk' });
  if (!isPublicJwk(jwk)) throw new Error('a key of neither curve');
  const kid = thumbprint(jwk);
  const algorithm = alg ?? (jwk.crv === 'Ed25519' ? 'EdDSA' : 'ES256');
  const digest = jwk.crv === 'Ed25519' ? null : 'sha256';
  return {
    jwk,
    kid,
    sign: (statement) =>
      signDetached(algorithm, kid, statementBytes(statement), (input) =>
        sign(digest, input, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
      ),
  };
}

/** The statement that the service wants signed. @throws {Error} when there is none */
export function statementIn({ body }: Answer): Statement {
  if (body.code !== 'signature.required') throw new Error(`no statement: ${JSON.stringify(body)}`);
  return body.statement as Statement;
}

/**
 * Sends a request that must be signed: gets the statement, puts ids chosen by the service into the body, signs, and
 * sends again.
 * @param proposed members of the body that take ids from the statement
 */
export async function postSigned(
  caller: Caller,
  signer: Signer,
  path: string,
  body: object,
  key: string,
  proposed: (statement: Statement) => object = () => ({}),
): Promise<Answer> {
  const statement = statementIn(await caller.post(path, body, key));
  const signature = { jws: signer.sign(statement), occurredAt: statement.occurredAt };
  return caller.post(path, { ...body, ...proposed(statement), signature }, key);
}

/** Enrols a first key. */
export function enrol(caller: Caller, signer: Signer, key = `enrol ${signer.kid}`): Promise<Answer> {
  return postSigned(caller, signer, '/api/actor-keys', { jwk: signer.jwk }, key.replaceAll(' ', '-'));
}
