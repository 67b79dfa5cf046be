import { Redis } from 'ioredis';

const COMMAND_TIMEOUT_MS = 5000;
const PROBE_MS = 2000;

/** A Redis that is away is tried again after this many ms, for ever. */
const retryStrategy = (attempt: number): number => Math.min(attempt * 100, 2000);

/** For whoever asks for jobs: every command fails at once while Redis is away, so that nobody waits for it. */
export function askingConnection(url: string): Redis {
  return new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
    retryStrategy,
  });
}

/** For whoever runs jobs: BullMQ makes its own connections from this, and waits until Redis is back. */
export function workingConnection(url: string) {
  return { url, maxRetriesPerRequest: null, retryStrategy };
}

/** For one question to a Redis that may not be there: connects when asked to, tries once, and logs nothing. */
export function probingConnection(url: string): Redis {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: PROBE_MS,
    commandTimeout: PROBE_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  return client.on('error', () => undefined);
}
