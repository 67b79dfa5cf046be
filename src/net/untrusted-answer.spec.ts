import { createServer, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenLocally } from '../cli/service/machine.js';
import { AnswerTooLong, bodyOf, within } from './untrusted-answer.js';

let server: Server;
let address = '';
let answer: (response: ServerResponse) => void;
beforeAll(async () => {
  server = createServer((_, response) => answer(response));
  address = `http://127.0.0.1:${await listenLocally(server)}`;
});
afterAll(() => server.close());

const ask = (ms: number, most: number, stop?: AbortSignal) =>
  within(ms, stop, async (signal) => bodyOf(await fetch(address, { signal }), most, signal));

/** Sends a byte now and then, for ever. @returns resolves when whoever asked has gone */
function drip(response: ServerResponse): Promise<unknown> {
  const timer = setInterval(() => response.write('x'), 20);
  return once(response, 'close').finally(() => clearInterval(timer));
}

describe('an answer that nobody has to believe', () => {
  it('is read as it is up to its limit', async () => {
    answer = (response) => void response.end('x'.repeat(1000));
    expect((await ask(5000, 1000)).toString()).toBe('x'.repeat(1000));
    await expect(ask(5000, 999)).rejects.toThrow(AnswerTooLong);
    answer = (response) => void response.writeHead(204).end();
    expect(await ask(5000, 0)).toHaveLength(0);
  });

  it('ends at its time, and the connection with it', async () => {
    let gone: Promise<unknown> = Promise.resolve();
    answer = (response) => void (gone = drip(response));
    await expect(ask(200, 1000)).rejects.toMatchObject({ name: 'TimeoutError' });
    await gone;
    answer = () => undefined;
    await expect(ask(200, 1000)).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('ends when it is stopped, also before it began', async () => {
    let gone: Promise<unknown> = Promise.resolve();
    const stop = new AbortController();
    answer = (response) => {
      gone = drip(response);
      response.write('x', () => stop.abort(new Error('stopped')));
    };
    await expect(ask(60_000, 1000, stop.signal)).rejects.toThrow('stopped');
    await gone;
    await expect(ask(60_000, 1000, stop.signal)).rejects.toThrow('stopped');
  });
});
