import { MAX_ENTRY_BYTES } from '../ledger/core/entry.js';
import type { FetchFile } from '../ledger/core/log-client.js';
import { TILE_WIDTH } from '../ledger/core/tiles.js';

/** A log that is away, or whose answers are not those of a log. That is an outage, not an alarm. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

const TIMEOUT_MS = 30_000;
/** The longest bundle that there can be. */
const MOST_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/**
 * Files of a log over HTTP.
 * @param url of the service, `https://…`; the files are below `/log/`
 * @param token an auditor's access token, sent with entry bundles only; null sends none
 * @param stop ends what is under way
 */
export function httpFiles(url: string, token: (() => Promise<string>) | null, stop?: AbortSignal): FetchFile {
  const base = `${url.replace(/\/+$/, '')}/log/`;
  return async (path) => {
    const guarded = path.startsWith('tile/entries/');
    const headers: Record<string, string> = guarded && token ? { authorization: `Bearer ${await token()}` } : {};
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const signal = stop ? AbortSignal.any([stop, timeout]) : timeout;
    let status: number;
    try {
      const answer = await fetch(base + path, { headers, redirect: 'error', signal });
      status = answer.status;
      if (status === 200) return await bodyOf(answer, path);
      await answer.body?.cancel();
    } catch (error) {
      if (error instanceof SourceError) throw error;
      throw new SourceError(`${path}: no answer`);
    }
    if (status === 404) return null;
    if (status === 401 || status === 403) throw new SourceError(`${path}: ${status}, entries are for auditors`);
    throw new SourceError(`${path}: the server said ${status}`);
  };
}

async function bodyOf(answer: Response, path: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of answer.body ?? []) {
    length += part.length;
    if (length > MOST_BYTES) throw new SourceError(`${path}: longer than any file of a log`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
