import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/ledger.js';
import { quietSqlite, SqliteError, SqliteFile } from './sqlite-file.js';

const folder = temporaryFolder();
beforeAll(() => mkdirSync(folder.path, { recursive: true }));
afterAll(() => folder.remove());
const at = (name: string): string => join(folder.path, name);

describe('a SQLite file', () => {
  it('keeps texts, numbers and bytes', async () => {
    const one = await SqliteFile.open(at('kept'));
    await one.query('CREATE TABLE kept (id TEXT PRIMARY KEY, n INTEGER, bytes BLOB)');
    await one.query('INSERT INTO kept VALUES (?, ?, ?)', ['a', 7, Buffer.from([1, 2, 3])]);
    await one.close();
    const again = await SqliteFile.open(at('kept'));
    expect(await again.query('SELECT * FROM kept')).toEqual([{ id: 'a', n: 7, bytes: Buffer.from([1, 2, 3]) }]);
    await again.close();
  });

  it('tells the code of an error, and no value anywhere', async () => {
    const file = await SqliteFile.open(at('quiet'));
    await file.query('CREATE TABLE quiet (id TEXT PRIMARY KEY)');
    const insert = () => file.query('INSERT INTO quiet VALUES (?)', ['Ada Lovelace']);
    await insert();
    const error: unknown = await insert().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SqliteError);
    expect(error).toMatchObject({ code: 'SQLITE_CONSTRAINT', message: 'SQLite: SQLITE_CONSTRAINT' });
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('Ada');
    await file.close();
  });

  it.each<[string, string, string]>([
    ['a folder', '.', 'SQLITE_CANTOPEN'],
    ['a file in a folder that is not there', 'none/x', 'SQLITE_CANTOPEN'],
    ['a file of something else', 'other', 'SQLITE_NOTADB'],
  ])('is not %s', async (_, name, code) => {
    writeFileSync(at('other'), 'x'.repeat(4096));
    const use = async () => {
      const file = await SqliteFile.open(at(name));
      try {
        await file.query('SELECT * FROM sqlite_master');
      } finally {
        await file.close();
      }
    };
    await expect(use()).rejects.toMatchObject({ name: 'SqliteError', code });
  });

  it('is what TypeORM gets when it asks for a driver that talks', () => {
    expect(quietSqlite.verbose()).toBe(quietSqlite);
    expect(quietSqlite.OPEN_READONLY).toBe(1);
  });
});
