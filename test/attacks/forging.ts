/** Small steps that attacks are made of. */
import { encrypt } from '../../src/ledger/crypto/aes-gcm.js';
import type { JsonObject } from '../../src/ledger/core/record/event.js';
import { randomBytes, randomUUID } from 'node:crypto';
import { concat } from '../../src/ledger/core/bytes.js';
import { decodeEntry, encodeEntry, type Entry, entryTime } from '../../src/ledger/core/record/entry.js';
import { jcs } from '../../src/ledger/core/jcs.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { payloadBytes } from '../../src/ledger/store/payload.js';
import { dataKeyOf } from '../../src/ledger/read/chain-events.js';
import { type Item, Operator } from './operator.js';
import type { HonestWorld } from './world.js';

/** Works on a data folder as the operator. */
export async function asOperator<T>(folder: string, work: (op: Operator) => Promise<T>): Promise<T> {
  const op = await Operator.open(folder);
  try {
    return await work(op);
  } finally {
    await op.close();
  }
}

/** Edits the database and repairs nothing. */
export const sql =
  (...statements: ((world: HonestWorld) => string)[]) =>
  (folder: string, world: HonestWorld): Promise<void> =>
    asOperator(folder, (op) => op.run(...statements.map((statement) => statement(world))));

/** Changes the list of entries and writes the whole ledger anew. */
export const rewriting =
  (change: (items: Item[], world: HonestWorld) => readonly Item[]) =>
  (folder: string, world: HonestWorld): Promise<void> =>
    asOperator(folder, async (op) => op.rewrite(change(await op.read(), world)));

export function itemAt(items: readonly Item[], index: number): Item {
  const item = items.find((each) => each.index === index);
  if (!item) throw new Error(`there is no entry ${index}`);
  return item;
}

/** The list with the items of these indexes replaced; by nothing where `change` gives null. */
export function replaced(
  items: readonly Item[],
  indexes: readonly number[],
  change: (item: Item) => Item | null,
): Item[] {
  return items.flatMap((item) => (indexes.includes(item.index) ? (change(item) ?? []) : [item]));
}

/** Keeps the entry's stored bytes, whatever becomes of its payload. */
export const asStored = (item: Item): Item => ({ ...item, bytes: () => item.stored });

/** Another payload under the same salt. */
export function reworded(item: Item, change: (payload: Record<string, JsonObject>) => object): Item {
  const payload = JSON.parse(item.text) as Record<string, JsonObject>;
  return { ...item, text: jcs({ ...payload, ...change(payload) }) };
}

/** The same thing said at another instant, in entry and payload. */
export function at(item: Item, instant: number): Item {
  const said = new Date(instant).toISOString();
  return { ...reworded(item, () => ({ occurredAt: said, recordedAt: said })), time: entryTime(instant) };
}

/** The same thing recorded at another instant; when it happened, and what is signed, stays. */
export function recordedAt(item: Item, instant: number): Item {
  const recorded = reworded(item, () => ({ recordedAt: new Date(instant).toISOString() }));
  return { ...recorded, time: entryTime(instant) };
}

export const instantOf = ({ text }: Item): number =>
  Date.parse((JSON.parse(text) as { recordedAt: string }).recordedAt);

/** A dose that nobody ever took, told as `like` tells one. */
export function invented(like: Item, instant = instantOf(like)): Item {
  const dose = reworded(like, ({ data }) => ({ data: { ...data, doseId: randomUUID() } }));
  return { ...at(dose, instant), index: -1, keyed: false, salt: randomBytes(32) };
}

/** Stored bytes of an entry with other members. */
export const edited = (entry: Uint8Array, change: Partial<Entry>): Uint8Array =>
  encodeEntry({ ...decodeEntry(entry), ...change });

/** An entry's time one minute earlier: still not before the order that came before it. */
export function minuteEarlier(entry: Uint8Array): Uint8Array {
  return edited(entry, { time: entryTime(Date.parse(decodeEntry(entry).time) - 60_000) });
}

export const leafOf = (entry: Uint8Array): Uint8Array => nodeHasher.leaf(entry);

/** What two leaves look like to the node above them. */
export const asNode = (left: Item, right: Item): Uint8Array => concat(leafOf(left.stored), leafOf(right.stored));

/** Stores an entry with its payload at an index, and repairs nothing. */
export async function store(op: Operator, index: number, item: Item, entry: Uint8Array): Promise<void> {
  const row = (await op.chains()).find(({ id }) => id === item.chain);
  if (!row) throw new Error('there is no such chain');
  const { seq } = decodeEntry(entry);
  const body = encrypt(
    dataKeyOf(op.vault, row),
    op.vault.aad('payload', item.chain, seq, 'payload'),
    payloadBytes(item.salt, item.text, item.keyed),
  );
  await op.run('DROP INDEX IF EXISTS entry_chain_seq');
  await op.db.query('INSERT INTO entry (idx, chain, seq, entry) VALUES (?, ?, ?, ?)', [
    index,
    row.num,
    seq,
    Buffer.from(entry),
  ]);
  await op.db.query('INSERT INTO payload (idx, body) VALUES (?, ?)', [index, body]);
}
