import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { Config } from '../../config/config.js';
import { createLogger } from '../../config/logging.js';
import { DbError } from '../../database/db.js';
import * as strictJson from '../../http/body/strict-json.js';
import { PublicRoute } from '../../http/public-route.js';
import { createServer } from '../../http/server.js';
import type { Actor } from '../../ledger/model.js';
import { Clock } from '../../time/clock.js';
import { AccessGuard } from './access.guard.js';
import { Action } from './access.js';
import { TokenFirst } from './token-first.js';
import { Tokens } from './tokens.js';

@Controller('things')
class ThingController {
  @Post()
  @Action('prescription.issue')
  create(@Body({ schema: z.unknown() }) body: unknown) {
    return { taken: Array.isArray(body) };
  }

  @Post('open')
  @PublicRoute()
  open() {
    return {};
  }
}

const actor = (): Actor => ({ id: randomUUID(), role: 'prescriber', org: randomUUID(), patient: null });

let app: NestFastifyApplication | undefined;
afterEach(() => app?.close());

async function serve(settings: Record<string, string> = {}, isActive = () => Promise.resolve(true)) {
  const config = Config.parse({ LOG_LEVEL: 'silent', ...settings });
  const tokens = new Tokens(randomBytes(32), new Clock(), isActive);

  @Module({
    controllers: [ThingController],
    providers: [
      TokenFirst,
      { provide: Config, useValue: config },
      { provide: Tokens, useValue: tokens },
      { provide: APP_GUARD, useClass: AccessGuard },
    ],
  })
  class TestModule {}

  const server = await createServer(TestModule, config, createLogger(config));
  app = server;
  await server.listen(0, '127.0.0.1');
  const bearer = async (who: Actor) => `Bearer ${(await tokens.issue(who)).accessToken}`;
  const post = (url: string, payload: string, authorization?: string) =>
    server.inject({
      method: 'POST',
      url,
      payload,
      headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
    });
  return { bearer, post, port: Number(new URL(await server.getUrl()).port) };
}

