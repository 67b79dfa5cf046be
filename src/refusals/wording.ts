/** What is wrong with a value, in plain words that name the bound: for zod in place of its own sentences. Pure. */
import { z } from 'zod';

type Issue = Parameters<z.core.$ZodErrorMap>[0];

const TYPES: Readonly<Record<string, string>> = {
  string: 'must be text',
  number: 'must be a number',
  int: 'must be a whole number',
  boolean: 'must be true or false',
  array: 'must be a list',
  object: 'must be an object',
  record: 'must be an object',
  null: 'must be null',
  never: 'is not accepted here',
};

const FORMATS: Readonly<Record<string, string>> = {
  uuid: 'must be a UUID of version 4, for example 3f2b8c1e-9d4a-4e6b-8f17-2a5c0d9e7b64',
  guid: 'must be a UUID, for example 3f2b8c1e-9d4a-4e6b-8f17-2a5c0d9e7b64',
  date: 'must be a date that exists, written 2026-03-10',
  datetime: 'must be an instant that exists, written 2026-03-10T14:05:00Z or with another offset',
  url: 'must be an address that begins with http:// or https://',
};

/** Units of what has a size; a number has none. */
const SIZES: Readonly<Record<string, readonly [one: string, several: string]>> = {
  string: ['character', 'characters'],
  array: ['item', 'items'],
  set: ['item', 'items'],
  map: ['entry', 'entries'],
};

function bound(origin: string, words: string, by: number | bigint): string {
  const unit = SIZES[origin];
  return unit ? `must have ${words} ${by} ${unit[Number(by) === 1 ? 0 : 1]}` : `must be ${words} ${by}`;
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? `must be ${String(values[0])}` : `must be one of ${values.join(', ')}`;
}

/**
 * @returns what the value must be, never the value itself; names of members that are not known are the caller's own.
 * A schema that brings a message of its own keeps it.
 */
export function inPlainWords(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : (TYPES[issue.expected] ?? `must be ${issue.expected}`);
    case 'invalid_value':
      return issue.input === undefined ? 'is required' : oneOf(issue.values);
    case 'too_big':
      return bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum);
    case 'too_small':
      return bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum);
    case 'invalid_format':
      return FORMATS[issue.format] ?? 'does not have the required form';
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return `must not have ${issue.keys.join(', ')}`;
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options)
        ? oneOf(issue.options)
        : 'fits none of the accepted forms';
    default:
      return 'does not fit';
  }
}

/** Everything that zod says in this process says it so from here on. */
export function speakPlainly(): void {
  z.config({ localeError: inPlainWords });
}
