/**
 * Tables are declared once, each as a TypeORM `EntitySchema` in PostgreSQL's types. From the declaration follow the
 * batch's column lists, the read-model tables and the repositories; a test holds the migrated schema to it.
 */
import { EntitySchema, type EntitySchemaColumnOptions, type EntitySchemaOptions } from 'typeorm';

/** A whole number of up to 53 bits: a log index, a chain's number, an instant in ms since 1970. */
export const bigint = { type: 'bigint' } as const satisfies EntitySchemaColumnOptions;
/** A small whole number. */
export const integer = { type: 'integer' } as const satisfies EntitySchemaColumnOptions;
export const text = { type: 'text' } as const satisfies EntitySchemaColumnOptions;
export const bytes = { type: 'bytea' } as const satisfies EntitySchemaColumnOptions;
export const uuid = { type: 'uuid' } as const satisfies EntitySchemaColumnOptions;

/** A column of the primary key, in the order of the columns. */
export const key = <C extends EntitySchemaColumnOptions>(column: C) => ({ ...column, primary: true }) as const;
export const nullable = <C extends EntitySchemaColumnOptions>(column: C) => ({ ...column, nullable: true }) as const;
export const unique = <C extends EntitySchemaColumnOptions>(column: C) => ({ ...column, unique: true }) as const;

/** As both engines give them. */
interface Values {
  readonly bigint: number;
  readonly integer: number;
  readonly text: string;
  readonly uuid: string;
  readonly bytea: Buffer;
}
type Value<C> = C extends { readonly type: keyof Values }
  ? Values[C['type']] | (C extends { readonly nullable: true } ? null : never)
  : never;
type Columns = Readonly<Record<string, EntitySchemaColumnOptions & { readonly type: keyof Values }>>;
type RowOf<C extends Columns> = { [N in keyof C]: Value<C[N]> };

/** A table that is read and written through its repository ({@link Db.table}): the type of a row follows from the columns. */
export function table<C extends Columns>(
  options: Omit<EntitySchemaOptions<RowOf<C>>, 'columns'> & { readonly columns: C },
): EntitySchema<RowOf<C>> {
  return new EntitySchema<RowOf<C>>(options);
}

/** How values of a column travel in a batch. */
export type ColumnType = 'integer' | 'text' | 'uuid' | 'blob';

/** What the code of the ledger needs of a declaration. */
export interface TableShape {
  readonly table: string;
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
  /** Names of the columns of the primary key. */
  readonly key: readonly string[];
}

/** A schema is named like its table. */
export const tableName = ({ options }: EntitySchema): string => options.name;

const TYPES: Readonly<Record<string, ColumnType>> = {
  bigint: 'integer',
  integer: 'integer',
  text: 'text',
  uuid: 'uuid',
  bytea: 'blob',
};

const shapes = new WeakMap<EntitySchema, TableShape>();

/** @throws Error for a column of a type that no batch carries */
export function shapeOf(schema: EntitySchema): TableShape {
  const known = shapes.get(schema) ?? readShape(schema);
  shapes.set(schema, known);
  return known;
}

function readShape(schema: EntitySchema): TableShape {
  const columns = columnsOf(schema);
  return {
    table: tableName(schema),
    columns: columns.map(([name, { type }]) => {
      const carried = TYPES[String(type)];
      if (!carried) throw new Error(`${tableName(schema)}.${name} is of a type that no batch carries`);
      return { name, type: carried };
    }),
    key: columns.filter(([, { primary }]) => primary).map(([name]) => name),
  };
}

/** SQLite's types; an `integer` primary key is the rowid itself, a `bigint` one would be an index beside it. */
const SQLITE_TYPES: Readonly<Record<string, EntitySchemaColumnOptions['type']>> = {
  bigint: 'integer',
  bytea: 'blob',
  uuid: 'text',
};

/** The declarations as the engine's data source takes them. */
export function entitiesFor(engine: 'sqlite' | 'postgres', schemas: readonly EntitySchema[]): EntitySchema[] {
  if (engine === 'postgres') return [...schemas];
  return schemas.map((schema) => {
    const { name, indices, checks, withoutRowid } = schema.options;
    const columns = columnsOf(schema).map(([column, options]) => [
      column,
      { ...options, type: SQLITE_TYPES[String(options.type)] ?? options.type },
    ]);
    return new EntitySchema({ name, columns: Object.fromEntries(columns) as object, indices, checks, withoutRowid });
  });
}

function columnsOf(schema: EntitySchema): [string, EntitySchemaColumnOptions][] {
  return Object.entries(schema.options.columns as Record<string, EntitySchemaColumnOptions>);
}
