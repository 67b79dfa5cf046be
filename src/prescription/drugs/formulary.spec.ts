import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sharedPath } from '../../../test/support/shared.js';
import { allDrugs, findDrug, searchDrugs } from './formulary.js';

/** 21 CFR 1308.12 (II), 1308.13 (III), 1308.14 (IV), 1308.15 (V), by ingredient. */
const CONTROLLED: Record<string, string> = {
  codeine: 'II',
  fentanyl: 'II',
  hydrocodone: 'II',
  hydromorphone: 'II',
  meperidine: 'II',
  methadone: 'II',
  methylphenidate: 'II',
  morphine: 'II',
  oxycodone: 'II',
  oxymorphone: 'II',
  remifentanil: 'II',
  buprenorphine: 'III',
  dronabinol: 'III',
  ketamine: 'III',
  alprazolam: 'IV',
  carisoprodol: 'IV',
  clobazam: 'IV',
  clonazepam: 'IV',
  diazepam: 'IV',
  lorazepam: 'IV',
  midazolam: 'IV',
  phenobarbital: 'IV',
  tramadol: 'IV',
  zolpidem: 'IV',
  pregabalin: 'V',
};
/** Products whose schedule is not that of their strongest ingredient. */
const PRODUCTS: Record<string, string> = { 'acetaminophen / codeine': 'III' };

const SHARED = sharedPath('rxnorm-codes.csv');

function parts(display: string): string[] {
  return display.toLowerCase().match(/[a-z]+|\d+(\.\d+)?/g) ?? [];
}

describe('formulary', () => {
  it('holds at least sixty products, each code once, no field empty', () => {
    expect(allDrugs().length).toBeGreaterThanOrEqual(60);
    expect(new Set(allDrugs().map((drug) => drug.rxcui)).size).toBe(allDrugs().length);
    for (const drug of allDrugs()) {
      expect(drug.rxcui).toMatch(/^[1-9]\d{1,7}$/);
      for (const field of [drug.name, drug.ingredient, drug.strength, drug.form]) expect(field.trim()).not.toBe('');
    }
  });

  it.each(allDrugs().map((drug) => [drug.name, drug] as const))('%s: name, strength and schedule agree', (_, drug) => {
    const ingredients = drug.ingredient.split(' / ');
    expect(ingredients).toHaveLength(drug.strength.split(' / ').length);
    expect(drug.name).toContain(drug.form);
    for (const ingredient of ingredients) expect(drug.name).toContain(ingredient);
    for (const strength of drug.strength.split(' / ')) expect(drug.name).toContain(` ${strength} `);
    const strongest = ingredients.map((ingredient) => CONTROLLED[ingredient] ?? null).find((schedule) => schedule);
    expect(drug.schedule).toBe(PRODUCTS[drug.ingredient] ?? strongest ?? null);
  });

  it('has every schedule', () => {
    expect(new Set(allDrugs().map((drug) => drug.schedule))).toEqual(new Set([null, 'II', 'III', 'IV', 'V']));
  });

  it('finds by code', () => {
    expect(findDrug('314076')?.name).toBe('lisinopril 10 MG Oral Tablet');
    expect(findDrug('857005')?.schedule).toBe('II');
    expect(findDrug('1')).toBeNull();
    expect(findDrug('__proto__')).toBeNull();
  });

  it('finds by words in any order and case, names that begin so first', () => {
    expect(searchDrugs('LISINOPRIL 10').map((drug) => drug.rxcui)).toEqual(['314076']);
    expect(searchDrugs('5 mg hydrocodone')[0]?.ingredient).toContain('hydrocodone');
    expect(searchDrugs('hydrocodone').length).toBeGreaterThan(1);
    expect(searchDrugs('acetaminophen')[0]?.name.startsWith('acetaminophen')).toBe(true);
    expect(searchDrugs('197361')[0]?.ingredient).toBe('amlodipine');
    expect(searchDrugs('tablet', 3)).toHaveLength(3);
    expect(searchDrugs('  ')).toEqual([]);
    expect(searchDrugs('no such drug')).toEqual([]);
  });

  it.skipIf(!existsSync(SHARED))(
    'says the same as the codes seen in real data (needs ../shared/rxnorm-codes.csv)',
    () => {
      const seen = readFileSync(SHARED, 'utf8')
        .trim()
        .split(/\r?\n/)
        .slice(1)
        .map((line) => /^(\d+),(.*)$/.exec(line));
      const both = seen.flatMap((match) => {
        const drug = findDrug(match?.[1] ?? '');
        return drug ? [{ drug, display: match?.[2] ?? '' }] : [];
      });
      expect(both.length).toBeGreaterThan(50);
      for (const { drug, display } of both) {
        const known = new Set(parts(drug.name));
        expect(parts(display).filter((part) => !known.has(part))).toEqual([]);
      }
    },
  );
});