/** Sends a head that announces a body, and never the body. @returns all of the answer */
async function announce(port: number, path: string, ...headers: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
  socket.write([`POST ${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json', ...headers, '', ''].join('\r\n'));
  await once(socket, 'close');
  return answer;
}

describe('a request without a valid token', () => {
  it('is refused before its body is there, and the connection ends', async () => {
    const { port } = await serve();
    const megabyte = 'Content-Length: 1000000';
    const cases = [
      { path: '/things', headers: [megabyte], refused: [401, 'access.unauthenticated'] },
      { path: '/things', headers: ['Transfer-Encoding: chunked'], refused: [401, 'access.unauthenticated'] },
      { path: '/things', headers: [megabyte, 'Authorization: Bearer a.b.c'], refused: [401, 'access.unauthenticated'] },
      { path: '/nothing', headers: [megabyte], refused: [404, 'request.not-found'] },
      { path: '/things/open', headers: [megabyte], refused: [413, 'request.too-large'] },
    ];
    const answers = await Promise.all(cases.map(({ path, headers }) => announce(port, path, ...headers)));
    expect(answers.map((answer) => [Number(answer.slice(9, 12)), /"code":"([^"]+)"/.exec(answer)?.[1]])).toEqual(
      cases.map(({ refused }) => refused),
    );
    expect(answers.filter((answer) => !/^connection: close\r$/im.test(answer))).toEqual([]);
  });

  it('has its body parsed by nobody', async () => {
    const parse = vi.spyOn(strictJson, 'parseStrictJson');
    const { post, bearer } = await serve();
    expect((await post('/things', '[{}]')).json()).toMatchObject({ code: 'access.unauthenticated' });
    expect((await post('/nothing', '[{}]')).json()).toMatchObject({ code: 'request.not-found' });
    expect(parse).not.toHaveBeenCalled();
    await post('/things', '[{}]', await bearer(actor()));
    expect(parse).toHaveBeenCalledOnce();
  });

  it('is refused beyond its address’s number a minute, while whoever has a token is served', async () => {
    const { post, bearer } = await serve({ ANONYMOUS_PER_MINUTE: '2' });
    const statuses = [];
    for (let at = 0; at < 2; at += 1) statuses.push((await post('/things/open', '{}')).statusCode);
    const refused = await post('/things/open', '{}');
    expect(statuses).toEqual([201, 201]);
    expect(refused.json()).toMatchObject({ code: 'request.rate-limited', status: 429 });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await post('/things', '[]', await bearer(actor()))).statusCode).toBe(201);
  });
});

describe('while nobody can say whether an account is active', () => {
  it('a public route is served, and any other is away', async () => {
    const { post, bearer } = await serve({}, () => Promise.reject(new DbError('outage', 'ECONNREFUSED')));
    const token = await bearer(actor());
    expect((await post('/things/open', '{}', token)).statusCode).toBe(201);
    expect((await post('/things', '[]', token)).json()).toMatchObject({ code: 'ledger.unavailable', status: 503 });
  });
});

describe('a request that two readers could understand differently', () => {
  it.each([
    ['another method', 'DELETE /things', [], 405, 'request.method-not-allowed'],
    ['two hosts', 'POST /things', ['Host: y'], 400, 'request.header-twice'],
    ['two tokens', 'POST /things', ['Authorization: Bearer x'], 400, 'request.header-twice'],
    ['a compressed body', 'POST /things', ['Content-Encoding: gzip'], 415, 'request.encoded'],
  ])('is refused with its reason, signed in or not: %s', async (_, line, headers, status, code) => {
    const { bearer, port } = await serve();
    for (const authorization of [[`Authorization: ${await bearer(actor())}`], ['Authorization: Bearer a.b.c']]) {
      const socket = connect(port, '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
      const head = [`${line} HTTP/1.1`, 'Host: x', 'Connection: close', ...authorization, ...headers];
      socket.write([...head, 'Content-Length: 0', '', ''].join('\r\n'));
      await once(socket, 'close');
      expect([Number(answer.slice(9, 12)), /"code":"([^"]+)"/.exec(answer)?.[1]]).toEqual([status, code]);
      if (status === 405) expect(answer).toMatch(/^allow: POST\r$/im);
    }
  });
});

describe('behind a proxy', () => {
  it.each([
    [{}, [201, 429]],
    [{ TRUST_PROXY: 'loopback' }, [201, 201]],
    [{ TRUST_PROXY: '192.0.2.0/24' }, [201, 429]],
  ])('with %o two clients have limits of their own or share one: %o', async (settings, statuses) => {
    const { port } = await serve({ ANONYMOUS_PER_MINUTE: '1', ...settings });
    const answered = [];
    for (const client of ['203.0.113.1', '203.0.113.2']) {
      const response = await fetch(`http://127.0.0.1:${port}/things/open`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': client },
        body: '{}',
      });
      answered.push(response.status);
    }
    expect(answered).toEqual(statuses);
  });
});

describe('a request with a valid token', () => {
  it('has a body of up to a megabyte read', async () => {
    const { post, bearer } = await serve();
    const body = `[${'0,'.repeat(400_000)}0]`;
    expect((await post('/things', body, await bearer(actor()))).json()).toEqual({ taken: true });
  });

  it('is refused beyond its account’s number a minute, whatever token of it is sent, and nobody else is', async () => {
    const { post, bearer } = await serve({ REQUESTS_PER_MINUTE: '2' });
    const one = actor();
    const statuses = [];
    for (let at = 0; at < 3; at += 1) statuses.push((await post('/things', '[]', await bearer(one))).statusCode);
    expect(statuses).toEqual([201, 201, 429]);
    expect((await post('/things', '[]', await bearer(actor()))).statusCode).toBe(201);
  });
});
