import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenLocally } from '../../src/cli/service/machine.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { type Api, newOrder } from '../support/api.js';
import { redisProgram } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';
import { startNode, startServer, type TestServer } from '../support/process.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/wait.js';

const PASSWORD = 'correct horse battery';
const program = await redisProgram();

/** Ends a command of the built program. @returns its exit code and what it said */
async function rxledger(args: string[], env: Record<string, string>) {
  const child = startNode('bin/rxledger.js', args, { env });
  const { code } = await child.ended;
  return { code, out: child.stdout(), err: child.stderr() };
}

/** Signed in as the demo's prescriber: how to send requests, and an order to send. */
async function prescriberAt({ address }: TestServer) {
  const request = supertest(address);
  const { body } = await request.post('/api/auth/sign-in').send({ username: 'prescriber', password: PASSWORD });
  const token: string = body.accessToken;
  const as = (call: supertest.Test) => call.auth(token, { type: 'bearer' });
  const known = { system: 'urn:rxledger:demo', value: 'demo-patient-1' };
  const found = await as(request.post('/api/patients/search')).send(known);
  const order = newOrder({ patients: { patient: found.body.patient.id } } as Api);
  return { request, token, as, order, issue: () => as(request.post('/api/prescriptions')).send(order) };
}

/** A request of which the server has all but the last byte. */
async function startRequest(address: string, token: string, order: object) {
  const { hostname, port, host } = new URL(address);
  const body = JSON.stringify(order);
  const socket: Socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => (said += text));
  const closed = once(socket, 'close');
  const head = [
    'POST /api/prescriptions HTTP/1.1',
    `host: ${host}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'expect: 100-continue',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  // The server has read the head: this request is in its hands.
  await until(() => said.startsWith('HTTP/1.1 100 Continue'));
  said = '';
  socket.write(body.slice(0, -1));
  return async () => {
    socket.write(body.slice(-1));
    await closed;
    const [first = '', json = ''] = [said.split('\r\n')[0], said.split('\r\n\r\n')[1]];
    return { status: first, body: JSON.parse(json) as { prescription: { id: string }; receipt: Receipt } };
  };
}

const listens = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe.skipIf(program.missing !== null)('operations', () => {
  let redis: TestRedis;
  const folder = temporaryFolder();
  const env = (over: Record<string, string> = {}) => ({
    DATA_DIR: folder.path,
    REDIS_URL: redis.url,
    DEMO_PASSWORD: PASSWORD,
    LOG_LEVEL: 'error',
    ...over,
  });
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => {
    await redis.stop();
    folder.remove();
  });

  it('SIGTERM: what is in flight is recorded and answered, exit code 0, and the next start has it', async () => {
    const server = await startServer(env());
    try {
      const { token, order, issue } = await prescriberAt(server);
      expect((await issue()).status).toBe(201);
      const inFlight = await Promise.all(Array.from({ length: 8 }, () => startRequest(server.address, token, order)));
      const ended = server.terminate();
      await until(async () => !(await listens(server.address)), { what: 'it takes no more connections' });
      const answers = await Promise.all(inFlight.map((finish) => finish()));
      expect(answers.map(({ status }) => status)).toEqual(inFlight.map(() => 'HTTP/1.1 201 Created'));
      expect(await ended).toBe(0);
      expect(server.stderr()).toBe('');

      const { code, out } = await rxledger(['log', 'verify', '--json'], env());
      expect({ code, ...JSON.parse(out) }).toMatchObject({ code: 0, ok: true, findings: [] });
      const { vkey } = JSON.parse(out) as { vkey: string };
      for (const { body } of answers) expect(verifyReceipt(body.receipt, vkey)).toMatchObject({ ok: true });

      const next = await startServer(env());
      const { request, as } = await prescriberAt(next);
      const { items } = (await as(request.get('/api/prescriptions'))).body;
      const ids = items.map(({ id }: { id: string }) => id);
      expect(ids).toEqual(expect.arrayContaining(answers.map(({ body }) => body.prescription.id)));
      expect(ids).toHaveLength(9);
      expect(await next.terminate()).toBe(0);
    } finally {
      await server.kill();
    }
  });

  it('says what a newcomer needs: the address, sign-ins that work, and a request that finds a patient', async () => {
    const server = await startServer(env({ DEMO_PASSWORD: '' }));
    try {
      await server.line(/^Next:$/);
      const [, password = ''] = await server.line(/^ {2}prescriber +(\S+) +prescriber, Elm Street Practice$/);
      await server.line(new RegExp(`^ {2}1\\. Open ${server.address}/api/docs: `));
      const [, path = '', query = ''] = await server.line(/^ {5}POST (\S+) (\{.*\})$/);
      const request = supertest(server.address);
      const signedIn = await request.post('/api/auth/sign-in').send({ username: 'prescriber', password });
      const found = await request
        .post(path)
        .auth(signedIn.body.accessToken, { type: 'bearer' })
        .send(JSON.parse(query));
      expect(found.body.patient.name).toBe('Pat Example');
      expect(await server.terminate()).toBe(0);
    } finally {
      await server.kill();
    }
  });

  it('a port that is taken: exit code 3, and which', async () => {
    const taken = createServer();
    const port = await listenLocally(taken);
    try {
      const second = startNode('bin/rxledger.js', ['serve'], { env: env({ PORT: String(port) }) });
      expect((await second.ended).code).toBe(3);
      expect(second.stderr()).toContain(`HOST and PORT (${port}) cannot be listened on: EADDRINUSE`);
    } finally {
      taken.close();
    }
  });

  it('SIGINT and a worker alone: exit code 0', async () => {
    const server = await startServer(env());
    process.kill(server.pid, 'SIGINT');
    expect((await server.ended).code).toBe(0);
    const worker = startNode('bin/rxledger.js', ['serve'], { env: env({ ROLE: 'worker' }) });
    await worker.line(/^RxLedger works without an API/);
    expect(await worker.terminate()).toBe(0);
  });

  it('health: live and ready; not ready while Redis is away, while writes go on; ready again', async () => {
    const server = await startServer(env());
    try {
      const { request, issue } = await prescriberAt(server);
      const ready = () => request.get('/health/ready');
      expect((await request.get('/health/live')).body).toEqual({ status: 'ok' });
      expect((await ready()).body).toEqual({
        database: { status: 'up' },
        redis: { status: 'up' },
        relay: { status: 'up', lag: expect.any(Number) },
      });

      await redis.halt();
      await until(async () => (await ready()).status === 503, { what: 'it is not ready' });
      const away = await ready();
      expect(away.type).toBe('application/problem+json');
      expect(away.body).toMatchObject({
        code: 'health.not-ready',
        status: 503,
        details: { database: { status: 'up' }, redis: { status: 'down' }, relay: { status: 'up' } },
      });
      expect((await request.get('/health/live')).status).toBe(200);
      const written = await Promise.all(Array.from({ length: 20 }, issue));
      expect(written.map(({ status }) => status)).toEqual(written.map(() => 201));

      await redis.start();
      await until(async () => (await ready()).status === 200, { what: 'it is ready again' });
      await until(async () => (await ready()).body.relay.lag === 0, { what: 'the relay has caught up' });
      expect(await server.terminate()).toBe(0);
    } finally {
      await server.kill();
    }
  });

  it('SIGTERM while Redis is away: exit code 0', async () => {
    const server = await startServer(env());
    try {
      await redis.halt();
      const { issue } = await prescriberAt(server);
      expect((await issue()).status).toBe(201);
      const began = Date.now();
      expect(await server.terminate()).toBe(0);
      // Not when the last timer of those who wait for Redis is over.
      expect(Date.now() - began).toBeLessThan(8000);
    } finally {
      await server.kill();
      await redis.start();
    }
  });

  describe('production', () => {
    const live = temporaryFolder();
    afterAll(() => live.remove());
    const production = (over: Record<string, string> = {}) => ({
      NODE_ENV: 'production',
      DATA_DIR: live.path,
      REDIS_URL: redis.url,
      LOG_LEVEL: 'error',
      ...over,
    });

    it('begins with an administrator made at the command line, who can sign in; nobody else can', async () => {
      const made = await rxledger(['admin', 'first', 'ada', '--name', 'Ada Root', '--json'], production());
      expect(made).toMatchObject({ code: 0, err: '' });
      const { username, password } = JSON.parse(made.out) as { username: string; password: string };
      expect(await rxledger(['admin', 'first', 'ada'], production())).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^rxledger: .* \(identity\.username-taken\)\n$/),
      });

      const server = await startServer(production());
      try {
        expect(server.stdout()).not.toMatch(/password|prescriber/);
        const request = supertest(server.address);
        const signIn = (body: object) => request.post('/api/auth/sign-in').send(body);
        const { body } = await signIn({ username, password }).expect(200);
        const self = await request.get('/api/self').auth(body.accessToken, { type: 'bearer' });
        expect(self.body).toMatchObject({ username: 'ada', role: 'administrator' });
        for (const name of ['admin', 'prescriber', 'ada']) {
          const refused = await signIn({ username: name, password: PASSWORD });
          expect(refused.body).toMatchObject({ status: 401, code: 'identity.sign-in-refused' });
        }

        const admin = async (...args: string[]) => {
          const ran = await rxledger(['admin', ...args, '--json'], production());
          expect(ran).toMatchObject({ code: 0, err: '' });
          return (JSON.parse(ran.out) as { password: string }).password;
        };
        const may = async (secret: string) => (await signIn({ username: 'chris', password: secret })).status;
        const first = await admin('create', 'chris', '--role', 'auditor');
        expect(await may(first)).toBe(200);
        const next = await admin('reset', 'chris');
        expect([await may(first), await may(next)]).toEqual([401, 200]);
        await admin('disable', 'chris');
        expect(await may(next)).toBe(401);
        await admin('enable', 'chris');
        expect(await may(next)).toBe(200);
        expect(await server.terminate()).toBe(0);
      } finally {
        await server.kill();
      }
    });

    it('does not start with a demo password or on a database that holds demo accounts', async () => {
      const demo = await rxledger(['serve'], production({ DEMO_PASSWORD: PASSWORD, PORT: '0' }));
      expect(demo).toEqual({
        code: 3,
        out: '',
        err: 'rxledger: settings: DEMO_PASSWORD: not in production; unset it\n',
      });
      const server = await startServer(env());
      expect(await server.terminate()).toBe(0);
      const accounts = await rxledger(['serve'], production({ DATA_DIR: folder.path, PORT: '0' }));
      expect(accounts).toMatchObject({ code: 3, out: '' });
      expect(accounts.err).toContain('the database holds demo accounts');
    });

    it('alone listens on other addresses than this machine’s own', async () => {
      const exposed = await rxledger(['serve'], env({ HOST: '0.0.0.0', PORT: '0' }));
      expect(exposed).toMatchObject({ code: 3, out: '' });
      expect(exposed.err).toContain('HOST: only loopback');
    });
  });
});
