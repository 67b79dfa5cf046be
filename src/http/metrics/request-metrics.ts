import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { Metrics } from './metrics.js';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Durations of requests. A process without HTTP has none. */
@Injectable()
export class RequestMetrics implements OnModuleInit {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly metrics: Metrics,
  ) {}

  onModuleInit(): void {
    const fastify = this.host.httpAdapter?.getInstance<FastifyInstance>();
    if (!fastify) return;
    const durations = this.metrics.histogram(
      'rxledger_request_duration_seconds',
      'Requests by method, route pattern and status; everything that no route takes counts as one',
      SECONDS,
      ['method', 'route', 'status'],
    );
    fastify.addHook('onResponse', (request, reply, done) => {
      const { route } = request;
      const method = route === 'none' ? 'any' : request.method;
      durations.observe({ method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
      done();
    });
  }
}
