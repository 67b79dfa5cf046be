/** Attacks on entries and their order. */
import { type Attack, entryAt, MEMORY } from './attack.js';
import {
  asNode,
  asOperator,
  asStored,
  at,
  edited,
  instantOf,
  invented,
  itemAt,
  leafOf,
  minuteEarlier,
  replaced,
  rewriting,
  sql,
  store,
} from './forging.js';
import { decodeEntry, encodeEntry } from '../../src/ledger/core/entry.js';
import type { Item } from './operator.js';

const TABLES_OF_A_CHAIN = ['entry', 'name', 'prescription_row', 'custody'];

/** The tails of two orders exchanged: each keeps its first entry. */
function grafted(items: readonly Item[], a: readonly number[], b: readonly number[], graft: (item: Item) => Item): Item[] {
  const [chainA, chainB] = [itemAt(items, a[0] ?? -1).chain, itemAt(items, b[0] ?? -1).chain];
  return items.map((item) => {
    const place = Math.max(a.indexOf(item.index), b.indexOf(item.index));
    if (place < 1) return item;
    const moved = { ...item, chain: item.chain === chainA ? chainB : chainA };
    return place === 1 ? graft(moved) : moved;
  });
}

/** What another log of the same operator holds. */
async function othersEntries(folder: string): Promise<readonly Item[]> {
  let items: readonly Item[] = [];
  await asOperator(folder, async (op) => {
    items = await op.read();
  });
  return items;
}

