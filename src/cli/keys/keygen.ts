import { basename, dirname } from 'node:path';
import { loadOrCreateKey } from '../../ledger/crypto/key-files.js';
import { publicJwk } from './client-token.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';

export interface KeygenOptions extends CommonOptions {
  readonly actor?: boolean;
}

/**
 * `rxledger keygen <file>`: a private key in a file (32 bytes, 0600); its public key as a machine's JWK Set, or, for
 * an actor, as `POST /api/actor-keys` takes it.
 */
export async function runKeygen(file: string, { json, actor }: KeygenOptions, terminal: Terminal): Promise<ExitCode> {
  const key = await publicJwk(loadOrCreateKey(dirname(file), basename(file)));
  const { kty, crv, x } = key;
  const printed = actor ? { jwk: { kty, crv, x } } : { keys: [key] };
  terminal.out(JSON.stringify(printed, null, json ? undefined : 2));
  return EXIT.ok;
}
