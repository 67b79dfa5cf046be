import { hasLoneSurrogate } from './bytes.js';

/** A value that has no canonical JSON form. The message never repeats the value. */
export class JcsError extends Error {
  override readonly name = 'JcsError';
}

/** True for a JSON object: not null, not an array, not an instance of a class. */
export function isObject(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Far beyond real data; keeps a hostile or circular value from exhausting the stack. */
const MAX_DEPTH = 500;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, ECMAScript numbers, no white space.
 * JSON only: plain objects, arrays, strings, finite numbers, booleans, null.
 * @throws JcsError on everything else: lone surrogates, sparse arrays, objects that are not plain, nesting deeper than
 *   500. A Date, for example, would change its form on the way.
 */
export function jcs(value: unknown): string {
  const ordered = order(value, 0);
  if (ordered === UNORDERABLE) {
    checkSurrogates(value);
    return inOrder(value);
  }
  const text = JSON.stringify(ordered);
  // JSON.stringify escapes a lone surrogate, so the slow check is needed only when such an escape occurs.
  if (text.includes('\\ud')) checkSurrogates(value);
  return text;
}

// Objects put integer-like names first, and `__proto__` is a special name: no copy can hold these in order.
const UNORDERABLE = Symbol('unorderable');

/** The value itself when its members are in order, else an ordered copy, or UNORDERABLE. */
function order(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw new JcsError('number is not finite');
      return value;
    case 'object':
      if (value === null) return value;
      if (depth === MAX_DEPTH) throw new JcsError('nested too deeply');
      if (Array.isArray(value)) return orderArray(value, depth + 1);
      if (!isObject(value)) throw new JcsError('object is not plain');
      return orderObject(value, depth + 1);
    default:
      throw new JcsError(`${typeof value} has no JSON form`);
  }
}

function orderArray(items: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | undefined;
  let unorderable = false;
  for (let at = 0; at < items.length; at++) {
    const ordered = order(items[at], depth);
    if (ordered === UNORDERABLE) unorderable = true;
    else if (ordered !== items[at]) (copy ??= [...items])[at] = ordered;
  }
  return unorderable ? UNORDERABLE : (copy ?? items);
}

function orderObject(members: Record<string, unknown>, depth: number): unknown {
  const names = Object.keys(members);
  let sorted = true;
  for (let at = 1; at < names.length; at++) if (names[at - 1]! > names[at]!) sorted = false;
  if (!sorted) names.sort();
  let copy: Record<string, unknown> | undefined = sorted ? undefined : {};
  let unorderable = false;
  for (let at = 0; at < names.length; at++) {
    const name = names[at]!;
    const value = members[name];
    const ordered = order(value, depth);
    if (ordered === UNORDERABLE || (!sorted && isUnorderableName(name))) unorderable = true;
    if (ordered !== value && !copy) copy = { ...members };
    if (copy) copy[name] = ordered;
  }
  return unorderable ? UNORDERABLE : (copy ?? members);
}

function isUnorderableName(name: string): boolean {
  const first = name.charCodeAt(0);
  return (first >= DIGIT_0 && first <= DIGIT_9) || name === '__proto__';
}

/** Writes every member by hand, in order: much slower, and rarely needed. @param value checked by {@link order} */
function inOrder(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inOrder).join()}]`;
  if (!isObject(value)) return JSON.stringify(value);
  // The default order of sort() is by UTF-16 code units, as RFC 8785 section 3.2.3 wants it.
  const members = Object.keys(value).toSorted();
  return `{${members.map((name) => `${JSON.stringify(name)}:${inOrder(value[name])}`).join()}}`;
}

function checkSurrogates(value: unknown): void {
  if (typeof value === 'string' && hasLoneSurrogate(value)) throw new JcsError('lone surrogate');
  if (value === null || typeof value !== 'object') return;
  for (const [name, member] of Object.entries(value)) {
    checkSurrogates(name);
    checkSurrogates(member);
  }
}
