import type { BatchTable } from './batch-statement.js';
import type { ChainModel, ReadModel } from '../model.js';

/** The ledger's own tables in the order in which a batch writes them. */
export const LEDGER_TABLES = [
  {
    table: 'entry',
    columns: [
      { name: 'idx', type: 'integer' },
      { name: 'chain', type: 'integer' },
      { name: 'seq', type: 'integer' },
      { name: 'entry', type: 'blob' },
    ],
  },
  {
    table: 'payload',
    columns: [
      { name: 'idx', type: 'integer' },
      { name: 'body', type: 'blob' },
    ],
  },
  {
    table: 'chain',
    columns: [
      { name: 'num', type: 'integer' },
      { name: 'id', type: 'uuid' },
      { name: 'kind', type: 'text' },
      { name: 'subject', type: 'integer' },
      { name: 'seq', type: 'integer' },
      { name: 'leaf', type: 'blob' },
      { name: 'data_key', type: 'blob' },
      { name: 'state_version', type: 'integer' },
      { name: 'state', type: 'blob' },
    ],
    replaceOn: ['num'],
  },
  {
    table: 'subject',
    columns: [
      { name: 'num', type: 'integer' },
      { name: 'id', type: 'uuid' },
      { name: 'kek', type: 'text' },
      { name: 'wrapped_key', type: 'blob' },
    ],
  },
  {
    table: 'tile',
    columns: [
      { name: 'level', type: 'integer' },
      { name: 'idx', type: 'integer' },
      { name: 'hashes', type: 'blob' },
    ],
    replaceOn: ['level', 'idx'],
  },
  {
    table: 'name',
    columns: [
      { name: 'blind', type: 'blob' },
      { name: 'chain', type: 'integer' },
    ],
  },
  {
    table: 'idempotency',
    columns: [
      { name: 'key', type: 'blob' },
      { name: 'request', type: 'blob' },
      { name: 'first', type: 'integer' },
      { name: 'count', type: 'integer' },
      { name: 'chains', type: 'text' },
    ],
  },
] as const satisfies readonly BatchTable[];

/** Positions in {@link LEDGER_TABLES}. */
export const T = { entry: 0, payload: 1, chain: 2, subject: 3, tile: 4, name: 5, idempotency: 6 } as const;

/** All tables that a batch writes: the ledger's own, then the read models of the chain models. */
export function batchTables(models: readonly ChainModel[]): BatchTable[] {
  const readModels = new Map<string, ReadModel>();
  for (const model of models) {
    for (const readModel of model.readModels) {
      if (readModel.key[0] !== 'chain') throw new Error(`read model ${readModel.table} must be keyed by chain first`);
      readModels.set(readModel.table, readModel);
    }
  }
  return [
    ...LEDGER_TABLES,
    ...[...readModels.values()].map(({ table, columns, key }) => ({ table, columns, replaceOn: key })),
  ];
}
