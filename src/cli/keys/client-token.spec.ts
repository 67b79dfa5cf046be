import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endlessly } from '../../../test/support/endless.js';
import { SettableClock } from '../../time/clock.js';
import { checkAssertion } from '../../identity/machines/client-assertion.js';
import { type NewJwks, withKeyIds } from '../../identity/machines/client-keys.js';
import { ClientToken, makeAssertion, publicJwk } from './client-token.js';
import { listenLocally } from '../service/machine.js';
import { EnvironmentError } from '../terminal.js';

const CLIENT = '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a11';
const START = Date.parse('2026-03-10T12:00:00Z');
/** RFC 8037 appendix A.1. */
const seed = Buffer.from('nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A', 'base64url');

const say = (status: number, body: unknown) => (response: ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

describe('makeAssertion', () => {
  it('makes what the service takes for the key that it prints, each once', async () => {
    const jwk = await publicJwk(seed);
    expect(jwk).toEqual({
      kty: 'OKP',
      crv: 'Ed25519',
      x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
      kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
      alg: 'EdDSA',
      use: 'sig',
    });
    const keys = await withKeyIds({ keys: [jwk] } as unknown as NewJwks);
    const audience = 'https://rx.example/api/auth/token';
    const check = async () =>
      checkAssertion(await makeAssertion(CLIENT, seed, audience, START), {
        client: CLIENT,
        keys,
        audiences: [audience],
        now: START,
      });
    const [first, second] = [await check(), await check()];
    expect(first).toMatchObject({ expiresAt: START + 60_000 });
    expect(second).not.toEqual(first);
  });
});

describe('ClientToken', () => {
  const clock = new SettableClock(START);
  let server: Server;
  let address = '';
  let forms: URLSearchParams[] = [];
  let answer: (response: ServerResponse) => void;
  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        forms.push(new URLSearchParams(body));
        answer(response);
      });
    });
    address = `http://127.0.0.1:${await listenLocally(server)}`;
  });
  afterAll(() => server.close());

  const token = (url = address) => {
    forms = [];
    return new ClientToken(url, CLIENT, seed, clock);
  };

  it('asks once, however many ask it, and again a minute before the end', async () => {
    const client = token(`${address}/`);
    answer = say(200, { access_token: 'one', token_type: 'Bearer', expires_in: 900 });
    expect(await Promise.all([client.get(), client.get(), client.get()])).toEqual(['one', 'one', 'one']);
    clock.advance(839_000);
    expect(await client.get()).toBe('one');
    expect(forms).toHaveLength(1);
    clock.advance(1000);
    answer = say(200, { access_token: 'two', token_type: 'Bearer', expires_in: 900 });
    expect(await client.get()).toBe('two');
    expect(forms).toHaveLength(2);
    expect(new Set(forms.map((form) => form.get('client_assertion'))).size).toBe(2);
    expect([...(forms[0]?.keys() ?? [])].toSorted()).toEqual([
      'client_assertion',
      'client_assertion_type',
      'grant_type',
    ]);
  });

  it('says why it has none, and tries again when it is asked again', async () => {
    const client = token();
    answer = say(401, { error: 'invalid_client', error_description: 'exp must lie ahead', code: 'x' });
    await expect(client.get()).rejects.toThrow('no access token: invalid_client (exp must lie ahead)');
    answer = say(200, { access_token: 'three', token_type: 'Bearer', expires_in: 900 });
    expect(await client.get()).toBe('three');
  });

  it.each<[string, (response: ServerResponse) => void, string]>([
    ['an error alone', say(401, { error: 'invalid_client' }), 'invalid_client'],
    ['a problem', say(503, { code: 'ledger.unavailable' }), 'the server said 503'],
    ['text that could steer a terminal', say(401, { error: '\u001B[2J' }), 'the server said 401'],
    ['no token', say(200, { token_type: 'Bearer' }), 'the server said 200'],
    ['no JSON', (response) => void response.end('<html>'), 'does not answer as a ledger does'],
    [
      'another address',
      (response) => void response.writeHead(307, { location: '/elsewhere' }).end(),
      'does not answer',
    ],
    ['nothing', (response) => void response.destroy(), 'does not answer'],
  ])('takes %s for no token', async (_, said, message) => {
    const client = token();
    answer = said;
    const asked = client.get();
    await expect(asked).rejects.toThrow(EnvironmentError);
    await expect(asked).rejects.toThrow(message);
    expect(forms).toHaveLength(1);
  });

  it('takes no more of an answer than a token can be', async () => {
    let sent = 0;
    answer = (response) => endlessly(response, (bytes) => (sent += bytes));
    await expect(token().get()).rejects.toThrow('does not answer as a ledger does');
    // The bound is what the sockets buffer between the two.
    expect(sent).toBeLessThan(32_000_000);
  });

  it('ends at once when it is stopped', async () => {
    const stop = new AbortController();
    answer = () => stop.abort();
    const asked = new ClientToken(address, CLIENT, seed, clock, stop.signal).get();
    await expect(asked).rejects.toThrow(EnvironmentError);
  }, 5000);
});
