import { StandardSchemaValidationPipe } from '@nestjs/common';
import { refuseRequest } from '../problem/problem.js';

/** Member names are the caller's: of a long one the beginning tells enough. */
const short = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** More would only repeat that the request is not one of ours. */
const ERRORS_SHOWN = 20;

/**
 * Checks `@Body({ schema })`, `@Query({ schema })` and `@Param({ schema })` against their zod schema and
 * hands on what it parsed. A request that does not fit is `request.invalid` with `errors: [{path, message}]`;
 * zod's messages name what was expected and never the value.
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

  /** The body parser has refused such members already; Nest would also drop an innocent `constructor`. */
  protected override stripProtoKeys(): void {}
}
