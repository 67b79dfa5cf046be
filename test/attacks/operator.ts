// Longer than 300 lines: one operator, whose tricks share the same keys and tables.
/**
 * The operator with root: reads all that the database and the keys give, and writes it anew. Every hash, link,
 * commitment, ciphertext, seal and signature is made again by the log's own keys.
 */
import { shapeOf, tableName } from '../../src/database/declare.js';
import { readModelsOf } from '../../src/ledger/store/tables.js';
import { decrypt, encrypt, freshKey } from '../../src/ledger/crypto/aes-gcm.js';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openWriter } from '../../src/database/data-source.js';
import { type Db, dbOf } from '../../src/database/db.js';
import {
  CHAIN_COLUMNS,
  CHAIN_FROM,
  type ChainRow,
  namesOf,
  rowsOf,
  needsNoSnapshot,
  NO_SNAPSHOT,
  stateColumn,
  subjectOf,
} from '../../src/ledger/store/chain-row.js';
import { commit, parsePayload } from '../../src/ledger/core/record/commitment.js';
import { decodeEntry, encodeEntry, type Entry, LOG_CHAIN, ZERO32 } from '../../src/ledger/core/record/entry.js';
import { completeAt, GrowingTree, rootAt } from '../../src/ledger/core/tlog/merkle.js';
import { TILE_WIDTH } from '../../src/ledger/core/tlog/tiles.js';
import { dataKeyOf } from '../../src/ledger/read/chain-events.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import type { ChainModel } from '../../src/ledger/model.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { openEvent, payloadBytes, splitPayload } from '../../src/ledger/store/payload.js';
import { requestOf, requestSeal } from '../../src/ledger/store/remembered-requests.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { testConfig } from '../support/ledger.js';

/** One entry with its payload in the clear, as the operator holds it. */
export interface Item {
  /** Where it stood before the attack; -1 for one that the attack makes. */
  readonly index: number;
  readonly chain: string;
  readonly time: string;
  readonly salt: Uint8Array;
  readonly text: string;
  readonly keyed: boolean;
  /** The entry's bytes as they were stored. */
  readonly stored: Uint8Array;
  /** The entry's bytes where they are not to be what follows from the rest. @param made what would follow */
  readonly bytes?: (made: Entry) => Uint8Array;
}

interface Request {
  key: Buffer;
  request: Buffer;
  first: number;
  count: number;
  chains: string;
  used_at: number | null;
}

/** A chain as it is written, entry by entry. */
interface Growing {
  readonly num: number;
  readonly row: ChainRow;
  readonly dataKey: Uint8Array;
  seq: number;
  leaf: Uint8Array;
  /** Null until an event could be followed. */
  state: unknown;
}

/** A data folder in the operator's hands. */
export class Operator {
  private constructor(
    readonly folder: string,
    private readonly source: DataSource,
    readonly db: Db,
    readonly vault: Vault,
    readonly key: LogKey,
  ) {}

  static async open(folder: string): Promise<Operator> {
    const source = await openWriter(testConfig(folder));
    const db = dbOf(source);
    const head = await readHead(db);
    const keys = join(folder, 'keys');
    const seed = loadKey(keys, 'log.key');
    if (!head || !seed) throw new Error('this is no data folder of a ledger');
    return new Operator(folder, source, db, new Vault(keys, head.origin), new LogKey(head.origin, seed));
  }

  /** Lets go of the database, all of it in its file. */
  async close(): Promise<void> {
    await this.source.destroy();
  }

  async run(...statements: string[]): Promise<void> {
    for (const statement of statements) await this.db.query(statement);
  }

  /** All entries in log order, payloads opened. */
  async read(): Promise<Item[]> {
    const chains = await this.chains();
    const rows = await this.db.query<{ idx: number; chain: number; seq: number; entry: Buffer; body: Buffer }>(
      'SELECT e.idx, e.chain, e.seq, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx ORDER BY e.idx',
    );
    const dataKeys = new Map(chains.map((row) => [row.num, dataKeyOf(this.vault, row)]));
    return rows.map(({ idx, chain, seq, entry, body }) => {
      const { time, chain: id } = decodeEntry(entry);
      const dataKey = dataKeys.get(chain) as Uint8Array;
      const aad = this.vault.aad('payload', id, seq, 'payload');
      const opened = splitPayload(id === LOG_CHAIN ? body : decrypt(dataKey, aad, body));
      return { index: idx, chain: id, time, ...opened, stored: entry };
    });
  }

