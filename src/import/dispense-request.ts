import type { Json, JsonObject } from '../ledger/core/record/event.js';
import type { Quantity } from '../prescription/events.js';
import { isQuantity } from '../prescription/quantity.js';
import { object, text } from './fhir-values.js';
import { Refusal } from './reasons.js';

const UCUM = 'http://unitsofmeasure.org';
/** v3-orderableDrugForm codes and everyday words for counted units, which UCUM writes as annotations. */
const COUNTED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '{tablet}': ['tab', 'tabs', 'tablet', 'tablets'],
    '{capsule}': ['cap', 'caps', 'capsule', 'capsules'],
    '{puff}': ['puff', 'puffs'],
  }).flatMap(([unit, words]) => words.map((name) => [name, unit] as const)),
);
/** UCUM units of time that have a fixed number of whole days. */
const DAYS: ReadonlyMap<string, number> = new Map([
  ['d', 1],
  ['wk', 7],
]);

/**
 * FHIR SimpleQuantity to an exact amount.
 * @returns null when there is none, or its unit cannot be compared with others
 */
export function quantityOf(value: Json | undefined): Quantity | null | Refusal {
  const quantity = object(value);
  if (!quantity || quantity['value'] === undefined) return null;
  const amount = quantity['value'];
  // String() gives the shortest decimal for the same double, which is exact for the amounts that pharmacies count.
  const decimal = typeof amount === 'number' ? String(amount) : '';
  if (!isQuantity({ value: decimal, unit: '1' }) || quantity['comparator'] !== undefined) {
    return new Refusal('import.bad-quantity');
  }
  const code = text(quantity['code']);
  const counted = COUNTED.get(word(code)) ?? COUNTED.get(word(text(quantity['unit'])));
  const unit = counted ?? (quantity['system'] === UCUM && code ? code : '');
  return isQuantity({ value: decimal, unit }) ? { value: decimal, unit } : null;
}

/** `{tablets}` and `TABLETS` are the same word. */
function word(unit: string | null): string {
  return (unit ?? '')
    .replace(/^\{(.*)\}$/, '$1')
    .trim()
    .toLowerCase();
}

/**
 * FHIR Duration to whole days.
 * @returns null when there is none, or its unit has no fixed number of days, or the days are not whole
 */
export function daysSupplyOf(value: Json | undefined): number | null | Refusal {
  const duration = object(value);
  if (!duration || duration['value'] === undefined) return null;
  const amount = duration['value'];
  if (typeof amount !== 'number' || amount <= 0 || duration['comparator'] !== undefined) {
    return new Refusal('import.bad-days-supply');
  }
  const factor = duration['system'] === UCUM ? DAYS.get(text(duration['code']) ?? '') : undefined;
  const days = factor === undefined ? null : amount * factor;
  return days !== null && Number.isSafeInteger(days) ? days : null;
}

/** FHIR `numberOfRepeatsAllowed`: refills after the original fill; null when it is missing. */
export function refillsOf(dispenseRequest: JsonObject | null): number | null | Refusal {
  const value = dispenseRequest?.['numberOfRepeatsAllowed'];
  if (value === undefined || value === null) return null;
  const whole = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 999;
  return whole ? value : new Refusal('import.bad-refills');
}
