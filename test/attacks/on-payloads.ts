/** Attacks on what stands beside the entries: payloads, snapshots, and rows that follow from them. */
import { encrypt } from '../../src/ledger/crypto/aes-gcm.js';
import type { JsonObject } from '../../src/ledger/core/record/event.js';
import { erasureSeal, openState, type ChainRow } from '../../src/ledger/store/chain-row.js';
import { dataKeyOf } from '../../src/ledger/read/chain-events.js';
import { jcs } from '../../src/ledger/core/jcs.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { type Attack, MEMORY, payloadAt } from './attack.js';
import { asOperator, asStored, at, instantOf, itemAt, replaced, reworded, rewriting, sql } from './forging.js';
import type { Item, Operator } from './operator.js';

/** Half of what was handed over: the rest went elsewhere. */
const halved = (item: Item): Item =>
  reworded(item, ({ data }) => ({
    data: { ...data, quantity: { ...(data?.['quantity'] as JsonObject), value: '15' } },
  }));

const said = ({ salt, text }: Item) => ({ salt, text });

/** The list with what two entries say exchanged. */
function exchanged(items: readonly Item[], a: number, b: number): Item[] {
  return items.map((item) => {
    if (item.index === a) return { ...item, ...said(itemAt(items, b)) };
    if (item.index === b) return { ...item, ...said(itemAt(items, a)) };
    return item;
  });
}

async function chainOf(op: Operator, num: number): Promise<ChainRow> {
  const row = (await op.chains()).find((each) => each.num === num);
  if (!row) throw new Error(`there is no chain ${num}`);
  return row;
}

/** The chain's own snapshot in the place of a payload. */
const snapshotFor =
  (finish: (item: Item) => Item): Attack['mutate'] =>
  (folder, { target }) =>
    asOperator(folder, async (op) => {
      const row = await chainOf(op, target[0]);
      const text = jcs(openState(op.vault, row, dataKeyOf(op.vault, row)));
      await op.rewrite(replaced(await op.read(), [target[4]], (item) => finish({ ...item, text })));
    });