  chains(): Promise<ChainRow[]> {
    return this.db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} ORDER BY c.num`);
  }

  /** Writes the whole ledger anew so that it holds these entries, and repairs whatever follows from them. */
  async rewrite(items: readonly Item[]): Promise<void> {
    const rows = new Map((await this.chains()).map((row) => [row.id, row]));
    const ids = new Map([...rows.values()].map(({ num, id }) => [num, id]));
    const requests = await this.db.query<Request>(
      'SELECT key, request, first, count, chains, used_at FROM idempotency',
    );
    const readModels = readModelsOf(CHAIN_MODELS).map(tableName);
    await this.run(
      'BEGIN',
      // The operator's database need not refuse two entries of one chain with one seq.
      'DROP INDEX IF EXISTS entry_chain_seq',
      ...['entry', 'payload', 'chain', 'name', 'tile', 'idempotency', ...readModels].map((t) => `DELETE FROM ${t}`),
    );
    const tree = new GrowingTree(nodeHasher);
    const growing = new Map<string, Growing>();
    for (const item of items) {
      const row = rows.get(item.chain);
      if (!row) throw new Error('a chain without a key to encrypt with');
      await this.append(item, row, growing, tree);
    }
    for (const chain of growing.values()) await this.closeChain(chain);
    await this.writeTiles(tree);
    for (const request of requests) {
      const now = items.findIndex(({ index, keyed }) => keyed && index === request.first);
      const chains = (JSON.parse(request.chains) as number[]).map((num) => growing.get(ids.get(num) ?? '')?.num);
      if (now >= 0) await this.remember(request, now, chains);
    }
    await this.publishAnew(tree);
    const last = items.at(-1);
    const time = last ? Date.parse(openEvent(last.text, last.chain, 0).recordedAt) : 0;
    await this.sign(tree.size, tree.root(), time);
    await this.run('COMMIT');
  }

  /** Signs that size and root as the log's head, and makes the head file remember nothing else. */
  async sign(size: number, root: Uint8Array, time: number): Promise<void> {
    await this.publish(this.key.checkpoint(size, root));
    await this.db.query('UPDATE log_head SET size = ?, root = ?, time = ?', [size, Buffer.from(root), time]);
  }

  /** Makes that signed note the log's checkpoint. */
  async publish(checkpoint: string): Promise<void> {
    await this.db.query('UPDATE log_head SET checkpoint = ?', [checkpoint]);
    rmSync(join(this.folder, 'head.previous'), { force: true });
    writeFileSync(join(this.folder, 'head'), `\n${checkpoint}`);
  }

  private async append(item: Item, row: ChainRow, growing: Map<string, Growing>, tree: GrowingTree): Promise<void> {
    let chain = growing.get(item.chain);
    if (!chain) {
      const dataKey = dataKeyOf(this.vault, row);
      chain = { num: tree.size, row, dataKey, seq: -1, leaf: ZERO32, state: null };
      growing.set(item.chain, chain);
    }
    const made: Entry = {
      chain: item.chain,
      commitment: commitmentTo(item),
      log: this.key.origin,
      prev: chain.leaf,
      seq: chain.seq + 1,
      time: item.time,
    };
    const entry = Buffer.from(item.bytes?.(made) ?? encodeEntry(made));
    chain.leaf = nodeHasher.leaf(entry);
    chain.seq = seqIn(entry) ?? made.seq;
    const index = tree.append(chain.leaf);
    await this.db.query('INSERT INTO entry (idx, chain, seq, entry) VALUES (?, ?, ?, ?)', [
      index,
      chain.num,
      chain.seq,
      entry,
    ]);
    const aad = this.vault.aad('payload', item.chain, chain.seq, 'payload');
    const plain = payloadBytes(item.salt, item.text, item.keyed);
    const body = item.chain === LOG_CHAIN ? plain : encrypt(chain.dataKey, aad, plain);
    await this.db.query('INSERT INTO payload (idx, body) VALUES (?, ?)', [index, body]);
    try {
      chain.state = modelOf(row).evolve(chain.state, openEvent(item.text, item.chain, chain.seq));
    } catch {
      // What cannot follow leaves the state as it was: nothing better can be made of it.
    }
  }

  private async closeChain({ num, row, dataKey, seq, leaf, state }: Growing): Promise<void> {
    const model = modelOf(row);
    const aad = this.vault.aad('state', row.id, seq, stateColumn(model));
    const sole = needsNoSnapshot({ seq, kind: row.kind });
    await this.db.query(
      'INSERT INTO chain (num, id, kind, subject, seq, leaf, data_key, state_version, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      [
        num,
        row.id,
        row.kind,
        row.subject,
        seq,
        Buffer.from(leaf),
        row.data_key,
        sole ? 0 : model.stateVersion,
        sole ? NO_SNAPSHOT : encrypt(dataKey, aad, Buffer.from(JSON.stringify(state))),
      ],
    );
    for (const { table, values } of rowsOf(model, state, num, row.subject).values()) {
      const columns = model.readModels.map(shapeOf).find((shape) => shape.table === table)?.columns ?? [];
      await this.db.query(
        `INSERT INTO ${table} (${columns.map(({ name }) => name).join()}) VALUES (${columns.map(() => '?').join()})`,
        [...values],
      );
    }
    for (const blind of namesOf(this.vault, model.names(state)).values())
      await this.db.query('INSERT INTO name (blind, chain) VALUES (?, ?)', [Buffer.from(blind, 'hex'), num]);
  }

  private async writeTiles(tree: GrowingTree): Promise<void> {
    for (let level = 0; completeAt(tree.size, level * 8) > 0; level++) {
      const { hashes } = tree.completed(level * 8);
      for (let at = 0; at < hashes.length; at += TILE_WIDTH)
        await this.db.query('INSERT INTO tile (level, idx, hashes) VALUES (?, ?, ?)', [
          level,
          at / TILE_WIDTH,
          Buffer.concat(hashes.slice(at, at + TILE_WIDTH)),
        ]);
    }
  }

  /** Signs each published checkpoint again for the tree that is there now; those beyond it were never published. */
  private async publishAnew(tree: GrowingTree): Promise<void> {
    const rows = await this.db.query<{ size: number }>('SELECT size FROM published ORDER BY size');
    const nodes = async (level: number, index: number): Promise<Uint8Array> =>
      tree.completed(level).hashes[index] as Uint8Array;
    await this.db.query('DELETE FROM published WHERE size > ?', [tree.size]);
    for (const { size } of rows.filter((row) => row.size <= tree.size)) {
      const checkpoint = this.key.checkpoint(size, await rootAt(nodeHasher, size, nodes));
      await this.db.query('UPDATE published SET checkpoint = ? WHERE size = ?', [checkpoint, size]);
    }
  }

  /** A remembered request under a seal that fits where its events stand now; forgotten with its first event. */
  private async remember(request: Request, now: number, chains: readonly (number | undefined)[]): Promise<void> {
    const places = JSON.stringify(chains.map((num) => num ?? -1));
    const mac = requestOf(request.request);
    const seal = requestSeal(
      this.vault,
      request.key,
      { request: mac, first: now, count: request.count, usedAt: request.used_at },
      places,
    );
    await this.db.query(
      'INSERT INTO idempotency (key, request, first, count, chains, used_at) VALUES (?, ?, ?, ?, ?, ?)',
      [request.key, Buffer.concat([mac, seal]), now, request.count, places, request.used_at],
    );
  }

  /** Makes room for a chain that is not this log's own: a key for it, under the subject of another chain. */
  async adopt(chain: string, like: ChainRow): Promise<void> {
    const num = 1_000_000;
    const { key, aad, plain } = this.vault.wrapDataKey(subjectOf(this.vault, like), chain, freshKey());
    const wrapped = encrypt(key, aad, plain);
    await this.db.query(
      `INSERT INTO chain (num, id, kind, subject, seq, leaf, data_key, state_version, state)
       VALUES (?, ?, ?, ?, 0, x'', ?, 0, x'')`,
      [num, chain, like.kind, like.subject, wrapped],
    );
  }
}

/** @returns for a payload that is none, whatever its entry carried already */
function commitmentTo({ salt, text, stored }: Item): Uint8Array {
  try {
    return commit(nodeHasher, salt, parsePayload(text)).commitment;
  } catch {
    return decodeEntry(stored).commitment;
  }
}

function seqIn(entry: Uint8Array): number | null {
  try {
    return decodeEntry(entry).seq;
  } catch {
    return null;
  }
}

function modelOf({ kind }: ChainRow): ChainModel {
  const model = CHAIN_MODELS.find((each) => each.kind === kind);
  if (!model) throw new Error(`no model of kind ${kind}`);
  return model;
}
