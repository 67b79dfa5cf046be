/** Answers of servers that nobody has to believe: each ends in time and takes no more memory than it may. */

/** An answer that is longer than any that there can be. */
export class AnswerTooLong extends Error {
  override readonly name = 'AnswerTooLong';
}

/**
 * Asks, and reads the answer, for so long at most.
 * @param ms the time, ms
 * @param stop ends it before
 * @param use asks and reads, until the signal that it is given; its timer is our own, since one of
 *   `AbortSignal.timeout` may be collected with the request while the body is still being read
 */
export async function within<T>(
  ms: number,
  stop: AbortSignal | undefined,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const end = () => ending.abort(stop?.reason);
  const timer = setTimeout(() => ending.abort(new DOMException('no answer in time', 'TimeoutError')), ms);
  if (stop?.aborted) end();
  stop?.addEventListener('abort', end, { once: true });
  try {
    return await use(ending.signal);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', end);
  }
}

/**
 * The body of an answer. Whatever ends the reading ends the connection.
 * @param most bytes, after decompression
 * @param signal ends the reading itself, whether or not `fetch` still listens to it
 * @throws {AnswerTooLong}; what the signal was aborted with
 */
export async function bodyOf({ body }: Response, most: number, signal: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  if (!body) return Buffer.concat(parts);
  const reader = body.getReader();
  const end = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', end, { once: true });
  try {
    for (let length = 0; ;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      // A reader that is cancelled says that the body is done.
      signal.throwIfAborted();
      if (done) return Buffer.concat(parts);
      length += value.length;
      if (length > most) throw new AnswerTooLong(`longer than ${most} bytes`);
      parts.push(value);
    }
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}
