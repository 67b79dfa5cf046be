import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Api, newOrder, startApi } from '../support/api.js';

/** Stands for what must not come back: a name in a URL, a value in a body. */
const MARK = 'jane-doe';

let api: Api;
let token: string;
beforeAll(async () => {
  api = await startApi();
  token = await api.signIn('prescriber');
});
afterAll(() => api.close());

/** Sends these bytes as the body of a request that is otherwise in order. */
function send(body: string | Buffer, headers: Record<string, string> = {}, path = '/api/prescriptions') {
  const call = api.request.post(path).auth(token, { type: 'bearer' }).set('content-type', 'application/json');
  for (const [name, value] of Object.entries(headers)) void call.set(name, value);
  // Otherwise superagent would encode a Buffer as JSON.
  return call.serialize((bytes: unknown) => bytes as string).send(body);
}

/** That it is a coded problem, and no more than that. */
function expectProblem(answer: Answer, expected: string): void {
  expect(`${answer.status} ${answer.body.code}`).toBe(expected);
  expect(answer.type).toBe('application/problem+json');
  expect(answer.body).toMatchObject({ type: `urn:rxledger:problem:${answer.body.code}`, status: answer.status });
  expect(JSON.stringify(answer.body)).not.toContain(MARK);
  expect(JSON.stringify(answer.headers)).not.toContain(MARK);
}

const deep = (levels: number, open: string, close: string) => open.repeat(levels) + close.repeat(levels);
const MEGABYTE = 1_000_000;

const get = (path: string) => api.request.get(path).auth(token, { type: 'bearer' });

