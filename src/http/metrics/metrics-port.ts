import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Config, ConfigError } from '../../config/config.js';
import { Metrics } from './metrics.js';

/** `GET /metrics` of a worker, which has no other HTTP: on `METRICS_PORT`, for this machine only. */
@Injectable()
export class MetricsPort implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private server: Server | null = null;

  constructor(
    private readonly config: Config,
    private readonly metrics: Metrics,
  ) {}

  /** @throws {ConfigError} when the port cannot be listened on */
  async onApplicationBootstrap(): Promise<void> {
    const { ROLE, METRICS_PORT: port } = this.config.env;
    if (ROLE !== 'worker' || port === undefined) return;
    this.server = createServer((request, response) => {
      if (request.method !== 'GET' || request.url !== '/metrics') response.writeHead(404).end();
      else {
        void this.metrics.text().then(
          (text) => response.writeHead(200, { 'content-type': this.metrics.contentType }).end(text),
          () => response.writeHead(500).end(),
        );
      }
    });
    try {
      await once(this.server.listen(port, '127.0.0.1'), 'listening');
    } catch (error) {
      throw new ConfigError(
        `METRICS_PORT (${port}) cannot be listened on: ${String((error as { code?: string }).code)}`,
      );
    }
  }

  beforeApplicationShutdown(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }
}
