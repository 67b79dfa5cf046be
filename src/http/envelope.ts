/** What of a request's envelope two readers could understand differently, and methods that a path does not take. Pure. */
import type { FastifyRequest } from 'fastify';
import type { RequestRefusalCode } from '../refusals/request-refusals.js';

/** Headers that a request may have once. Node keeps the first or the last of several, and others do the opposite. */
const ONCE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-type', 'content-encoding']);
const LONGEST = Math.max(...[...ONCE].map((name) => name.length));

/** @returns why the headers are refused; null where they are not */
export function headerFault({ raw, headers }: FastifyRequest): RequestRefusalCode | null {
  let seen = '';
  for (let at = 0; at < raw.rawHeaders.length; at += 2) {
    const written = raw.rawHeaders[at] as string;
    if (written.length > LONGEST) continue;
    const name = written.toLowerCase();
    if (!ONCE.has(name)) continue;
    if (seen.includes(`${name};`)) return 'request.header-twice';
    seen += `${name};`;
  }
  const encoding = headers['content-encoding'];
  return encoding === undefined || encoding.toLowerCase() === 'identity' ? null : 'request.encoded';
}

/** The methods of all routes, by their pattern. */
export class MethodTable {
  private readonly methods = new Map<string, { readonly parts: readonly string[]; readonly taken: Set<string> }>();

  add(pattern: string, methods: readonly string[]): void {
    const known = this.methods.get(pattern) ?? { parts: pattern.split('/'), taken: new Set() };
    for (const method of methods) known.taken.add(method);
    this.methods.set(pattern, known);
  }

  /** @returns what the path of this URL takes, in the order of the alphabet; none where there is no such path */
  of(url: string): string[] {
    // Split once: anybody may ask for a path of thousands of parts.
    const path = (url.split('?', 1)[0] as string).split('/');
    const found = [...this.methods.values()].filter(({ parts }) => fits(parts, path));
    return [...new Set(found.flatMap(({ taken }) => [...taken]))].toSorted();
  }
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  const rest = pattern.indexOf('*');
  if (rest < 0 ? pattern.length !== path.length : path.length <= rest) return false;
  return pattern.every(
    (part, at) => (rest >= 0 && at >= rest) || (part.startsWith(':') ? path[at] !== '' : part === path[at]),
  );
}
