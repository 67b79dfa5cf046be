import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Header, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Config } from '../../config/config.js';
import { Refuses } from '../openapi/refuses.js';
import { refuseRequest } from '../problem/problem.js';
import { PublicRoute } from '../public-route.js';
import { Metrics } from './metrics.js';

/** Text format 0.0.4, as {@link Metrics.contentType} says. */
const TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;
/** A proxy on this machine sets one of these: then the request comes from somewhere else. */
const FORWARDED = ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'];
const BEARER = /^Bearer ([!-~]+)$/i;

/** Measurements for Prometheus: open to this machine, to others with `METRICS_TOKEN`. */
@ApiTags('health')
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly metrics: Metrics,
    private readonly config: Config,
  ) {}

  @Get()
  @PublicRoute()
  @Refuses('request.not-found', 'access.unauthenticated')
  @Header('content-type', TYPE)
  @ApiOperation({
    summary: 'Measurements for Prometheus',
    description:
      'Open to requests from this machine that no proxy passed on. Others send `METRICS_TOKEN` as a bearer token; while that is not set, there is nothing for them (404).',
  })
  @ApiOkResponse({ description: 'Prometheus text format', content: { [TYPE]: { schema: { type: 'string' } } } })
  read(@Req() request: FastifyRequest): Promise<string> {
    const { METRICS_TOKEN: token } = this.config.env;
    if (!isLocal(request)) {
      if (token === undefined) throw refuseRequest('request.not-found');
      if (!bears(request, token)) throw refuseRequest('access.unauthenticated');
    }
    return this.metrics.text();
  }
}

function isLocal({ headers, socket }: FastifyRequest): boolean {
  return LOOPBACK.test(socket.remoteAddress ?? '') && FORWARDED.every((name) => headers[name] === undefined);
}

function bears({ headers }: FastifyRequest, token: string): boolean {
  const sent = BEARER.exec(headers.authorization ?? '')?.[1];
  // Digests are equally long, so that the time of the comparison says nothing.
  return sent !== undefined && timingSafeEqual(digest(sent), digest(token));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
