import { existsSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DataSource } from 'typeorm';
import { CHAIN_MODELS } from '../../chain-models.js';
import { databaseName, openReader, openSqliteReadOnly } from '../../database/data-source.js';
import { type Db, dbOf } from '../../database/db.js';
import { Config } from '../../config/config.js';
import { TABLES } from '../../database/tables/index.js';
import { tableName } from '../../database/declare.js';
import { LOG_KEY_FILE } from '../../ledger/keys/log-key-files.js';
import { readModelsOf } from '../../ledger/store/tables.js';
import { isKeyName } from '../../ledger/core/tlog/note.js';
import { readHeadFile } from '../../ledger/store/head-file.js';
import { readKeyHistory } from '../../ledger/read/key-history.js';
import { lackOf, missingKeys } from '../../ledger/keys/missing-keys.js';
import { Vault } from '../../ledger/keys/vault.js';
import { verifyDatabase } from '../../ledger/verify/database.js';
import { verifyExport } from '../../ledger/verify/export-file.js';
import type { Progress, VerifyReport } from '../../ledger/verify/report.js';
import { logsOf } from '../audit/trust.js';
import { headIn, isNoTable, mayExist, noLedger, trustedKey } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, ProgressLine, type Terminal } from '../terminal.js';

export interface VerifyOptions extends CommonOptions {
  readonly vkey?: string;
  readonly keys?: string;
  readonly entriesOnly?: boolean;
}

/** A database with its keys folder and head file. */
interface Place {
  readonly name: string;
  readonly open: () => Promise<DataSource>;
  readonly keys: string;
  readonly headFile: string;
}

/** `rxledger log verify`: opens everything read-only and makes nothing. */
export async function runVerify(
  path: string | undefined,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  if (options.vkey !== undefined) logsOf([options.vkey]);
  const line = new ProgressLine(terminal, options);
  const progress = ({ step, done, total }: Progress) => line.show(() => `verifying ${step}: ${done} of ${total}`);
  const place = await placeOf(path, options, terminal);
  let report: VerifyReport;
  let lacking: readonly string[] = [];
  if (place) ({ report, lacking } = await database(place, options, progress));
  else {
    if (!options.vkey) terminal.err('Without --vkey the key that the export itself names is trusted.');
    report = await verifyExport(path ?? '', options.vkey ?? null, CHAIN_MODELS, progress);
  }
  line.done();
  if (options.json) terminal.out(JSON.stringify(report));
  else for (const words of inWords(report)) terminal.out(words);
  if (!report.ok) return EXIT.finding;
  if (!place || report.payloadsChecked || options.entriesOnly) return EXIT.ok;
  const why = lacking.length > 0 ? lackOf(lacking, place.keys) : `There are no keys in ${place.keys}`;
  terminal.err(`${why}: payloads, states and read models are not checked (--entries-only).`);
  return EXIT.outage;
}

/** @returns null for an export */
async function placeOf(path: string | undefined, options: VerifyOptions, terminal: Terminal): Promise<Place | null> {
  if (path === undefined) {
    const config = Config.parse(terminal.env);
    const name = databaseName(config);
    if (!mayExist(config)) throw noLedger(name);
    return { name, open: () => openReader(config), keys: options.keys ?? config.keysDir, headFile: config.headFile };
  }
  const found = await stat(path).catch(() => null);
  if (!found) throw new EnvironmentError(`there is no ${path}`);
  const file = found.isDirectory() ? join(path, 'rxledger.sqlite') : path;
  if (!existsSync(file)) throw new EnvironmentError(`there is no ${file}`);
  if (!(await isSqlite(file))) return null;
  const folder = dirname(file);
  return {
    name: file,
    open: () => openSqliteReadOnly(file),
    keys: options.keys ?? join(folder, 'keys'),
    headFile: join(folder, 'head'),
  };
}

/** The first bytes of a SQLite file (its format, section 1.3). */
async function isSqlite(path: string): Promise<boolean> {
  const magic = Buffer.from('SQLite format 3\0');
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(magic.length), 0, magic.length, 0);
    return buffer.subarray(0, bytesRead).equals(magic);
  } finally {
    await handle.close();
  }
}

