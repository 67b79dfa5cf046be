import type { EntitySchema } from 'typeorm';
import { shapeOf } from '../../database/declare.js';
import { chain, idempotency, name, payload, subject } from '../../database/tables/chain-tables.js';
import { entry, tile } from '../../database/tables/log-tables.js';
import type { ChainModel } from '../model.js';
import type { BatchTable } from './batch-statement.js';

const replaced = (schema: EntitySchema): BatchTable => {
  const shape = shapeOf(schema);
  return { ...shape, replaceOn: shape.key };
};

/** The ledger's own tables in the order in which a batch writes them. */
export const LEDGER_TABLES: readonly BatchTable[] = [
  shapeOf(entry),
  shapeOf(payload),
  replaced(chain),
  shapeOf(subject),
  replaced(tile),
  shapeOf(name),
  shapeOf(idempotency),
];

/** Positions in {@link LEDGER_TABLES}. */
export const T = { entry: 0, payload: 1, chain: 2, subject: 3, tile: 4, name: 5, idempotency: 6 } as const;

/** The read models of the chain models, each once. @throws Error when one is not keyed by chain first */
export function readModelsOf(models: readonly ChainModel[]): EntitySchema[] {
  const schemas = new Map(
    models.flatMap(({ readModels }) => readModels.map((schema) => [schema.options.name, schema])),
  );
  for (const schema of schemas.values()) {
    const { table, key } = shapeOf(schema);
    if (key[0] !== 'chain') throw new Error(`read model ${table} must be keyed by chain first`);
  }
  return [...schemas.values()];
}

/** All tables that a batch writes: the ledger's own, then the read models of the chain models. */
export function batchTables(models: readonly ChainModel[]): BatchTable[] {
  return [...LEDGER_TABLES, ...readModelsOf(models).map(replaced)];
}
