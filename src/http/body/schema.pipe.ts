import { type ArgumentMetadata, StandardSchemaValidationPipe } from '@nestjs/common';
import { speakPlainly } from '../../refusals/wording.js';
import { refuseRequest } from '../problem/problem.js';

speakPlainly();

/** Member names are the caller's: the beginning of a long one tells enough. */
const short = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Further errors would only repeat that the request was not made for this route. */
const ERRORS_SHOWN = 20;

/** What a schema made of a body, for parameters that are made beside the body's own. */
const PARSED = new WeakMap<object, object>();

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/**
 * @param body as the request carries it
 * @returns what the schema of its route made of it; null before that, and on a route that takes no body
 */
export function parsedBody(body: unknown): object | null {
  return isObject(body) ? (PARSED.get(body) ?? null) : null;
}

/**
 * Checks `@Body({ schema })`, `@Query({ schema })` and `@Param({ schema })` against their zod schema and
 * hands on what it parsed. A request that does not fit is `request.invalid` with `errors: [{path, message}]`.
 * A message names what is expected and its bound, never the value; the path of the whole body or query is empty.
 */
export class SchemaPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({
      exceptionFactory: (issues) =>
        refuseRequest('request.invalid', {
          errors: issues.slice(0, ERRORS_SHOWN).map(({ path, message }) => ({
            path: short(
              (path ?? []).map((segment) => String(typeof segment === 'object' ? segment.key : segment)).join('.'),
            ),
            message: short(message),
          })),
        }),
    });
  }

  override async transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    const parsed = await super.transform(value, metadata);
    if (metadata.type === 'body' && isObject(value) && isObject(parsed)) PARSED.set(value, parsed);
    return parsed;
  }

  /** The body parser has refused `__proto__` already. Nest would also drop a harmless `constructor`. */
  protected override stripProtoKeys(): void {}
}
