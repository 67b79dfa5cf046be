/** Lists are paged and strict alike: the same query, the same answer, and unknown parameters refused. */
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from './whole-number.js';

/** Items of a page that does not say how many. */
export const PAGE_LIMIT = 50;
/** Most items of a page. */
export const MOST_OF_A_PAGE = 200;

/** `next` of a list whose items have a number. */
export const numberCursor = wholeNumber(0);

/**
 * The query of a list. Its handler answers `{items, next}`: see {@link pageOf}.
 * @param after what `next` of this list looks like
 * @param filters by which the list may be narrowed
 */
export const listQuery = <A extends z.ZodType, F extends z.core.$ZodLooseShape>(after: A, filters: F) =>
  z.strictObject({
    ...filters,
    after: after.optional().describe('`next` of the previous page'),
    limit: wholeNumberOr(PAGE_LIMIT, 1, MOST_OF_A_PAGE),
  });

/** A page of a list. @param id of the schema in OpenAPI */
export const pageOf = <I extends z.ZodType>(item: I, id: string) =>
  z
    .object({
      items: z.array(item),
      next: z.string().nullable().describe('`after` of the next page; null: there is no more'),
    })
    .meta({ id, title: id });

/** @returns `next` after these items: the last one's, when the page is full */
export function nextAfter<T>(
  items: readonly T[],
  limit: number,
  cursorOf: (last: T) => string | number,
): string | null {
  const last = items.length === limit ? items.at(-1) : undefined;
  return last === undefined ? null : String(cursorOf(last));
}

/** A page of a list that is in memory as a whole. @param after how many items come before the page */
export function slicePage<T>(
  all: readonly T[],
  { after = 0, limit }: { readonly after?: number | undefined; readonly limit: number },
): { items: T[]; next: string | null } {
  const end = after + limit;
  return { items: all.slice(after, end), next: end < all.length ? String(end) : null };
}
