import { AnswerTooLong, bodyOf, within } from '../../net/untrusted-answer.js';
import type { FetchFile } from '../../ledger/core/tlog/log-client.js';
import { TILE_WIDTH, MAX_ENTRY_BYTES } from '../../ledger/core/tlog/tiles.js';

/** The log cannot be reached, or its answers are not those of a log. That is an outage, not an alarm. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

const TIMEOUT_MS = 30_000;
/** Length of the longest possible entry bundle. */
const MOST_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/**
 * Files of a log over HTTP.
 * @param url of the service, `https://…`; the files are below `/log/`
 * @param token gives an auditor's access token, sent with requests for entry bundles only; null: none is sent
 * @param stop ends requests under way
 */
export function httpFiles(url: string, token: (() => Promise<string>) | null, stop?: AbortSignal): FetchFile {
  const base = `${url.replace(/\/+$/, '')}/log/`;
  return async (path) => {
    const guarded = path.startsWith('tile/entries/');
    const headers: Record<string, string> = guarded && token ? { authorization: `Bearer ${await token()}` } : {};
    let status: number;
    try {
      const { file, ...answer } = await within(TIMEOUT_MS, stop, async (signal) => {
        const response = await fetch(base + path, { headers, redirect: 'error', signal });
        if (response.status === 200) return { status: 200, file: await bodyOf(response, MOST_BYTES, signal) };
        await response.body?.cancel();
        return { status: response.status };
      });
      if (file) return file;
      ({ status } = answer);
    } catch (error) {
      if (error instanceof AnswerTooLong) throw new SourceError(`${path}: longer than any file of a log`);
      throw new SourceError(`${path}: no answer`);
    }
    if (status === 404) return null;
    if (status === 401 || status === 403) throw new SourceError(`${path}: ${status}, entries are for auditors`);
    throw new SourceError(`${path}: the server said ${status}`);
  };
}
