import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('BullMQ and Redis are set up here alone; others import their types at most', () => {
  const sources = new URL('..', import.meta.url).pathname;
  const importers = readdirSync(sources, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => /^import (?!type )[^;]*from '(bullmq|ioredis)'/m.test(readFileSync(join(sources, file), 'utf8')));
  expect(importers.toSorted()).toEqual(['queue/forget-queues.ts', 'queue/queues.ts', 'queue/redis.ts']);
});
