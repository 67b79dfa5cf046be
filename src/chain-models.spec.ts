import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { goldenChain } from '../test/fixtures/golden/events/read.js';
import { CHAIN, claim, dispense, given, importOrder, issue, PATIENT, report } from '../test/support/domain.js';
import { CHAIN_MODELS } from './chain-models.js';
import { shapeOf } from './database/declare.js';
import type { LedgerEvent } from './ledger/core/record/event.js';
import type { ChainModel } from './ledger/model.js';
import { readModelsVersion } from './ledger/read-models/version.js';

const GOLDEN = new URL('../test/fixtures/golden/read-models.json', import.meta.url);

/** Lives whose states fill every column of every read model. */
const LIVES: Readonly<Record<ChainModel['kind'], readonly (readonly LedgerEvent[])[]>> = {
  log: [],
  prescription: [
    given(issue({ nominatedPharmacy: 'pharmacy-a', refills: 2 }), claim(), dispense('30', 'd1')).events,
    given(importOrder()).events,
    given(report('30', 'd1')).events,
  ],
  supply: [given(report('30', 'd1', { patient: PATIENT })).events.map((e) => ({ ...e, kind: 'supply' }))],
  patient: [
    goldenChain(CHAIN, 'patient.enrolled/1', 'discrepancy.opened/1'),
    goldenChain(CHAIN, 'patient.enrolled/1', 'discrepancy.opened/1', 'discrepancy.resolved/1'),
    goldenChain(CHAIN, 'patient.enrolled/1', 'access.disclosed/1'),
  ],
};

/** What the tables and rows of a kind of chain follow from. */
function fingerprint(model: ChainModel): string {
  const tables = model.readModels.map((schema) => [shapeOf(schema), schema.options.columns, schema.options.indices]);
  const rows = LIVES[model.kind].map((events) => {
    const state = events.reduce<unknown>((before, event) => model.evolve(before, event), null);
    return model.rows(state, { chain: 7, subject: 3 });
  });
  return createHash('sha256')
    .update(JSON.stringify([tables, rows]))
    .digest('hex');
}

describe('the version of the read models', () => {
  it.each(CHAIN_MODELS.map((model) => [model.kind, model] as const))(
    '%s: is raised when tables or rows change',
    (kind, model) => {
      const golden = JSON.parse(readFileSync(GOLDEN, 'utf8')) as Record<string, string>;
      const name = `${kind} ${model.stateVersion}.${model.rowsVersion}`;
      // Where this fails, raise `rowsVersion` of the chain model and add the new line; lines are never changed, for
      // ledgers hold tables of each version.
      expect({ [name]: fingerprint(model) }).toEqual({ [name]: golden[name] });
    },
  );

  it('rises with each version of each chain model', () => {
    const version = readModelsVersion(CHAIN_MODELS);
    for (const raised of CHAIN_MODELS.flatMap((model) => [
      { ...model, rowsVersion: model.rowsVersion + 1 },
      { ...model, stateVersion: model.stateVersion + 1 },
    ])) {
      const models = CHAIN_MODELS.map((model) => (model.kind === raised.kind ? raised : model));
      expect(readModelsVersion(models)).toBe(version + 1);
    }
  });

  it('is told by rows that fill every column', () => {
    for (const model of CHAIN_MODELS) {
      const filled = new Set<string>();
      for (const events of LIVES[model.kind]) {
        const state = events.reduce<unknown>((before, event) => model.evolve(before, event), null);
        for (const { table, values } of model.rows(state, { chain: 7, subject: 3 }))
          for (const [column, value] of Object.entries(values)) if (value !== null) filled.add(`${table}.${column}`);
      }
      const declared = model.readModels
        .map(shapeOf)
        .flatMap(({ table, columns }) => columns.map(({ name }) => `${table}.${name}`));
      // No report is matched in these lives.
      expect([...filled].toSorted()).toEqual(declared.filter((column) => column !== 'supply_row.matched').toSorted());
    }
  });
});