async function database(
  { name, open: openSource, keys, headFile }: Place,
  { vkey, entriesOnly }: VerifyOptions,
  progress: (step: Progress) => void,
): Promise<{ report: VerifyReport; lacking: readonly string[] }> {
  const source = await openSource();
  try {
    const head = await headIn(dbOf(source));
    if (!head && !existsSync(headFile) && !existsSync(join(keys, LOG_KEY_FILE)) && !(await holdsRows(dbOf(source))))
      throw noLedger(name);
    // With a malformed origin there can be no key for this database; `verify` reports that.
    const origin = typeof head?.origin === 'string' && isKeyName(head.origin) ? head.origin : null;
    const hasKeys = origin !== null && existsSync(keys);
    const trusted = vkey ?? (hasKeys ? trustedKey(keys, origin) : null);
    const vkeyFrom = vkey === undefined ? 'keys' : 'option';
    const earlier = head ? await readKeyHistory(dbOf(source), head.origin).catch(() => null) : null;
    const vault = hasKeys && !entriesOnly ? Vault.openExisting(keys, earlier?.first ?? origin) : null;
    const remembered = await readHeadFile(headFile, trusted === null ? null : [trusted, ...(earlier?.vkeysNow ?? [])]);
    const input = { source, vkey: trusted, vkeyFrom, vault, remembered, models: CHAIN_MODELS } as const;
    const report = await verifyDatabase(input, progress);
    return { report, lacking: vault || entriesOnly ? [] : await missingKeys(dbOf(source), keys) };
  } finally {
    await source.destroy();
  }
}

/** Whether any table has a row. If so, a missing log head was removed, and the database is not a new one. */
async function holdsRows(db: Db): Promise<boolean> {
  for (const table of [...TABLES, ...readModelsOf(CHAIN_MODELS)].map(tableName)) {
    // The migration makes one row, which says that nothing was served yet.
    const made = table === 'served' ? ' WHERE size >= 0' : '';
    const rows = await db.query(`SELECT 1 AS one FROM ${table}${made} LIMIT 1`).catch((error: unknown) => {
      if (isNoTable(error)) return [];
      throw error;
    });
    if (rows.length > 0) return true;
  }
  return false;
}

const VKEY_FROM: Readonly<Record<VerifyReport['vkeyFrom'], string>> = {
  option: 'as given',
  keys: 'of the keys folder',
  database: 'NAMED BY THE DATABASE ITSELF, which proves less',
  export: 'NAMED BY THE EXPORT ITSELF, which proves less',
};

function inWords(report: VerifyReport): string[] {
  const { ok, log, vkey, newestVkey, size, root, entries, payloads, signatures, chains, erased, incomplete } = report;
  const { missing, tampered, findings } = report;
  const listed = findings.map(({ kind, table, where, what }) => {
    const place = Object.entries(where).map(([name, value]) => `${name} ${value}`);
    return `${kind}  ${[table, ...place].join(', ')}: ${what}`;
  });
  const more = missing + tampered - findings.length;
  return [
    ...listed,
    ...(more > 0 ? [`… and ${more} more`] : []),
    ok ? `verified: ${log}` : `NOT VERIFIED: ${tampered} tampered, ${missing} missing${log === '' ? '' : `: ${log}`}`,
    `  ${entries} of ${size} entries, ${payloads} payloads, ${chains} chains checked`,
    ...(report.payloadsChecked
      ? []
      : ['  ENTRIES ONLY: not all payloads, and none of what follows from them, are checked']),
    ...(signatures > 0 ? [`  actors' signatures: ${signatures} hold`] : []),
    ...(erased > 0 ? [`  ${erased} chains erased as they may be`] : []),
    ...(incomplete > 0
      ? [
          `  ${incomplete} of them not for good: the key-encryption keys of that time are still there. Destroy them with rxledger keys rotate-encryption --destroy-old`,
        ]
      : []),
    ...(root === '' ? [] : [`  root ${root}`]),
    ...(vkey === '' ? [] : [`  key  ${vkey} (${VKEY_FROM[report.vkeyFrom]})`]),
    ...report.continues.map((words) => `  ${words}`),
    ...(newestVkey === vkey ? [] : [`  it was replaced, which both keys have signed; pin the new one: ${newestVkey}`]),
  ];
}
