/** What the operator shows to the world: by the program's own code over a data folder, or as an attack serves it. */
import { ReadDb } from '../../src/ledger/read/read-db.js';
import { decrypt } from '../../src/ledger/crypto/aes-gcm.js';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { ChainHeadKey, CHAIN_HEAD_KEY_FILE } from '../../src/log/chains/chain-head-key.js';
import { ChainsService } from '../../src/log/chains/chains.service.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { type Db, dbOf } from '../../src/database/db.js';
import { SourceError } from '../../src/audit/follow/source.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow } from '../../src/ledger/store/chain-row.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { HASH_BYTES } from '../../src/ledger/core/hasher.js';
import { parseTilePath, tileWidth } from '../../src/ledger/core/tlog/tiles.js';
import { dataKeyOf } from '../../src/ledger/read/chain-events.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { readKeyHistory } from '../../src/ledger/read/key-history.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { splitPayload } from '../../src/ledger/store/payload.js';
import { readHead, tileReader } from '../../src/ledger/store/tip.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { erasureOf } from '../../src/ledger/verify/chain-rows.js';
import { LogFiles } from '../../src/log/log-files.js';
import { Published } from '../../src/log/checkpoints/published.js';
import type { ServedCheckpoint } from '../../src/log/checkpoints/served.js';

/** What is served otherwise than the data folder has it. */
export interface Serving {
  /** The signed checkpoint; without it, that of the log's head. */
  readonly checkpoint?: string;
  /** With cosignatures, for who asks for them; without it, those that the witnesses give when they are asked now. */
  readonly cosigned?: string;
  /** Data folder from which somebody else is served. */
  readonly elsewhere?: string;
  /** Signed chain heads, by chain; without them, what the service says. */
  readonly heads?: ReadonlyMap<string, string>;
}

/** What the log shows to the world: checkpoint, tiles, entries; payloads to whoever they are disclosed to. */
export interface Shown {
  readonly folder: string;
  readonly db: Db;
  readonly checkpoint: string;
  /** By log index; an entry that is gone is not shown. */
  readonly entries: ReadonlyMap<number, Buffer>;
  readonly tile: (level: number, index: number) => Promise<Uint8Array>;
  /** `/log` as an auditor gets it over HTTP: rejects with SourceError where the server would fail. */
  readonly files: FetchFile;
  /** `/log/checkpoints`: the signed notes, largest first. */
  readonly published: () => Promise<readonly string[]>;
  /** What the service says about chains. */
  readonly chains: Pick<ChainsService, 'head'>;
  readonly serving: Serving;
  /** What somebody else is shown at the same time. */
  readonly elsewhere: Shown | null;
}

/** Opens what a data folder shows, as the service over it would. */
export async function show(
  folder: string,
  serving: Serving = {},
): Promise<{ shown: Shown; close: () => Promise<void> }> {
  const other = serving.elsewhere === undefined ? null : await show(serving.elsewhere);
  const source: DataSource = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
  const db = dbOf(source);
  const head = await readHead(db);
  const rows = await db.query<{ idx: number; entry: Buffer }>('SELECT idx, entry FROM entry ORDER BY idx');
  const entries = new Map(rows.map(({ idx, entry }) => [idx, entry]));
  const origin = head?.origin ?? '';
  const reader = new LedgerReader(db, new Vault(join(folder, 'keys'), origin), origin);
  const reading = new ReadDb(db, 0);
  const checkpoint = serving.checkpoint ?? head?.checkpoint ?? '';
  const shown: Shown = {
    folder,
    db,
    checkpoint,
    entries,
    tile: tilesOf(db, checkpoint),
    files: filesOf(reader, reading, checkpoint),
    published: async () =>
      (await new Published(reading).page(Number.MAX_SAFE_INTEGER, 10_000)).map((row) => row.checkpoint),
    chains: new ChainsService(reading, new ChainHeadKey(origin, loadKey(join(folder, 'keys'), CHAIN_HEAD_KEY_FILE)!)),
    serving,
    elsewhere: other?.shown ?? null,
  };
  return {
    shown,
    async close() {
      await source.destroy();
      await other?.close();
    },
  };
}

