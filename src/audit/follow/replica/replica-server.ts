import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, LogController } from 'fastify';
import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { z } from 'zod';
import { describeError } from '../../../config/logging.js';
import { bodyOf, within } from '../../../net/untrusted-answer.js';
import { AUDIENCE, ISSUER } from '../../../identity/guard/tokens.js';
import { may } from '../../../identity/guard/policy.js';
import { parseTilePath } from '../../../ledger/core/tlog/tiles.js';
import { CACHING, compressed } from '../../../log/file-headers.js';
import type { Replica } from './replica.js';

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
const BYTES = 'application/octet-stream';
const REQUEST_TIMEOUT = 10_000;
const HEADERS_TIMEOUT = 5000;
const CHECKING_INTERVAL = 1000;
const MAX_CONNECTIONS = 512;
const RETRY_AFTER_SECONDS = 5;
const KEYS_TIMEOUT = 5000;
/** A key set is a few hundred bytes. */
const MOST_KEY_BYTES = 65_536;

const claims = z.object({ role: z.enum(['prescriber', 'pharmacist', 'patient', 'auditor', 'administrator']) });

/** Whether a bearer token lets its owner read entries; `away` when the keys that tell cannot be had. */
export type MayReadEntries = (authorization: string | undefined) => Promise<'yes' | 'no' | 'unknown' | 'away'>;

/**
 * The same rule as the service's, by its own tokens: whoever may read entries there may read them here. The keys come
 * from the service's JWKS and are kept, so that a service that is away locks nobody out whose token still runs. A
 * disabled account is known here only when its token ends, a quarter of an hour later at most.
 * @param url of the service
 */
export function tokensOf(url: string): MayReadEntries {
  const keys = createRemoteJWKSet(new URL(`${url.replace(/\/+$/, '')}/.well-known/jwks.json`), {
    cacheMaxAge: Number.POSITIVE_INFINITY,
    [customFetch]: fetchKeys,
  });
  return async (authorization) => {
    const [, token] = /^Bearer ([\w.~+/=-]{1,8192})$/i.exec(authorization ?? '') ?? [];
    if (token === undefined) return 'unknown';
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ['EdDSA'],
        typ: 'at+jwt',
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp'],
      });
      const { data } = claims.safeParse(payload);
      return data && may(data.role, 'ledger.read') ? 'yes' : 'no';
    } catch (error) {
      // What the key set cannot be had for is not the token's fault; everything else is.
      const tokenAtFault =
        error instanceof errors.JOSEError &&
        !(error instanceof errors.JWKSTimeout) &&
        error.code !== 'ERR_JOSE_GENERIC';
      return tokenAtFault ? 'unknown' : 'away';
    }
  };
}

/** As jose fetches a key set, but not for longer, and not more than a key set can be. */
function fetchKeys(url: string, options: RequestInit): Promise<Response> {
  return within(KEYS_TIMEOUT, options.signal ?? undefined, async (signal) => {
    const answer = await fetch(url, { ...options, signal });
    const { status } = answer;
    return new Response(await bodyOf(answer, MOST_KEY_BYTES, signal), { status });
  });
}

/** `/log` of a replica, not listening yet: checkpoint, replaced keys and tiles for everybody, entry bundles for auditors. */
export function createReplicaServer(
  replica: Replica,
  mayReadEntries: MayReadEntries,
  logger: FastifyBaseLogger,
): FastifyInstance {
  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: false,
    requestTimeout: REQUEST_TIMEOUT,
    forceCloseConnections: 'idle',
    http: { headersTimeout: HEADERS_TIMEOUT, connectionsCheckingInterval: CHECKING_INTERVAL },
    frameworkErrors: (_error, _request, reply: FastifyReply) => void say(reply, 400, 'malformed request'),
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  server.removeAllContentTypeParsers();

  server.get('/health', (_request, reply) => say(reply, 200, 'ok'));
  server.get('/log/checkpoint', (_request, reply) => send(reply, replica.checkpoint(), TEXT, CACHING.moving));
  server.get('/log/rotations', (_request, reply) =>
    send(reply, replica.keyRotations() ?? '{"items":[]}', JSON_TYPE, CACHING.moving),
  );
  server.get('/log/continued', async (_request, reply) =>
    send(reply, replica.continued() ?? '{"items":[]}', JSON_TYPE, CACHING.moving),
  );
  server.get('/log/tile/*', async (request, reply) => {
    // One spelling each: the address as it was sent.
    const tile = parseTilePath((request.url.split('?')[0] ?? '').replace(/^\/log\//, ''));
    if (!tile) return say(reply, 400, 'not the path of a tile');
    if (tile.level !== 'entries') return send(reply, await replica.read(tile), BYTES, CACHING.immutable);
    const answer = await mayReadEntries(request.headers.authorization);
    if (answer === 'yes') {
      const bundle = await replica.read(tile);
      return send(reply, bundle && (await compressed(request, reply, bundle)), BYTES, CACHING.guarded);
    }
    if (answer === 'no') return say(reply, 403, 'entries are for auditors');
    if (answer === 'away')
      return say(reply.header('retry-after', RETRY_AFTER_SECONDS), 503, 'the service that knows the token is away');
    return say(reply.header('www-authenticate', 'Bearer'), 401, 'entries are for auditors: an access token is needed');
  });
  server.setNotFoundHandler((_request, reply) => say(reply, 404, 'there is only /log'));
  server.setErrorHandler((error, _request, reply) => {
    logger.error(describeError(error), 'request failed');
    return say(reply.header('retry-after', RETRY_AFTER_SECONDS), 503, 'the replica cannot answer now');
  });
  return server;
}

function send(reply: FastifyReply, file: string | Uint8Array | null, type: string, caching: string): FastifyReply {
  if (file === null) return say(reply, 404, 'not there');
  return reply.type(type).header('cache-control', caching).send(file);
}

function say(reply: FastifyReply, status: number, words: string): FastifyReply {
  return reply.code(status).type(TEXT).header('cache-control', 'no-store').send(`${words}\n`);
}
