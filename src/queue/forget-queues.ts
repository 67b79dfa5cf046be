import { Queue } from 'bullmq';

/**
 * Removes the queues of a ledger that is played once from Redis, which others may share. Starting the service on that
 * ledger again makes them anew.
 * @param names as Redis has them ({@link Queues.names})
 */
export async function forgetQueues(url: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const queue = new Queue(name, {
      connection: { url, enableOfflineQueue: true, maxRetriesPerRequest: 1, retryStrategy: () => null },
    });
    // Nobody depends on it: a Redis that has gone has nothing to forget.
    queue.on('error', () => undefined);
    try {
      await queue.obliterate({ force: true });
    } catch {
      return;
    } finally {
      await queue.close().catch(() => undefined);
    }
  }
}
