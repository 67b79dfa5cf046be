import type { Clock } from '../time/clock.js';
import type { Problem } from '../http/problem/problem.js';
import { TOKEN_SECONDS } from '../identity/guard/tokens.js';

/** The service's answer differs from the demo's story. */
export class StoryBroken extends Error {}

/** The service's answer: a body, or a problem when it refused. */
export type Answer<T> = { readonly ok: true; readonly body: T } | { readonly ok: false; readonly problem: Problem };

/** Signs in again this long before a token ends, ms. */
const MARGIN_MS = 60_000;

/** One person's HTTP client, with their own access token. */
export class Client {
  private token: { readonly text: string; readonly until: number } | null = null;

  constructor(
    private readonly address: string,
    private readonly clock: Clock,
    private readonly credentials: { readonly username: string; readonly password: string },
  ) {}

  /** @throws {StoryBroken} when it is refused */
  async get<T>(path: string): Promise<T> {
    const answer = await this.ask<T>('GET', path);
    if (!answer.ok) throw new StoryBroken(`GET ${path}: ${answer.problem.status} ${answer.problem.code}`);
    return answer.body;
  }

  /** A read that may be refused. */
  tryGet<T>(path: string): Promise<Answer<T>> {
    return this.ask('GET', path);
  }

  /** @param key Idempotency-Key: the same key and body get the same answer */
  post<T>(path: string, body: object, key: string = crypto.randomUUID()): Promise<Answer<T>> {
    return this.ask('POST', path, { body: JSON.stringify(body), key });
  }

  private async ask<T>(method: string, path: string, sent?: { body: string; key: string }): Promise<Answer<T>> {
    const headers: Record<string, string> = { authorization: `Bearer ${await this.signedIn()}` };
    if (sent) {
      headers['content-type'] = 'application/json';
      headers['idempotency-key'] = sent.key;
    }
    const response = await fetch(`${this.address}${path}`, { method, headers, ...(sent && { body: sent.body }) });
    const body: unknown = await response.json();
    return response.ok ? { ok: true, body: body as T } : { ok: false, problem: body as Problem };
  }

  /** Tokens live for minutes but the play for weeks, so people must sign in again. */
  private async signedIn(): Promise<string> {
    if (this.token && this.clock.now() < this.token.until) return this.token.text;
    const { username, password } = this.credentials;
    const response = await fetch(`${this.address}/api/auth/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
    if (!response.ok) throw new StoryBroken(`${username} could not sign in: ${response.status}`);
    const { accessToken } = (await response.json()) as { accessToken: string };
    this.token = { text: accessToken, until: this.clock.now() + TOKEN_SECONDS * 1000 - MARGIN_MS };
    return accessToken;
  }
}