export const ON_PAYLOADS: readonly Attack[] = [
  {
    name: 'edit a payload',
    form: 'naive',
    line: 'payloads',
    mutate: (folder, { target: [, , index] }) =>
      asOperator(folder, async (op) => {
        const [row] = await op.db.query<{ body: Buffer }>('SELECT body FROM payload WHERE idx = ?', [index]);
        const body = Buffer.from(row?.body ?? []);
        body[60] = (body[60] ?? 0) ^ 1;
        await op.db.query('UPDATE payload SET body = ? WHERE idx = ?', [body, index]);
      }),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target: [, , index] }) => payloadAt(index),
  },
  {
    name: 'edit a payload, its entry left',
    form: 'clever',
    line: 'payloads',
    mutate: rewriting((items, { target: [, , index] }) => replaced(items, [index], (item) => asStored(halved(item)))),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target: [, , index] }) => payloadAt(index),
  },
  {
    name: 'edit a payload',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target: [, , index] }) => replaced(items, [index], halved)),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'swap payloads',
    form: 'naive',
    line: 'payloads',
    mutate: sql(
      ({ target }) => `UPDATE payload SET idx = -1 WHERE idx = ${target[2]}`,
      ({ target, neighbour }) => `UPDATE payload SET idx = ${target[2]} WHERE idx = ${neighbour[2]}`,
      ({ neighbour }) => `UPDATE payload SET idx = ${neighbour[2]} WHERE idx = -1`,
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => payloadAt(target[2]),
  },
  {
    name: 'swap payloads, their entries left',
    form: 'clever',
    line: 'payloads',
    mutate: rewriting((items, { target, neighbour }) =>
      exchanged(items, target[2], neighbour[2]).map((item) =>
        [target[2], neighbour[2]].includes(item.index) ? asStored(item) : item,
      ),
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => payloadAt(target[2]),
  },
  {
    name: 'swap payloads',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target, neighbour }) =>
      replaced(exchanged(items, target[2], neighbour[2]), [target[2], neighbour[2]], (item) =>
        at(item, instantOf(itemAt(items, item.index))),
      ),
    ),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'swap a snapshot for a payload',
    form: 'naive',
    line: 'payloads',
    mutate: sql(
      ({ target }) =>
        `UPDATE payload SET body = (SELECT state FROM chain WHERE num = ${target[0]}) WHERE idx = ${target[4]}`,
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => payloadAt(target[4]),
  },
  {
    name: 'swap a snapshot for a payload, its entry left',
    form: 'clever',
    line: 'payloads',
    mutate: snapshotFor(asStored),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => payloadAt(target[4]),
  },
  {
    name: 'swap a snapshot for a payload',
    form: 'clever',
    line: 'payloads',
    mutate: snapshotFor((item) => item),
    caughtBy: ['verify', ...MEMORY, 'chain head'],
    blames: ({ target }) => payloadAt(target[4]),
  },
  {
    name: 'delete a payload',
    form: 'naive',
    line: 'payloads',
    mutate: sql(({ target: [, , index] }) => `DELETE FROM payload WHERE idx = ${index}`),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target: [, , index] }) => payloadAt(index),
  },
  {
    name: 'delete payloads as if their chain were erased',
    form: 'clever',
    line: 'payloads',
    mutate: (folder, { target }) =>
      asOperator(folder, async (op) => {
        const [num] = target;
        const { id, kind, subject } = await chainOf(op, num);
        await op.run(
          ...['name', 'prescription_row', 'custody'].map((table) => `DELETE FROM ${table} WHERE chain = ${num}`),
          `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain = ${num})`,
          `DELETE FROM idempotency WHERE first IN (SELECT idx FROM entry WHERE chain = ${num})`,
        );
        await op.db.query("UPDATE chain SET data_key = x'', state_version = 0, state = ? WHERE num = ?", [
          erasureSeal(op.vault, id, kind, subject),
          num,
        ]);
      }),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => payloadAt(target[4]),
  },
  {
    name: 'spell a payload in another way, its entry left',
    form: 'clever',
    line: 'payloads',
    mutate: rewriting((items, { target: [, , index] }) =>
      replaced(items, [index], (item) => asStored({ ...item, text: `${item.text} ` })),
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target: [, , index] }) => payloadAt(index),
  },
  {
    name: 'edit a snapshot',
    form: 'naive',
    line: 'payloads',
    mutate: sql(({ target: [num] }) => `UPDATE chain SET state = zeroblob(length(state)) WHERE num = ${num}`),
    caughtBy: ['verify'],
    blames: () => ({ table: 'chain' }),
  },
  {
    name: 'delete a snapshot',
    form: 'naive',
    line: 'payloads',
    mutate: sql(({ target: [num] }) => `UPDATE chain SET state = x'' WHERE num = ${num}`),
    caughtBy: ['verify'],
    blames: () => ({ table: 'chain' }),
  },
  {
    name: 'delete a snapshot, as if the chain had no entry but its first',
    form: 'clever',
    line: 'payloads',
    mutate: (folder, { target: [num] }) =>
      asOperator(folder, async (op) => {
        const [first] = await op.db.query<{ entry: Buffer }>('SELECT entry FROM entry WHERE idx = ?', [num]);
        await op.db.query("UPDATE chain SET seq = 0, leaf = ?, state_version = 0, state = x'' WHERE num = ?", [
          nodeHasher.leaf(first?.entry ?? Buffer.alloc(0)),
          num,
        ]);
      }),
    caughtBy: ['verify', 'chain head'],
    blames: () => ({ table: 'chain' }),
  },
  {
    name: 'edit a snapshot and the rows that follow from it',
    form: 'clever',
    line: 'payloads',
    mutate: (folder, { target: [num] }) =>
      asOperator(folder, async (op) => {
        const row = await chainOf(op, num);
        const dataKey = dataKeyOf(op.vault, row);
        const state = openState(op.vault, row, dataKey) as JsonObject;
        const aad = op.vault.aad('state', row.id, row.seq, `${row.kind}/${row.state_version}`);
        const never = { ...state, status: 'cancelled', dispenses: [] };
        await op.db.query('UPDATE chain SET state = ? WHERE num = ?', [
          encrypt(dataKey, aad, Buffer.from(JSON.stringify(never))),
          num,
        ]);
        await op.run(`UPDATE prescription_row SET order_status = 'cancelled' WHERE chain = ${num}`);
      }),
    caughtBy: ['verify'],
    blames: () => ({ table: 'chain' }),
  },
  {
    name: 'a business row without an entry',
    form: 'naive',
    line: 'payloads',
    mutate: sql(
      ({ target: [num] }) => `INSERT INTO custody (chain, org, since) VALUES (${num}, 'another pharmacy', 0)`,
      () => `INSERT INTO custody (chain, org, since) VALUES (1000000, 'another pharmacy', 0)`,
    ),
    caughtBy: ['verify'],
    blames: () => ({ table: 'custody' }),
  },
  {
    name: 'a business row without an entry, with a chain and a snapshot of its own',
    form: 'clever',
    line: 'payloads',
    mutate: (folder, { target: [num] }) =>
      asOperator(folder, async (op) => {
        const like = await chainOf(op, num);
        const id = like.id.replace(/^.{8}/, 'deadbeef');
        await op.adopt(id, like);
        const made = await chainOf(op, 1_000_000);
        const [dataKey, likeKey] = [dataKeyOf(op.vault, made), dataKeyOf(op.vault, like)];
        const state = { ...(openState(op.vault, like, likeKey) as JsonObject), id };
        const aad = op.vault.aad('state', id, 0, `${like.kind}/${like.state_version}`);
        await op.db.query('UPDATE chain SET state_version = ?, state = ? WHERE num = ?', [
          like.state_version,
          encrypt(dataKey, aad, Buffer.from(JSON.stringify(state))),
          made.num,
        ]);
        await op.run(
          `INSERT INTO prescription_row SELECT ${made.num}, patient, issuer, order_status, issue_status, nominated, drug,
             valid_until, timer_at, recorded_at FROM prescription_row WHERE chain = ${num}`,
        );
      }),
    caughtBy: ['verify'],
    blames: () => ({ table: 'chain', where: { num: 1_000_000 } }),
  },
];
