import { createHash } from 'node:crypto';

/** Name of a queue in Redis. It begins with a hash of the log's origin: several ledgers may share one Redis. */
export function queueName(origin: string, queue: string): string {
  return `rxledger-${createHash('sha256').update(origin).digest('hex').slice(0, 12)}-${queue}`;
}
