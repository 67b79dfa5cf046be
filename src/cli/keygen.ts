import { basename, dirname } from 'node:path';
import { loadOrCreateKey } from '../ledger/key-files.js';
import { publicJwk } from './client-token.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from './terminal.js';

/** `rxledger keygen <file>`: a machine's private key in a file (32 bytes, 0600), its public key as JWK Set. */
export async function runKeygen(file: string, { json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  const jwks = { keys: [await publicJwk(loadOrCreateKey(dirname(file), basename(file)))] };
  terminal.out(JSON.stringify(jwks, null, json ? undefined : 2));
  return EXIT.ok;
}
