import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import {
  fastify,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify';
import { describeError } from '../../config/logging.js';
import type { Answer, Witness } from './witness.js';

/** Bytes; room for 63 proof lines and a note with many signatures. */
const BODY_LIMIT = 65_536;
/** ms from the first byte of a request to its last: ends connections that trickle. */
const REQUEST_TIMEOUT = 10_000;
const HEADERS_TIMEOUT = 5000;
/** Node looks for overdue connections only this often (its default is 30 s). */
const CHECKING_INTERVAL = 1000;
/** A log asks every few seconds: its connection outlives the pause. */
const KEEP_ALIVE_TIMEOUT = 65_000;
const MAX_CONNECTIONS = 512;
const RETRY_AFTER_SECONDS = 5;
const TEXT = 'text/plain; charset=utf-8';

/** The HTTP side of a witness, not listening yet: `POST /add-checkpoint` and `GET /health`, answers in plain text. */
export function createWitnessServer(witness: Witness, logger: FastifyBaseLogger): FastifyInstance {
  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    forceCloseConnections: 'idle',
    http: { headersTimeout: HEADERS_TIMEOUT, connectionsCheckingInterval: CHECKING_INTERVAL },
    clientErrorHandler: hangUp,
    frameworkErrors: (_error, _request, reply: FastifyReply) => void say(reply, 400, 'malformed request'),
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  server.removeAllContentTypeParsers();
  // The content type does not matter: the specification alone says what the body is.
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  server.get('/health', (_request, reply) => say(reply, 200, 'ok'));
  server.post('/add-checkpoint', async ({ body }, reply) =>
    answer(reply, await witness.addCheckpoint(Buffer.isBuffer(body) ? body : Buffer.alloc(0))),
  );
  server.setNotFoundHandler((request, reply) =>
    request.url === '/add-checkpoint'
      ? say(reply.header('allow', 'POST'), 405, 'only POST')
      : say(reply, 404, 'there is only /add-checkpoint'),
  );
  server.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) return say(reply, status, status === 413 ? 'request is too large' : 'malformed request');
    logger.error(describeError(error), 'request failed');
    return say(reply.header('retry-after', RETRY_AFTER_SECONDS), 503, 'the witness cannot answer now');
  });
  server.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request;
    const milliseconds = Math.round(reply.elapsedTime * 10) / 10;
    logger.info({ method, route: routeOptions.url ?? 'none', status: reply.statusCode, milliseconds }, 'request');
    done();
  });
  return server;
}

function answer(reply: FastifyReply, given: Answer): FastifyReply {
  switch (given.status) {
    case 200:
      return reply.code(200).type(TEXT).send(given.cosignature);
    case 409:
      return reply.code(409).header('content-type', 'text/x.tlog.size').send(`${given.size}\n`);
    case 503:
      return say(reply.header('retry-after', RETRY_AFTER_SECONDS), 503, given.reason);
    default:
      return say(reply, given.status, given.reason);
  }
}

function say(reply: FastifyReply, status: number, words: string): FastifyReply {
  return reply.code(status).type(TEXT).send(`${words}\n`);
}

/** Answers bytes that could not be parsed as a request. */
function hangUp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
  if (socket.writable) {
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  }
  socket.destroy(error);
}
