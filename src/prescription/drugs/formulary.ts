import type { Schedule } from '../events.js';
import { formularyData } from './formulary-data.js';

/** Stands in every event that was decided with this list. Raise it with every change to the data. */
export const FORMULARY_VERSION = '2026-11-22';

/** RxNorm's code system as FHIR names it. */
export const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

/** A product that the formulary knows. */
export interface Drug {
  /** RxNorm concept id, digits only. */
  readonly rxcui: string;
  /** RxNorm name: strength in `MG`, dose form, brand in brackets. */
  readonly name: string;
  /** Ingredients without their salts, joined by ` / `. */
  readonly ingredient: string;
  /** Strengths in the order of the ingredients, joined by ` / `. */
  readonly strength: string;
  readonly form: string;
  /** Federal schedule, 21 CFR 1308.12-15; null: not controlled. */
  readonly schedule: Schedule;
}

const drugs: readonly Drug[] = formularyData.map(([rxcui, name, ingredient, strength, form, schedule]) =>
  Object.freeze({ rxcui, name, ingredient, strength, form, schedule }),
);
const byCode = new Map(drugs.map((drug) => [drug.rxcui, drug]));

/** All products, in the order in which they are shown. */
export function allDrugs(): readonly Drug[] {
  return drugs;
}

/**
 * @param code RxCUI
 * @returns null when the formulary does not know it; that says nothing about whether the drug exists
 */
export function findDrug(code: string): Drug | null {
  return byCode.get(code) ?? null;
}

/**
 * Products in whose name or code every word of the text occurs, whatever the case; names that begin with the text first.
 * @param text what somebody types; an empty text finds nothing
 * @param limit most products to answer
 */
export function searchDrugs(text: string, limit = 20): Drug[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return [];
  const words = wanted.split(/\s+/);
  const found = drugs.filter((drug) => {
    const haystack = `${drug.name} ${drug.ingredient} ${drug.rxcui}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
  const begins = (drug: Drug) => drug.name.toLowerCase().startsWith(wanted) || drug.rxcui === wanted;
  return [...found.filter(begins), ...found.filter((drug) => !begins(drug))].slice(0, limit);
}
