import { describe, expect, it } from 'vitest';
import type { FastifyRequest } from 'fastify';
import { headerFault, MethodTable } from './envelope.js';

const request = (...rawHeaders: string[]) => {
  const at = rawHeaders.findIndex((name) => name.toLowerCase() === 'content-encoding');
  const headers = at < 0 ? {} : { 'content-encoding': rawHeaders[at + 1] };
  return { raw: { rawHeaders }, headers } as unknown as FastifyRequest;
};

describe('the headers of a request', () => {
  it.each([
    ['one of each', ['Host', 'a', 'Authorization', 'b', 'Content-Type', 'c'], null],
    ['a header twice that may be', ['Accept', 'a', 'accept', 'b'], null],
    ['the value of one as the name of another', ['Accept', 'host', 'Host', 'host'], null],
    ['two hosts', ['Host', 'a', 'host', 'a'], 'request.header-twice'],
    ['two tokens', ['Authorization', 'a', 'Host', 'x', 'AUTHORIZATION', 'b'], 'request.header-twice'],
    ['two types', ['Content-Type', 'a', 'Content-Type', 'b'], 'request.header-twice'],
    ['a compressed body', ['Content-Encoding', 'gzip'], 'request.encoded'],
    ['two encodings in one', ['Content-Encoding', 'identity, gzip'], 'request.encoded'],
    ['identity', ['content-encoding', 'Identity'], null],
  ])('%s', (_, raw, fault) => {
    expect(headerFault(request(...raw))).toBe(fault);
  });
});

describe('the methods of a path', () => {
  const table = new MethodTable();
  table.add('/api/things', ['GET', 'HEAD']);
  table.add('/api/things', ['POST']);
  table.add('/api/things/:id', ['GET']);
  table.add('/log/tile/*', ['GET']);
  it.each([
    ['/api/things', ['GET', 'HEAD', 'POST']],
    ['/api/things?limit=1', ['GET', 'HEAD', 'POST']],
    ['/api/things/7', ['GET']],
    ['/api/things/', []],
    ['/api/things/7/more', []],
    ['/log/tile/0/x001/000', ['GET']],
    ['/log/tile', []],
    ['/nowhere', []],
  ])('%s takes %o', (url, methods) => {
    expect(table.of(url)).toEqual(methods);
  });
});
