import { ACTION } from './http/public-route.js';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppModule } from './app.module.js';
import { Config } from './config/config.js';
import { createLogger } from './config/logging.js';
import { createServer } from './http/server.js';
import { isAction } from './identity/guard/policy.js';

const PATH_METADATA = 'path';

describe('application', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rxledger-app-'));
  const config = Config.parse({ DATA_DIR: dir, LOG_LEVEL: 'silent' });
  const served: string[] = [];
  let app: NestFastifyApplication;
  let routes: { name: string; action: unknown }[];

  beforeAll(async () => {
    @Module({ imports: [AppModule.for(config), DiscoveryModule] })
    class Root {}
    app = await createServer(Root, config, createLogger(config));
    app
      .getHttpAdapter()
      .getInstance()
      .addHook('onRoute', ({ method, url }) => void served.push(`${[method].flat().join()} ${url}`));
    await app.init();
    const scanner = new MetadataScanner();
    routes = app
      .get(DiscoveryService)
      .getControllers()
      .flatMap(({ metatype }) => {
        const prototype: object = metatype?.prototype;
        return scanner.getAllMethodNames(prototype).map((method) => {
          const handler: object = Reflect.get(prototype, method);
          const isRoute = Reflect.hasMetadata(PATH_METADATA, handler);
          return { name: `${metatype?.name}.${method}`, isRoute, action: Reflect.getMetadata(ACTION, handler) };
        });
      })
      .filter(({ isRoute }) => isRoute);
  });
  afterAll(async () => {
    await app.close();
    rmSync(dir, { recursive: true });
  });

  it('has no route without an action of the policy table', () => {
    expect(routes.length).toBeGreaterThan(8);
    const without = routes.filter(({ action }) => typeof action !== 'string' || !isAction(action));
    expect(without).toEqual([]);
  });

  it('serves no route beside those of its controllers', () => {
    // HEAD is Fastify's answer to GET; the assets of the documentation page come by a wildcard of their own.
    const beside = served.filter((route) => !route.startsWith('HEAD ') && !route.includes(' /api/docs'));
    expect(beside).toHaveLength(routes.length);
  });

  it('is ready', async () => {
    const response = await app.inject('/health/ready');
    expect(response.json()).toMatchObject({ database: { status: 'up' } });
  });
});
