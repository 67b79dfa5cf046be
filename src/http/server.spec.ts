import { PublicRoute } from './public-route.js';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Body, Controller, Get, Module, Param, Post, Req } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Config } from '../config/config.js';
import { DbError, type DbFault } from '../database/db.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { HealthModule } from './health/health.module.js';
import { idempotencyKey } from './write/by.js';
import { createLogger } from '../config/logging.js';
import { AS_IF_ABSENT, RefusalException } from './problem/problem.js';
import { Readiness } from './health/readiness.js';
import { API_HEADERS, PAGE_HEADERS } from './security-headers.js';
import { createServer } from './server.js';
import { rounds } from '../../test/support/length.js';

const thing = z.strictObject({ name: z.string().max(5), amount: z.number().optional() });

@Controller('things')
class ThingController {
  @Post()
  @PublicRoute()
  create(@Body({ schema: thing }) body: z.output<typeof thing>, @Req() request: FastifyRequest) {
    return { body, key: idempotencyKey(request) ?? null };
  }

  @Get('absent')
  @PublicRoute()
  absent(): never {
    throw new RefusalException(AS_IF_ABSENT);
  }

  @Get('refused')
  @PublicRoute()
  refused(): never {
    throw new RefusalException({ code: 'prescription.expired', facts: { validUntil: '2026-03-01', status: 'forged' } });
  }

  @Get('outage')
  @PublicRoute()
  outage(): never {
    throw new LedgerUnavailable('host db.internal is away', 7);
  }

  @Get('database-away/:fault')
  @PublicRoute()
  databaseAway(@Param('fault') fault: string): never {
    throw new DbError(fault as DbFault, 'ECONNREFUSED');
  }

  @Get('bug/:id')
  @PublicRoute()
  bug(): never {
    throw new Error('Jane Doe was here');
  }
}

@Module({ imports: [HealthModule], controllers: [ThingController] })
class TestModule {}

