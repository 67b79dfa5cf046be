import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks repeatedly, with growing pauses (5 ms to 200 ms), until the answer is truthy. Tests must not wait in any other
 * way.
 * @param ask a rejection counts as "not yet"; its message is kept for the error
 * @returns the first truthy answer
 * @throws {Error} after `timeout` ms; the message names `what`
 */
export async function until<T>(
  ask: () => T | Promise<T>,
  { timeout = 60_000, what = 'condition' }: { timeout?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeout;
  let wait = 5;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      throw new Error(`gave up after ${timeout} ms: ${what} (last: ${String(last)})`);
    }
    await pause(wait);
    wait = Math.min(wait * 1.5, 200);
  }
}
