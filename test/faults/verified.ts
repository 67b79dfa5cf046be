import type { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import type { ChainModel } from '../../src/ledger/model.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';

/** What `rxledger log verify` says of the database that this configuration names, its keys and its head file. */
export async function verified(config: Config, models: readonly ChainModel[]): Promise<VerifyReport> {
  const source = await openReader(config);
  try {
    // Before the snapshot is taken, so that a writer at work does not put the file ahead of it.
    const remembered = await readHeadFile(config.headFile);
    const head = await readHead(dbOf(source));
    const vault = Vault.openExisting(config.keysDir, head?.origin ?? '');
    return await verifyDatabase({ source, vkey: head?.vkey ?? null, vault, remembered, models });
  } finally {
    await source.destroy();
  }
}

/** The bytes of the entry at a log index, as stored. */
export async function entriesOf(config: Config): Promise<Map<number, Buffer>> {
  const source = await openReader(config);
  try {
    const rows = await dbOf(source).query<{ idx: number; entry: Buffer }>('SELECT idx, entry FROM entry ORDER BY idx');
    return new Map(rows.map(({ idx, entry }) => [idx, entry]));
  } finally {
    await source.destroy();
  }
}
