import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenLocally } from '../cli/machine.js';
import { tokensOf } from './replica-server.js';

let server: Server;
let address = '';
let sent = 0;
beforeAll(async () => {
  server = createServer((_, response) => {
    const chunk = Buffer.alloc(65_536, ' ');
    const send = () => {
      do sent += chunk.length;
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', send);
    send();
  });
  address = `http://127.0.0.1:${await listenLocally(server)}`;
});
afterAll(() => server.close());

describe('the keys by which a replica knows tokens', () => {
  it('are no more than a key set can be, whatever the service sends', async () => {
    const token = await new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'a' })
      .sign(generateKeyPairSync('ed25519').privateKey);
    expect(await tokensOf(address)(`Bearer ${token}`)).toBe('away');
    // What the sockets hold between the two.
    expect(sent).toBeLessThan(32_000_000);
  });
});