describe('HTTP server', () => {
  let app: NestFastifyApplication;
  let lines: string[] = [];

  beforeAll(async () => {
    const config = Config.parse({ LOG_LEVEL: 'info' });
    app = await createServer(TestModule, config, createLogger(config, { write: (line) => void lines.push(line) }));
    await app.listen(0, '127.0.0.1');
  });
  beforeEach(() => {
    lines = [];
  });
  afterAll(() => app.close());

  const post = (payload: string | Buffer, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url: '/things',
      payload,
      headers: { 'content-type': 'application/json', ...headers },
    });

  it('parses what fits the schema', async () => {
    const response = await post('{"name":"a","amount":1}', { 'idempotency-key': 'k-1' });
    expect(response.statusCode).toBe(201);
    expect(response.json()).toEqual({ body: { name: 'a', amount: 1 }, key: 'k-1' });
    expect((await post('{"name":"a"}', { 'content-type': 'application/fhir+json; charset=utf-8' })).statusCode).toBe(
      201,
    );
  });

  it.each([
    ['application/x-www-form-urlencoded', 'name=a'],
    ['text/plain', '{"name":"a"}'],
    ['application/jsonx', '{"name":"a"}'],
    ['multipart/form-data; boundary=x', '--x--'],
  ])('takes no %s', async (type, payload) => {
    const response = await post(payload, { 'content-type': type });
    expect(response.statusCode).toBe(415);
    expect(response.json()).toMatchObject({ code: 'request.unsupported-media-type', status: 415 });
  });

  it.each([
    ['{"name":"a","name":"b"}', 400, 'request.duplicate-key'],
    ['{"name":', 400, 'request.malformed-json'],
    ['', 400, 'request.malformed-json'],
    ['{"__proto__":1}', 400, 'request.forbidden-key'],
    [`"${'x'.repeat(1_048_576)}"`, 413, 'request.too-large'],
  ])('refuses a bad body with a code of its own', async (payload, status, code) => {
    const response = await post(payload);
    expect(response.statusCode).toBe(status);
    expect(response.headers['content-type']).toBe('application/problem+json');
    expect(response.json()).toMatchObject({ type: `urn:rxledger:problem:${code}`, status, code });
  });

  it('names what does not fit the schema, without its value', async () => {
    const response = await post('{"name":"Jane Doe","amount":"private"}');
    expect(response.json()).toMatchObject({
      code: 'request.invalid',
      errors: [{ path: 'name' }, { path: 'amount', message: expect.stringContaining('number') }],
    });
    expect(response.body).not.toMatch(/Jane|private/);
  });

  it('refuses a body that is missing', async () => {
    const response = await app.inject({ method: 'POST', url: '/things' });
    expect(response.json()).toMatchObject({ status: 400, code: 'request.invalid' });
  });

  it.each(['', 'ä', 'a b', 'x'.repeat(256)])('refuses an Idempotency-Key that is none: %j', async (key) => {
    const response = await post('{"name":"a"}', { 'idempotency-key': key });
    expect(response.json()).toMatchObject({ status: 400, code: 'request.idempotency-key-invalid' });
  });

  it('tells the facts of a refusal; they cannot pose as the problem', async () => {
    const response = await app.inject('/things/refused');
    expect(response.json()).toMatchObject({ status: 409, code: 'prescription.expired', validUntil: '2026-03-01' });
    expect((await app.inject('/things/absent')).json()).toMatchObject({ status: 404, code: 'ledger.chain-unknown' });
  });

  it.each([
    ['lost', 503, 'ledger.unavailable', '5'],
    ['outage', 503, 'ledger.unavailable', '1'],
    ['rejected', 500, 'internal', undefined],
    ['conflict', 500, 'internal', undefined],
  ])('a read that meets a database fault (%s) is %d %s', async (fault, status, code, retryAfter) => {
    const response = await app.inject(`/things/database-away/${fault}`);
    expect(response.json()).toMatchObject({ status, code });
    expect(response.headers['retry-after']).toBe(retryAfter);
    expect(response.body).not.toContain('ECONNREFUSED');
    const level = status === 503 ? 40 : 50;
    expect(lines.map((line) => JSON.parse(line) as { level: number })).toContainEqual(
      expect.objectContaining({ level, requestId: expect.any(String) }),
    );
  });

  it('says when to come back after an outage, and not what broke', async () => {
    const response = await app.inject('/things/outage');
    expect(response.statusCode).toBe(503);
    expect(response.headers['retry-after']).toBe('7');
    expect(response.body).not.toContain('db.internal');
  });

  it('says nothing of a bug but that there is one', async () => {
    const response = await app.inject('/things/bug/jane-doe');
    expect(response.statusCode).toBe(500);
    expect(response.json()).toMatchObject({ code: 'internal' });
    expect(response.body).not.toContain('Jane');
    const log = lines.join('');
    expect(log).toContain('"error":"Error"');
    expect(log).not.toMatch(/jane/i);
  });

  it.each(['/patients/jane-doe', '/%zz-jane-doe', '/things/bug/%E0%A4%A-jane', `/things/bug/${'jane'.repeat(100)}`])(
    'does not repeat the URL: %s',
    async (url) => {
      const response = await app.inject(url);
      expect([400, 404, 414, 500]).toContain(response.statusCode);
      expect(response.headers['content-type']).toBe('application/problem+json');
      expect(response.body).not.toContain('jane');
      expect(lines.join('')).not.toContain('jane');
    },
  );

  it('logs method, route pattern, status and duration, and neither body nor header', async () => {
    await post('{"name":"Jane"}', { 'idempotency-key': 'secret-key', authorization: 'Bearer secret-token' });
    const requests = lines.map((line) => JSON.parse(line)).filter((line) => line.msg === 'request');
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ method: 'POST', route: '/things', status: 201 });
    expect(Object.keys(requests[0]).toSorted()).toEqual(
      ['level', 'method', 'milliseconds', 'msg', 'process', 'requestId', 'route', 'status', 'time'].toSorted(),
    );
  });

  it('sends security headers, and lets only the page of the documentation run scripts', async () => {
    const { headers } = await app.inject('/things/absent');
    expect(headers).toMatchObject({ ...API_HEADERS, 'cache-control': 'no-store' });
    expect(headers).not.toHaveProperty('x-powered-by');
    const page = await app.inject('/api/docs');
    expect(page.statusCode).toBe(200);
    expect(page.headers).toMatchObject(PAGE_HEADERS);
    const script = await app.inject('/api/docs/swagger-ui-bundle.js');
    expect(script.statusCode).toBe(200);
    expect(script.headers).toMatchObject(PAGE_HEADERS);
  });

  it('documents the routes from the schemas that check them', async () => {
    const document = (await app.inject('/api/openapi.json')).json();
    expect(document.openapi).toBe('3.1.0');
    const operation = document.paths['/things'].post;
    expect(operation['x-action']).toBe('public');
    expect(operation.requestBody.content['application/json'].schema).toMatchObject({
      type: 'object',
      properties: { name: { type: 'string', maxLength: 5 }, amount: { type: 'number' } },
      required: ['name'],
      additionalProperties: false,
    });
  });

  it('is live at once, and ready when all its parts are', async () => {
    expect((await app.inject('/health/live')).json()).toEqual({ status: 'ok' });
    let up = true;
    app.get(Readiness).add({ name: 'relay', check: () => Promise.resolve({ up, lag: 3 }) });
    expect((await app.inject('/health/ready')).json()).toEqual({ relay: { status: 'up', lag: 3 } });
    up = false;
    const response = await app.inject('/health/ready');
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({ code: 'health.not-ready', details: { relay: { status: 'down', lag: 3 } } });
    up = true;
    app.get(Readiness).add({ name: 'redis', check: () => Promise.reject(new Error('password in the URL')) });
    app.get(Readiness).add({ name: 'database', check: () => Promise.resolve({ up: true }) });
    const failing = await app.inject('/health/ready');
    expect(JSON.stringify(failing.json().details)).toBe(
      '{"relay":{"lag":3,"status":"up"},"database":{"status":"up"},"redis":{"status":"down"}}',
    );
  });

  it('hangs up on a connection that never finishes its headers', async () => {
    const server = app.getHttpServer();
    expect([server.headersTimeout, server.requestTimeout]).toEqual([5000, 10_000]);
    server.headersTimeout = rounds(500, 5000);
    const socket = connect(Number(new URL(await app.getUrl()).port), '127.0.0.1');
    socket.resume().write('POST /things HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    const started = Date.now();
    await once(socket, 'close');
    expect(Date.now() - started).toBeLessThan(9000);
  });
});