/** The size that a checkpoint names, whatever signs it; NaN where it names none. */
export const sizeIn = (note: string): number => Number(note.split('\n')[1]);

/** Tiles as wide as the tree that is served has them: what is stored may be the beginning of a larger one. */
function tilesOf(db: Db, checkpoint: string): Shown['tile'] {
  const size = sizeIn(checkpoint);
  const stored = tileReader(db);
  return async (level, index) => {
    const tile = await stored(level, index);
    return Number.isSafeInteger(size) ? tile.subarray(0, tileWidth(level, index, size) * HASH_BYTES) : tile;
  };
}

const CHAIN_PAGE = /^chain\?(?:after=(\d+)&)?limit=(\d+)$/;

const inJson = async (items: Promise<unknown>) => Buffer.from(JSON.stringify({ items: await items }));

function filesOf(reader: LedgerReader, db: ReadDb, checkpoint: string): FetchFile {
  const size = sizeIn(checkpoint);
  const served = { reaches: async (to: number) => to <= size, newest: async () => ({ size, checkpoint }) };
  const log = new LogFiles(reader, db, served as unknown as ServedCheckpoint);
  const file: FetchFile = async (path) => {
    if (path === 'checkpoint') return Buffer.from(checkpoint);
    if (path === 'rotations') return inJson(log.rotations());
    if (path === 'continued') return inJson(log.continued());
    const page = CHAIN_PAGE.exec(path);
    if (page) return inJson(log.chain(Number(page[1] ?? -1), Number(page[2])));
    const tile = parseTilePath(path);
    if (!tile) return null;
    const { level, index, width } = tile;
    return level === 'entries' ? log.bundle(index, width) : log.tile(level, index, width);
  };
  return async (path) => {
    try {
      return await file(path);
    } catch {
      // What the service cannot answer from its database is a 500, which `httpFiles` takes for an outage.
      throw new SourceError(`${path}: the server said 500`);
    }
  };
}

export interface ShownPayload {
  readonly idx: number;
  /** Null: it is not shown. */
  readonly open: (() => { salt: Buffer; text: string }) | null;
  /** Log index of the event that ended its chain in the clear, after which nothing else of the chain may be shown. */
  readonly erasedBy: number | null;
}

const opened = new WeakMap<Shown, Promise<ShownPayload[] | null>>();

/** The payloads as they are shown to whoever they are disclosed to; null where none can be opened. Read once. */
export function payloads(shown: Shown): Promise<ShownPayload[] | null> {
  const read = opened.get(shown) ?? readPayloads(shown);
  opened.set(shown, read);
  return read;
}

async function readPayloads({ folder, db, entries }: Shown): Promise<ShownPayload[] | null> {
  const head = await readHead(db);
  const { first } = await readKeyHistory(db, head?.origin ?? '');
  const vault = head && Vault.openExisting(join(folder, 'keys'), first);
  if (!vault) return null;
  const chains = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM}`);
  const rows = await db.query<{ idx: number; chain: number; seq: number; body: Buffer | null }>(
    'SELECT e.idx, e.chain, e.seq, p.body FROM entry e LEFT JOIN payload p ON p.idx = e.idx ORDER BY e.idx',
  );
  const erased = new Map<number, number>();
  for (const row of rows) {
    const id = chains.find(({ num }) => num === row.chain)?.id ?? '';
    if (erasureOf({ ...row, entry: entries.get(row.idx) ?? Buffer.alloc(0) }, id)) erased.set(row.chain, row.idx);
  }
  return rows.map(({ idx, chain, seq, body }) => {
    const erasedBy = erased.get(chain) ?? null;
    if (!body) return { idx, erasedBy, open: null };
    const open = () => {
      const row = chains.find(({ num }) => num === chain) as ChainRow;
      if (row.id === LOG_CHAIN || erasedBy === idx) return splitPayload(body);
      return splitPayload(decrypt(dataKeyOf(vault, row), vault.aad('payload', row.id, seq, 'payload'), body));
    };
    return { idx, erasedBy, open };
  });
}
