import { join } from 'node:path';
import { Client } from 'pg';
import { SqliteFile } from '../../src/sqlite/sqlite-file.js';

/** How large a ledger is now. */
export interface Size {
  /** Size of its database with all indexes, in bytes. */
  readonly bytes: number;
  /** Entries of its log. */
  readonly events: number;
}

const EVENTS = 'SELECT size FROM log_head WHERE id = 1';

/** @param folder data folder of a running service; the pages that its database has by now also count in the WAL */
export async function sqliteSize(folder: string): Promise<Size> {
  const file = await SqliteFile.open(join(folder, 'rxledger.sqlite'));
  try {
    const [pages] = await file.query<{ bytes: number }>(
      'SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()',
    );
    const [head] = await file.query<{ size: number }>(EVENTS);
    return { bytes: pages?.bytes ?? 0, events: head?.size ?? 0 };
  } finally {
    await file.close();
  }
}

/** @param url of the database */
export async function postgresSize(url: string): Promise<Size> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const [database, head] = await Promise.all([
      client.query<{ bytes: string }>('SELECT pg_database_size(current_database()) AS bytes'),
      client.query<{ size: string }>(EVENTS),
    ]);
    return { bytes: Number(database.rows[0]?.bytes), events: Number(head.rows[0]?.size) };
  } finally {
    await client.end();
  }
}
