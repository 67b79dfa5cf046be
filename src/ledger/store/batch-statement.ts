/**
 * One batch is one statement. A single statement is a transaction by itself, so a batch costs one round trip. On SQLite
 * it is an INSERT into a view whose trigger holds all writes. On PostgreSQL it is one chain of data-modifying CTEs
 * behind a compare-and-set on the head. Rows travel as JSON, bytes in one buffer that the statement cuts up.
 */
import type { ColumnType, TableShape } from '../../database/declare.js';
import { lengthOf, type Part, type Sealer, type Secret } from '../crypto/sealer.js';

export interface BatchTable extends Pick<TableShape, 'table' | 'columns'> {
  /** Key columns on which a row replaces an existing one. Without it, an existing key fails the batch. */
  readonly replaceOn?: readonly string[];
}

export type BatchValue = string | number | null | Uint8Array | Secret;

/**
 * The log's head before the batch. The statement writes nothing unless the head is unchanged, the rows' KEKs may still
 * wrap, and the read models have the rows' version. All of this is in the head's own row for a reason. After waiting
 * for a lock, PostgreSQL reads the locked row again, but sees other tables as they were before.
 */
export interface HeadBefore {
  readonly size: number;
  readonly root: Uint8Array;
}
export interface HeadAfter {
  readonly size: number;
  readonly root: Uint8Array;
  /** Instant of the batch, ms since 1970. */
  readonly time: number;
  readonly checkpoint: string;
}

/** How far a node's clock may be from the database's (design 3). */
export const CLOCK_TOLERANCE_MS = 5 * 60_000;

export interface SealedRows {
  /** One JSON text per table. */
  readonly texts: readonly string[];
  readonly blobs: Buffer;
  /** The oldest KEK that wraps a key in these rows; null when none does. */
  readonly kek: string | null;
}

export class BatchRows {
  private readonly rows: unknown[][][];
  private readonly parts: Part[] = [];
  private length = 0;
  private kek: string | null = null;

  constructor(private readonly tables: readonly BatchTable[]) {
    this.rows = tables.map(() => []);
  }

  /** @param values in the order of the table's columns; null in place of bytes is not supported */
  add(table: number, values: readonly BatchValue[]): void {
    const row: unknown[] = [];
    for (const value of values) {
      if (typeof value === 'object' && value !== null) {
        const length = lengthOf(value);
        row.push(this.length, length);
        this.parts.push(value);
        this.length += length;
      } else {
        row.push(value);
      }
    }
    this.rows[table]?.push(row);
  }

  /** Notes that a row holds a key wrapped under this KEK. The batch is refused once that KEK may be destroyed. */
  needsKek(kek: string): void {
    if (this.kek === null || kek < this.kek) this.kek = kek;
  }

  /**
   * The rows with every secret encrypted. Send the statement before the next call of the sealer, which reuses the
   * memory.
   */
  async sealed(sealer: Sealer): Promise<SealedRows> {
    const sealing = sealer.seal(this.parts, this.length);
    const texts = this.rows.map((rows) => JSON.stringify(rows));
    return { texts, blobs: await sealing, kek: this.kek };
  }

  get tableCount(): number {
    return this.tables.length;
  }
}

const conflictClause = (table: BatchTable): string => {
  if (!table.replaceOn) return '';
  const others = table.columns.filter((column) => !table.replaceOn?.includes(column.name));
  const action =
    others.length === 0 ? 'NOTHING' : `UPDATE SET ${others.map(({ name }) => `${name} = excluded.${name}`).join(', ')}`;
  return ` ON CONFLICT (${table.replaceOn.join(', ')}) DO ${action}`;
};

/** The expressions that read one row from a JSON array. Bytes take two places: offset and length. */
function selectList(table: BatchTable, value: (position: number, type: ColumnType) => string): string {
  let position = 0;
  return table.columns
    .map(({ type }) => {
      const expression = value(position, type);
      position += type === 'blob' ? 2 : 1;
      return expression;
    })
    .join(', ');
}

