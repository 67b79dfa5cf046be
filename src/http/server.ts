import { randomUUID } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import type { DynamicModule, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  LogController,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Logger } from 'pino';
import type { Config } from '../config/config.js';
import { allOrNothing } from './all-or-nothing.js';
import { answerClientError } from './problem/client-error.js';
import { MethodTable } from './envelope.js';
import { answerText } from './body/answer-text.js';
import { NestLogger } from '../config/logging.js';
import { speaksOauth } from './problem/oauth-error.js';
import { PAGE_PATH, serveDocument } from './openapi/document.js';
import { ProblemFilter, sendProblem } from './problem/problem.filter.js';
import { problemOf, refuseRequest } from './problem/problem.js';
import { DeclaredQueryGuard } from './body/declared-query.guard.js';
import { SchemaPipe } from './body/schema.pipe.js';
import { API_HEADERS, PAGE_HEADERS } from './security-headers.js';
import { parseStrictForm } from './body/strict-form.js';
import { parseStrictJson } from './body/strict-json.js';

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * The pattern of the route, `none` where no route takes the request. For logs and metrics, never the URL: a URL may
     * hold an identifier. Worked out once: Fastify makes `routeOptions` anew whenever it is asked for.
     */
    route: string;
  }
  interface FastifyInstance {
    /** Which methods a path takes. */
    methods: MethodTable;
  }
}

export const BODY_LIMIT = 1_048_576;
/** A body on a route that needs no token: a user name and a password, or one JWT and a few words. */
export const PUBLIC_BODY_LIMIT = 4096;
/** From the first byte of a request to its last: ends connections that trickle. */
export const REQUEST_TIMEOUT = 10_000;
const HEADERS_TIMEOUT = 5000;
/** Node looks for overdue connections only this often (its default is 30 s). */
const CHECKING_INTERVAL = 1000;

/**
 * The HTTP side of the service, not listening yet: strict JSON only (forms where a route speaks OAuth), problems
 * for every error, security headers, the API document. The module brings the routes and the guard.
 */
export async function createServer(
  root: Type | DynamicModule,
  config: Config,
  logger: Logger,
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    trustProxy: config.env.TRUST_PROXY ?? false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT,
    http: { headersTimeout: HEADERS_TIMEOUT, connectionsCheckingInterval: CHECKING_INTERVAL },
    clientErrorHandler: answerClientError,
    // Fastify's own answer would repeat the URL.
    frameworkErrors: (_error: FastifyError, _request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, problemOf({ code: 'request.malformed', facts: {} })),
  });
  const fastify = adapter.getInstance();
  prepare(fastify, logger);
  await fastify.register(rateLimit, {
    global: false,
    max: () => config.env.SIGN_IN_PER_MINUTE,
    timeWindow: 60_000,
    errorResponseBuilder: (_request, { ttl }) =>
      refuseRequest('request.rate-limited', { retryAfterSeconds: Math.ceil(ttl / 1000) }),
  });

  const app = await allOrNothing((options) =>
    NestFactory.create<NestFastifyApplication>(root, adapter, {
      ...options,
      bodyParser: false,
      logger: new NestLogger(logger),
      abortOnError: false,
    }),
  );
  app.useGlobalFilters(new ProblemFilter(logger));
  const pipe = new SchemaPipe();
  app.useGlobalPipes(pipe);
  // After the guard of the module: who may not call a route does not learn its parameters.
  app.useGlobalGuards(new DeclaredQueryGuard(pipe));
  serveDocument(app);
  return app;
}

function prepare(fastify: FastifyInstance, logger: Logger): void {
  fastify.decorateRequest('actor', null);
  fastify.decorateRequest('route', 'none');
  fastify.setReplySerializer(answerText);
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    ['application/json', 'application/fhir+json'],
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT },
    (_request, body: Buffer, done) => {
      const parsed = parseStrictJson(body);
      if ('refused' in parsed) done(refuseRequest(parsed.refused));
      else done(null, parsed.value);
    },
  );
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer', bodyLimit: PUBLIC_BODY_LIMIT },
    (request, body: Buffer, done) => {
      const parsed = speaksOauth(request)
        ? parseStrictForm(body)
        : ({ refused: 'request.unsupported-media-type' } as const);
      if ('refused' in parsed) done(refuseRequest(parsed.refused));
      else done(null, parsed.value);
    },
  );
  const methods = new MethodTable();
  fastify.decorate('methods', methods);
  fastify.addHook('onRoute', (route) => {
    methods.add(route.url, [route.method].flat());
    if (route.config?.needsToken !== true) route.bodyLimit = PUBLIC_BODY_LIMIT;
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    request.route = request.routeOptions.url ?? 'none';
    const security = request.route.startsWith(PAGE_PATH) ? PAGE_HEADERS : API_HEADERS;
    void reply.headers(security).header('cache-control', 'no-store').header('x-request-id', request.id);
    done();
  });
  fastify.addHook('preValidation', (request, _reply, done) => {
    // Whoever sends no body says nothing: the schema of the route tells what is missing, or fills in its defaults.
    if (request.method === 'POST' && request.body === undefined) request.body = {};
    done();
  });
  let closing = false;
  fastify.addHook('preClose', (done) => {
    closing = true;
    done();
  });
  fastify.addHook('onSend', (_request, reply, _payload, done) => {
    // A connection that is kept alive after its last answer delays the end of the process.
    if (closing) void reply.header('connection', 'close');
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    logger.info(
      {
        requestId: request.id,
        method: request.method,
        route: request.route,
        status: reply.statusCode,
        milliseconds: Math.round(reply.elapsedTime * 10) / 10,
      },
      'request',
    );
    done();
  });
}
