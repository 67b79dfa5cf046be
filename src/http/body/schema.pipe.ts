import { StandardSchemaValidationPipe } from '@nestjs/common';
import { speakPlainly } from '../../refusals/wording.js';
import { refuseRequest } from '../problem/problem.js';

speakPlainly();

/** Member names are the caller's: the beginning of a long one tells enough. */
const short = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Further errors would only repeat that the request was not made for this route. */
const ERRORS_SHOWN = 20;

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

  /** The body parser has refused `__proto__` already. Nest would also drop a harmless `constructor`. */
  protected override stripProtoKeys(): void {}
}
