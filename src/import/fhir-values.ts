/** Reads FHIR R4 values from unchecked JSON. A value of another shape counts as missing. */
import type { Json, JsonObject } from '../ledger/core/record/event.js';
import type { Identifier } from '../patient/state.js';
import { Refusal } from './reasons.js';

export function object(value: Json | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

export function objects(value: Json | undefined): JsonObject[] {
  return Array.isArray(value) ? value.map(object).filter((item) => item !== null) : [];
}

/** @returns null for a blank string and for anything but a string */
export function text(value: Json | undefined): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

export function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.flatMap((item) => text(item) ?? []) : [];
}

/** Identifiers with a system. Without one, an identifier has another meaning in every place. */
export function identifiers(resource: JsonObject): Identifier[] {
  const found = new Map<string, Identifier>();
  for (const identifier of objects(resource['identifier'])) {
    const system = text(identifier['system']);
    const value = text(identifier['value']);
    if (system && value) found.set(JSON.stringify([system, value]), { system, value });
  }
  return [...found.values()];
}

/** HumanName list as one line: the official name, else the usual one, else the first. */
export function humanName(value: Json | undefined): string | null {
  const names = objects(value);
  const name = names.find((n) => n['use'] === 'official') ?? names.find((n) => n['use'] === 'usual') ?? names[0];
  if (!name) return null;
  const parts = [
    ...texts(name['prefix']),
    ...texts(name['given']),
    text(name['family']) ?? '',
    ...texts(name['suffix']),
  ];
  return text(name['text']) ?? text(parts.filter((part) => part !== '').join(' '));
}

/** Address list as one line: the home address, else the first. */
export function address(value: Json | undefined): string | null {
  const all = objects(value);
  const one = all.find((a) => a['use'] === 'home') ?? all[0];
  if (!one) return null;
  const parts = [
    ...texts(one['line']),
    text(one['city']),
    [text(one['state']), text(one['postalCode'])].filter(Boolean).join(' '),
    text(one['country']),
  ];
  return text(one['text']) ?? text(parts.filter(Boolean).join(', '));
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const DATE_TIME =
  /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)$/;
const PARTIAL = /^\d{4}(-(0[1-9]|1[0-2]))?$/;

/** Whether the text is a day of the calendar, `YYYY-MM-DD`. */
export function isDate(value: string): boolean {
  const match = DATE.exec(value);
  if (!match) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const last = new Date(Date.UTC(2000, month, 0)).setUTCFullYear(year, month, 0);
  return year > 0 && month >= 1 && month <= 12 && day >= 1 && day <= new Date(last).getUTCDate();
}

/**
 * FHIR dateTime.
 * @returns the text itself when it names a day; null when it names only a year or month, or nothing
 */
export function dateTime(value: Json | undefined): string | null | Refusal {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') return new Refusal('import.bad-date');
  if (PARTIAL.test(value)) return null;
  return isDate(DATE_TIME.exec(value)?.[1] ?? value) ? value : new Refusal('import.bad-date');
}

/** Deepest nesting that is read; FHIR's own examples stay below 20. */
const DEPTH = 64;
const LONE_SURROGATE = /\p{Surrogate}/u;

function isBadText(value: string): boolean {
  return value.includes('\0') || LONE_SURROGATE.test(value);
}

/**
 * Why a resource cannot be stored in a ledger entry; null when it can. Faults are text that is not Unicode, NUL,
 * numbers beyond a double, and depth: RFC 8785 section 3 (I-JSON) has no form for these.
 */
export function jsonFault(resource: JsonObject): 'import.bad-text' | 'import.bad-number' | 'import.too-deep' | null {
  const open: [Json, number][] = [[resource, 1]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, depth] = next;
    if (typeof value === 'string' && isBadText(value)) return 'import.bad-text';
    if (typeof value === 'number' && !Number.isFinite(value)) return 'import.bad-number';
    if (typeof value !== 'object' || value === null) continue;
    if (depth > DEPTH) return 'import.too-deep';
    if (!Array.isArray(value) && Object.keys(value).some(isBadText)) return 'import.bad-text';
    for (const member of Object.values(value)) open.push([member, depth + 1]);
  }
  return null;
}

/**
 * Whether the resource must not be read without knowing an extension or implicit rules, which RxLedger does not (FHIR
 * R4, 2.1.0.4 and 2.26.3.5).
 */
export function isModified(resource: JsonObject): boolean {
  return resource['modifierExtension'] !== undefined || resource['implicitRules'] !== undefined;
}
