import { basename, dirname } from 'node:path';
import { loadOrCreateKey } from '../../ledger/crypto/key-files.js';
import { publicJwk } from './client-token.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';

/**
 * `rxledger keys new machine|person <file>`: makes a private key in the file (32 bytes, 0600) unless there is one, and
 * prints its public key. For a machine it is a JWK Set (`POST /api/clients`), for a person the body of `POST
 * /api/actor-keys`.
 */
export async function runNewKey(
  owner: 'machine' | 'person',
  file: string,
  { json }: CommonOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const key = await publicJwk(loadOrCreateKey(dirname(file), basename(file)));
  const { kty, crv, x } = key;
  const printed = owner === 'person' ? { jwk: { kty, crv, x } } : { keys: [key] };
  terminal.out(JSON.stringify(printed, null, json ? undefined : 2));
  return EXIT.ok;
}