const names = (table: BatchTable): string => table.columns.map(({ name }) => name).join(', ');

/** Statements to run once on the writer's connection. @param readModels version of the read models among the tables */
export function sqliteSetup(tables: readonly BatchTable[], readModels: number): string[] {
  const inputs = [
    'old_size',
    'old_root',
    'size',
    'root',
    'time',
    'checkpoint',
    'blobs',
    'kek',
    ...tables.map((_, i) => `t${i}`),
  ];
  const inserts = tables.map((table, i) => {
    const list = selectList(table, (at, type) =>
      type === 'blob' ? `substr(NEW.blobs, (r.value ->> ${at}) + 1, r.value ->> ${at + 1})` : `r.value ->> ${at}`,
    );
    return `INSERT INTO ${table.table} (${names(table)}) SELECT ${list} FROM jsonb_each(NEW.t${i}) AS r WHERE true${conflictClause(table)};`;
  });
  return [
    `CREATE TEMP VIEW batch AS SELECT ${inputs.map((name) => `NULL AS ${name}`).join(', ')}`,
    `CREATE TEMP TRIGGER batch_commit INSTEAD OF INSERT ON batch BEGIN
       SELECT RAISE(ABORT, 'head-moved') WHERE NOT EXISTS (SELECT 1 FROM log_head
         WHERE size = NEW.old_size AND root = NEW.old_root AND read_models = ${readModels}
           AND (NEW.kek IS NULL OR oldest_kek <= NEW.kek));
       UPDATE log_head SET size = NEW.size, root = NEW.root, time = NEW.time, checkpoint = NEW.checkpoint;
       ${inserts.join('\n       ')}
     END`,
  ];
}

export function sqliteStatement(tables: readonly BatchTable[]): string {
  return `INSERT INTO batch VALUES (${Array.from({ length: 8 + tables.length }, () => '?').join(', ')})`;
}

/** Parameters in the order of {@link sqliteStatement} and {@link postgresStatement}. */
export function statementParams(before: HeadBefore, after: HeadAfter, { texts, blobs, kek }: SealedRows): unknown[] {
  return [before.size, before.root, after.size, after.root, after.time, after.checkpoint, blobs, kek, ...texts];
}

/** Allowed time of a batch: about the database's current time, or any time, for restoring old entries. */
export type BatchTime = 'now' | 'any';

/**
 * Returns one row when the batch is committed. No row means that the head moved, a KEK may not wrap any more, the read
 * models have another version, or the clocks disagree.
 */
export function postgresStatement(tables: readonly BatchTable[], readModels: number, time: BatchTime): string {
  const onTime =
    time === 'any' ? '' : `AND abs(extract(epoch FROM clock_timestamp()) * 1000 - $5::bigint) < ${CLOCK_TOLERANCE_MS}`;
  const types = { integer: 'bigint', text: 'text', uuid: 'uuid' } as const;
  const inserts = tables.map((table, i) => {
    const list = selectList(table, (at, type) =>
      type === 'blob'
        ? `substring($7::bytea FROM (r.v ->> ${at})::int + 1 FOR (r.v ->> ${at + 1})::int)`
        : `(r.v ->> ${at})::${types[type]}`,
    );
    return `w${i} AS (INSERT INTO ${table.table} (${names(table)}) SELECT ${list} FROM head, jsonb_array_elements($${9 + i}::jsonb) AS r(v)${conflictClause(table)})`;
  });
  return `WITH head AS (
      UPDATE log_head SET size = $3, root = $4, time = $5, checkpoint = $6
      WHERE size = $1 AND root = $2 AND read_models = ${readModels} ${onTime}
        AND ($8::text IS NULL OR oldest_kek <= $8::text)
      RETURNING 1),
    ${inserts.join(',\n    ')}
    SELECT 1 AS done FROM head`;
}
