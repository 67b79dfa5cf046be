import canonicalize from 'canonicalize';
import { hasLoneSurrogate } from './bytes.js';

/** A value that has no canonical JSON form. The message never repeats the value. */
export class JcsError extends Error {
  override readonly name = 'JcsError';
}

/** True for what JSON calls an object: neither null, nor an array, nor an instance of a class. */
export function isObject(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const INTEGER_LIKE = /^(?:0|[1-9][0-9]*)$/;

/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, ECMAScript numbers, no white space.
 * JSON only: plain objects, arrays, strings, finite numbers, booleans, null.
 * @throws JcsError on undefined, functions, symbols, bigints, NaN, infinities, lone surrogates, sparse arrays and
 * objects that are not plain (a Date would change its form on the way).
 */
export function jcs(value: unknown): string {
  const ordered = order(value);
  const text = ordered === UNORDERABLE ? canonicalize(value) : JSON.stringify(ordered);
  if (text === undefined) throw new JcsError('no JSON form');
  // JSON.stringify writes a lone surrogate as an escape; only then is the slow look worth its time.
  if (text.includes('\\ud') && anyLoneSurrogate(value)) throw new JcsError('lone surrogate');
  return text;
}

// Objects put integer-like names first, and `__proto__` is no ordinary name: no copy can hold those in order.
const UNORDERABLE = Symbol('unorderable');

/** The value itself when its members stand in order, else a copy in which they do, or UNORDERABLE. */
function order(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw new JcsError('number is not finite');
      return value;
    case 'object':
      if (value === null) return value;
      if (Array.isArray(value)) return orderArray(value);
      if (!isObject(value)) throw new JcsError('object is not plain');
      return orderObject(value);
    default:
      throw new JcsError(`${typeof value} has no JSON form`);
  }
}

function orderArray(items: readonly unknown[]): unknown {
  let copy: unknown[] | undefined;
  let unorderable = false;
  for (let at = 0; at < items.length; at++) {
    const ordered = order(items[at]);
    if (ordered === UNORDERABLE) unorderable = true;
    else if (ordered !== items[at]) (copy ??= [...items])[at] = ordered;
  }
  return unorderable ? UNORDERABLE : (copy ?? items);
}

function orderObject(members: Record<string, unknown>): unknown {
  const names = Object.keys(members);
  let sorted = true;
  let unchanged = true;
  let unorderable = false;
  const values: unknown[] = [];
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!;
    if (at > 0 && names[at - 1]! > name) sorted = false;
    const ordered = order(members[name]);
    if (ordered === UNORDERABLE) unorderable = true;
    else if (ordered !== members[name]) unchanged = false;
    values.push(ordered);
  }
  if (unorderable) return UNORDERABLE;
  if (sorted && unchanged) return members;
  if (names.some((name) => INTEGER_LIKE.test(name) || name === '__proto__')) return UNORDERABLE;
  const copy: Record<string, unknown> = {};
  const positions = [...names.keys()];
  if (!sorted) positions.sort((a, b) => (names[a]! < names[b]! ? -1 : 1));
  for (const at of positions) copy[names[at]!] = values[at];
  return copy;
}

function anyLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return hasLoneSurrogate(value);
  if (value === null || typeof value !== 'object') return false;
  return Object.entries(value).some(([name, member]) => hasLoneSurrogate(name) || anyLoneSurrogate(member));
}