export const ON_ENTRIES: readonly Attack[] = [
  {
    name: 'edit an entry',
    form: 'naive',
    mutate: (folder, { target: [index] }) =>
      asOperator(folder, async (op) => {
        const { stored } = itemAt(await op.read(), index);
        const entry = Buffer.from(minuteEarlier(stored));
        await op.db.query('UPDATE entry SET entry = ? WHERE idx = ?', [entry, index]);
      }),
    caughtBy: ['root rebuild', 'verify', 'auditor state', 'receipt'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'edit an entry, its payload left',
    form: 'clever',
    mutate: rewriting((items, { target: [index] }) =>
      replaced(items, [index], (item) => ({ ...item, bytes: (made) => minuteEarlier(encodeEntry(made)) })),
    ),
    caughtBy: [...MEMORY, 'verify'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'edit an entry',
    form: 'clever',
    mutate: rewriting((items, { target: [index] }) =>
      replaced(items, [index], (item) => at(item, instantOf(item) - 60_000)),
    ),
    caughtBy: MEMORY,
  },
  {
    name: 'delete an entry',
    form: 'naive',
    mutate: sql(({ target: [, , index] }) => `DELETE FROM entry WHERE idx = ${index}`),
    caughtBy: ['root rebuild', 'verify', 'auditor state', 'receipt'],
    blames: ({ target: [, , index] }) => entryAt(index),
  },
  {
    name: 'delete an entry',
    form: 'clever',
    mutate: rewriting((items, { target: [, , index] }) => replaced(items, [index], () => null)),
    caughtBy: MEMORY,
  },
  {
    name: 'delete a chain',
    form: 'naive',
    mutate: sql(
      ({ target: [num] }) => `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain = ${num})`,
      ...TABLES_OF_A_CHAIN.map((table) => ({ target: [num] }: { target: readonly number[] }) =>
        `DELETE FROM ${table} WHERE chain = ${num}`,
      ),
      ({ target: [num] }) => `DELETE FROM chain WHERE num = ${num}`,
    ),
    caughtBy: ['root rebuild', 'verify', 'auditor state', 'receipt'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'delete a chain',
    form: 'clever',
    mutate: rewriting((items, { target }) => replaced(items, target, () => null)),
    caughtBy: MEMORY,
  },
  {
    name: 'reorder entries',
    form: 'naive',
    mutate: sql(
      ...['entry', 'payload'].flatMap((table) => [
        ({ target }: { target: readonly number[] }) => `UPDATE ${table} SET idx = -1 WHERE idx = ${target[4]}`,
        ({ target, neighbour }: { target: readonly number[]; neighbour: readonly number[] }) =>
          `UPDATE ${table} SET idx = ${target[4]} WHERE idx = ${neighbour[0]}`,
        ({ neighbour }: { neighbour: readonly number[] }) =>
          `UPDATE ${table} SET idx = ${neighbour[0]} WHERE idx = -1`,
      ]),
    ),
    caughtBy: ['root rebuild', 'verify', 'auditor state', 'receipt'],
    blames: ({ target }) => entryAt(target[4]),
  },
  {
    name: 'reorder entries',
    form: 'clever',
    mutate: rewriting((items, { target, neighbour }) => {
      const [early, late] = [itemAt(items, target[4]), itemAt(items, neighbour[0])];
      return items.map((item) =>
        item === early ? at(late, instantOf(early)) : item === late ? at(early, instantOf(late)) : item,
      );
    }),
    caughtBy: MEMORY,
  },
  {
    name: 'insert a backdated entry',
    form: 'naive',
    mutate: (folder, { target }) =>
      asOperator(folder, async (op) => {
        const last = itemAt(await op.read(), target[4]);
        for (const table of ['entry', 'payload'])
          await op.run(
            `UPDATE ${table} SET idx = -idx WHERE idx > ${target[4]}`,
            `UPDATE ${table} SET idx = 1 - idx WHERE idx < 0`,
          );
        const { seq } = decodeEntry(last.stored);
        const item = invented(last);
        await store(op, target[4] + 1, item, edited(last.stored, { seq: seq + 1, prev: leafOf(last.stored) }));
      }),
    caughtBy: ['root rebuild', 'verify', 'commitment', 'auditor state', 'receipt'],
    blames: ({ target }) => entryAt(target[4] + 1),
  },
  {
    name: 'insert a backdated entry',
    form: 'clever',
    mutate: rewriting((items, { target }) =>
      items.flatMap((item) => (item.index === target[4] ? [item, invented(item)] : [item])),
    ),
    caughtBy: MEMORY,
  },
  {
    name: "graft one chain's tail on another",
    form: 'naive',
    mutate: sql(
      ({ target }) => `UPDATE entry SET chain = -1 WHERE chain = ${target[0]} AND seq > 0`,
      ({ target, neighbour }) => `UPDATE entry SET chain = ${target[0]} WHERE chain = ${neighbour[0]} AND seq > 0`,
      ({ neighbour }) => `UPDATE entry SET chain = ${neighbour[0]} WHERE chain = -1`,
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => entryAt(target[1]),
  },
  {
    name: "graft one chain's tail on another, the link at the graft left",
    form: 'clever',
    mutate: rewriting((items, { target, neighbour }) =>
      grafted(items, target, neighbour, (item) => ({
        ...item,
        bytes: (made) => encodeEntry({ ...made, prev: decodeEntry(item.stored).prev }),
      })),
    ),
    caughtBy: ['root rebuild', 'verify', ...MEMORY],
    blames: ({ target }) => entryAt(target[1]),
    fools: 'trusts middle links',
  },
  {
    name: "graft one chain's tail on another",
    form: 'clever',
    mutate: rewriting((items, { target, neighbour }) => grafted(items, target, neighbour, (item) => item)),
    caughtBy: MEMORY,
  },
  {
    name: 'two successors of one entry',
    form: 'naive',
    mutate: (folder, { target, size }) =>
      asOperator(folder, async (op) => {
        const dose = itemAt(await op.read(), target[4]);
        await store(op, size, dose, minuteEarlier(dose.stored));
      }),
    caughtBy: ['verify'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'two successors of one entry',
    form: 'clever',
    mutate: rewriting((items, { target, size }) => {
      const dose = itemAt(items, target[4]);
      const { seq, prev } = decodeEntry(dose.stored);
      const second = invented(dose, instantOf(itemAt(items, size - 1)));
      return [...items, { ...second, bytes: (made) => encodeEntry({ ...made, seq, prev }) }];
    }),
    caughtBy: ['root rebuild', 'verify', 'auditor state'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'replay an entry',
    form: 'naive',
    mutate: (folder, { target, size }) =>
      asOperator(folder, async (op) => {
        const dose = itemAt(await op.read(), target[4]);
        await store(op, size, dose, dose.stored);
      }),
    caughtBy: ['verify'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'replay an entry',
    form: 'clever',
    mutate: rewriting((items, { target }) => [...items, { ...asStored(itemAt(items, target[4])), index: -1, keyed: false }]),
    caughtBy: ['root rebuild', 'verify', 'auditor state'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: "replay another log's entry",
    form: 'naive',
    mutate: async (folder, { other, size, target }) => {
      const [theirs] = (await othersEntries(other)).slice(-5);
      await asOperator(folder, async (op) => {
        const like = (await op.chains()).find(({ num }) => num === target[0]);
        if (!theirs || !like) throw new Error('there is nothing to replay');
        await op.adopt(theirs.chain, like);
        await store(op, size, theirs, theirs.stored);
      });
    },
    caughtBy: ['verify'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: "replay another log's entry",
    form: 'clever',
    mutate: async (folder, { other, size, target }) => {
      const [theirs] = (await othersEntries(other)).slice(-5);
      await asOperator(folder, async (op) => {
        const like = (await op.chains()).find(({ num }) => num === target[0]);
        if (!theirs || !like) throw new Error('there is nothing to replay');
        await op.adopt(theirs.chain, like);
        await op.rewrite([...(await op.read()), { ...asStored(theirs), index: -1, keyed: false }]);
      });
    },
    caughtBy: ['root rebuild', 'verify', 'auditor state'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'a leaf that looks like a node',
    form: 'naive',
    mutate: (folder, { siblings: [left, right] }) =>
      asOperator(folder, async (op) => {
        const items = await op.read();
        const node = Buffer.from(asNode(itemAt(items, left), itemAt(items, right)));
        await op.db.query('UPDATE entry SET entry = ? WHERE idx = ?', [node, left]);
        await op.run(`DELETE FROM entry WHERE idx = ${right}`, `DELETE FROM payload WHERE idx = ${right}`);
      }),
    caughtBy: ['root rebuild', 'verify', 'commitment', 'auditor state', 'receipt'],
    blames: ({ siblings: [left] }) => entryAt(left),
  },
  {
    name: 'a leaf that looks like a node',
    form: 'clever',
    mutate: rewriting((items, { siblings: [left, right] }) => {
      const node = asNode(itemAt(items, left), itemAt(items, right));
      return replaced(items, [left, right], (item) => (item.index === left ? { ...item, bytes: () => node } : null));
    }),
    caughtBy: ['root rebuild', 'verify', 'commitment', ...MEMORY],
    blames: ({ siblings: [left] }) => entryAt(left),
  },
];