/** A token that nobody signed. */
const unsigned = (claims: object) =>
  [{ alg: 'none', typ: 'at+jwt' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');

/** What a server that is sent these bytes says before it hangs up. */
async function raw(bytes: string): Promise<string> {
  const { hostname, port } = new URL(api.address);
  const socket = connect(Number(port), hostname);
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => (said += text));
  socket.write(bytes);
  await once(socket, 'close');
  return said;
}

describe('bodies', () => {
  it.each<[string, () => string | Buffer, string]>([
    ['1 MB of opening brackets', () => '['.repeat(MEGABYTE), '400 request.malformed-json'],
    ['1 MB of brackets', () => deep(MEGABYTE / 2, '[', ']'), '400 request.too-deep'],
    ['1 MB of nested objects', () => deep(160_000, '{"a":', '}').replace(':}', ':1}'), '400 request.too-deep'],
    ['1 MB of objects in a list', () => `[${'{},'.repeat(300_000)}1]`, '400 request.invalid'],
    ['33 levels in a member', () => `{"note":${deep(33, '[', ']')}}`, '400 request.too-deep'],
    ['more than 1 MB', () => `"${'x'.repeat(1_048_576)}"`, '413 request.too-large'],
    ['a name twice', () => `{"patient":"a","patient":"${MARK}"}`, '400 request.duplicate-key'],
    ['a name twice, spelled otherwise', () => String.raw`{"note":"a","\u006eote":"b"}`, '400 request.duplicate-key'],
    ['__proto__', () => `{"__proto__":{"role":"administrator"}}`, '400 request.forbidden-key'],
    ['__proto__ further down', () => `{"quantity":{"__proto__":{"value":"1"}}}`, '400 request.forbidden-key'],
    ['constructor', () => `{"constructor":{"prototype":{"x":1}}}`, '400 request.invalid'],
    ['NUL as an escape', () => String.raw`{"directions":"a\u0000b"}`, '400 request.forbidden-character'],
    ['NUL as it is', () => `{"directions":"a\0b"}`, '400 request.malformed-json'],
    ['half a surrogate pair', () => String.raw`{"directions":"\ud800"}`, '400 request.forbidden-character'],
    ['no UTF-8', () => Buffer.from('{"directions":"\u00ff"}', 'latin1'), '400 request.invalid-utf8'],
    ['UTF-16', () => Buffer.from('{"directions":"a"}', 'utf16le'), '400 request.malformed-json'],
    ['a byte order mark', () => Buffer.from('\uFEFF{}'), '400 request.malformed-json'],
    ['nothing', () => '', '400 request.malformed-json'],
    ['null', () => 'null', '400 request.invalid'],
    ['a text', () => `"${MARK}"`, '400 request.invalid'],
    ['a list', () => '[]', '400 request.invalid'],
    ['comments', () => '{/**/}', '400 request.malformed-json'],
    ['NaN', () => '{"refills":NaN}', '400 request.malformed-json'],
    ['a number beyond all', () => '{"refills":1e999}', '400 request.invalid'],
    ['half a refill', () => '{"refills":0.5}', '400 request.invalid'],
    ['a value of another type', () => `{"patient":{"$ne":"${MARK}"}}`, '400 request.invalid'],
  ])('%s', async (_, body, expected) => {
    expectProblem(await send(body()), expected);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/xml',
    'multipart/form-data; boundary=x',
    'json',
  ])('are no %s', async (type) => {
    expectProblem(await send('{}', { 'content-type': type }), '415 request.unsupported-media-type');
  });

  it('of a long text are taken up to their limit, and what they hold comes back as it was', async () => {
    const directions = '"\\<&\u2028é𝄞'.repeat(200);
    const answer = await send(JSON.stringify(newOrder(api, { directions })));
    expect({ status: answer.status, directions: answer.body.prescription?.directions }).toEqual({
      status: 201,
      directions,
    });
    expectProblem(await send(JSON.stringify(newOrder(api, { directions: 'x'.repeat(2001) }))), '400 request.invalid');
  });
});

describe('headers', () => {
  it.each<[string, Record<string, string>, string]>([
    ['an Idempotency-Key of 10 kB', { 'idempotency-key': 'k'.repeat(10_000) }, '400 request.idempotency-key-invalid'],
    ['an empty Idempotency-Key', { 'idempotency-key': '' }, '400 request.idempotency-key-invalid'],
    ['an Idempotency-Key of several words', { 'idempotency-key': `a ${MARK}` }, '400 request.idempotency-key-invalid'],
    ['a header of 64 kB', { 'x-large': MARK.repeat(8000) }, '431 request.headers-too-large'],
  ])('%s', async (_, headers, expected) => {
    expectProblem(await send(JSON.stringify(newOrder(api)), headers), expected);
  });

  it.each<[string, () => string]>([
    ['none', () => ''],
    ['Basic', () => `Basic ${Buffer.from(`prescriber:${MARK}`).toString('base64')}`],
    ['a word', () => `Bearer ${MARK}`],
    ['three words', () => 'Bearer a.b.c'],
    ['without its signature', () => `Bearer ${token.split('.').slice(0, 2).join('.')}.`],
    ['with a signature cut short', () => `Bearer ${token.slice(0, -4)}`],
    [
      'unsigned',
      () =>
        `Bearer ${unsigned({ sub: randomUUID(), role: 'administrator', org: null, patient: null, exp: 9_999_999_999 })}.AA`,
    ],
    [
      'of another subject',
      () => {
        const [head, , signature] = token.split('.');
        const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
        const forged = Buffer.from(JSON.stringify({ ...claims, role: 'administrator' })).toString('base64url');
        return `Bearer ${head}.${forged}.${signature}`;
      },
    ],
    ['of 8 kB', () => `Bearer ${'a'.repeat(8000)}.b.c`],
  ])('an access token: %s', async (_, authorization) => {
    const answer = await api.request.get('/api/self').set('authorization', authorization());
    expectProblem(answer, '401 access.unauthenticated');
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });
});

describe('addresses', () => {
  it.each<[string, string]>([
    [`/${MARK}`, '404 request.not-found'],
    [`/api/prescriptions/${randomUUID()}/${MARK}`, '404 request.not-found'],
    [`/api/${MARK}?x=${MARK}`, '404 request.not-found'],
    [`/api/prescriptions/${MARK}`, '400 request.invalid'],
    [`/api/prescriptions/%00${MARK}`, '400 request.invalid'],
    [`/api/prescriptions/..%2f..%2f${MARK}`, '400 request.invalid'],
    [`/api/prescriptions/%zz${MARK}`, '400 request.malformed'],
    ['/api/prescriptions/00000000-0000-0000-0000-000000000000', '400 request.invalid'],
    [`/api/prescriptions/${randomUUID()}'--`, '400 request.invalid'],
    ['/api/prescriptions?limit=1&limit=2', '400 request.invalid'],
    ['/api/prescriptions?limit=1e3', '400 request.invalid'],
    ['/api/prescriptions?after=9007199254740993', '400 request.invalid'],
    ['/api/prescriptions?after=1%20OR%201=1', '400 request.invalid'],
    [`/api/prescriptions?__proto__[status]=${MARK}`, '400 request.invalid'],
    [`/api/prescriptions?status=${MARK}`, '400 request.invalid'],
    [`/api/drugs?search=${MARK.repeat(20)}`, '400 request.invalid'],
    [`/${MARK.repeat(1000)}`, '404 request.not-found'],
  ])('GET %s', async (path, expected) => {
    expectProblem(await get(path), expected);
  });

  it.each(['put', 'patch', 'delete', 'options'] as const)('%s is no method here', async (method) => {
    const call = api.request[method](`/api/prescriptions/${randomUUID()}?x=${MARK}`).auth(token, { type: 'bearer' });
    const answer = await call;
    expectProblem(answer, '405 request.method-not-allowed');
    expect(answer.headers['allow']).toBe('GET, HEAD');
  });

  it('another role, another patient: refused, and as if there were none', async () => {
    const { patient } = api.patients;
    expectProblem(await api.as('pharmacist').post('/api/prescriptions', newOrder(api)), '403 access.forbidden');
    expectProblem(await api.as('patient2').get(`/api/patients/${patient}`), '404 ledger.chain-unknown');
    expectProblem(await api.as('patient2').get(`/api/patients/${patient}/accesses`), '404 ledger.chain-unknown');
    expectProblem(await api.as('patient2').get(`/api/patients/${randomUUID()}`), '404 ledger.chain-unknown');
  });
});

describe('what is no HTTP', () => {
  it.each([
    ['a text', `${MARK}\r\n\r\n`],
    ['two lengths', `POST /${MARK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}`],
    [
      'length and chunks',
      `POST /${MARK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    ],
    ['NUL in a header', `GET /${MARK} HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n`],
  ])('%s', async (_, bytes) => {
    const said = await raw(bytes);
    expect(said).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n(.+\r\n)*content-type: application\/problem\+json\r\n/);
    expect(said).toContain('"code":"request.malformed"');
    expect(said).not.toContain(MARK);
  });

  it('no host: refused before anything of ours sees it', async () => {
    const said = await raw(`GET /${MARK} HTTP/1.1\r\nConnection: close\r\n\r\n`);
    expect(said).toMatch(/^HTTP\/1\.1 400 /);
    expect(said).not.toContain(MARK);
  });
});

describe('after all this', () => {
  it('the service still works, and nothing of it is recorded', async () => {
    expect((await api.request.get('/health/live')).status).toBe(200);
    expect((await send(JSON.stringify(newOrder(api)))).status).toBe(201);
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });
});
