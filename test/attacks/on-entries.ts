// Longer than 300 lines: a table of attacks, one after the other.
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
import { decodeEntry, encodeEntry } from '../../src/ledger/core/record/entry.js';
import type { Item, Operator } from './operator.js';
import type { HonestWorld } from './world.js';

const TABLES_OF_A_CHAIN = ['entry', 'name', 'prescription_row', 'custody'];

/** A later chain's tail, all but its first entry, on an earlier chain. @param first what becomes of the tail's first */
const graft = (first: (item: Item) => Item): Attack['mutate'] =>
  rewriting((items, { target, neighbour: [, begin, ...rest] }) => {
    const { chain } = itemAt(items, target[0]);
    return replaced(items, [begin, ...rest], (item) => {
      const moved = { ...item, chain };
      return item.index === begin ? first(moved) : moved;
    });
  });

/** What opens a chain in another log of the same operator is brought over, with room for its chain. */
const crossLog =
  (replay: (op: Operator, theirs: Item, size: number) => Promise<void>): Attack['mutate'] =>
  async (folder, { other, size, target }) => {
    let theirs: Item | undefined;
    await asOperator(other, async (op) => {
      theirs = (await op.read()).findLast(({ stored }) => decodeEntry(stored).seq === 0);
    });
    await asOperator(folder, async (op) => {
      const like = (await op.chains()).find(({ num }) => num === target[0]);
      if (!theirs || !like) throw new Error('there is nothing to replay');
      await op.adopt(theirs.chain, like);
      await replay(op, theirs, size);
    });
  };

export const ON_ENTRIES: readonly Attack[] = [
  {
    name: 'edit an entry',
    form: 'naive',
    line: 'entries',
    mutate: (folder, { target: [index] }) =>
      asOperator(folder, async (op) => {
        const { stored } = itemAt(await op.read(), index);
        const entry = Buffer.from(minuteEarlier(stored));
        await op.db.query('UPDATE entry SET entry = ? WHERE idx = ?', [entry, index]);
      }),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'edit an entry, its payload left',
    form: 'clever',
    line: 'entries',
    mutate: rewriting((items, { target: [index] }) =>
      replaced(items, [index], (item) => ({ ...item, bytes: (made) => minuteEarlier(encodeEntry(made)) })),
    ),
    caughtBy: ['verify', ...MEMORY, 'chain head'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'edit an entry',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target: [index] }) =>
      replaced(items, [index], (item) => at(item, instantOf(item) - 60_000)),
    ),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'delete an entry',
    form: 'naive',
    line: 'entries',
    mutate: sql(({ target: [, , index] }) => `DELETE FROM entry WHERE idx = ${index}`),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: ({ target: [, , index] }) => entryAt(index),
  },
  {
    name: 'delete an entry',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target: [, , index] }) => replaced(items, [index], () => null)),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'delete a chain',
    form: 'naive',
    line: 'entries',
    mutate: sql(
      ({ target: [num] }) => `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain = ${num})`,
      ...TABLES_OF_A_CHAIN.map(
        (table) =>
          ({ target: [num] }: HonestWorld) =>
            `DELETE FROM ${table} WHERE chain = ${num}`,
      ),
      ({ target: [num] }) => `DELETE FROM chain WHERE num = ${num}`,
    ),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: ({ target: [index] }) => entryAt(index),
  },
  {
    name: 'delete a chain',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target }) => replaced(items, target, () => null)),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'reorder entries',
    form: 'naive',
    line: 'entries',
    mutate: sql(
      ...['entry', 'payload'].flatMap((table) => [
        ({ target }: HonestWorld) => `UPDATE ${table} SET idx = -1 WHERE idx = ${target[4]}`,
        ({ target, neighbour }: HonestWorld) => `UPDATE ${table} SET idx = ${target[4]} WHERE idx = ${neighbour[0]}`,
        ({ neighbour }: HonestWorld) => `UPDATE ${table} SET idx = ${neighbour[0]} WHERE idx = -1`,
      ]),
    ),
    caughtBy: ['verify', 'root rebuild', 'receipt'],
    blames: ({ target }) => entryAt(target[4]),
  },
  {
    name: 'reorder entries',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target, neighbour }) => {
      const [early, late] = [itemAt(items, target[4]), itemAt(items, neighbour[0])];
      return items.map((item) =>
        item === early ? at(late, instantOf(early)) : item === late ? at(early, instantOf(late)) : item,
      );
    }),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'insert a backdated entry',
    form: 'naive',
    line: 'entries',
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
    caughtBy: ['verify', 'commitment', 'root rebuild', 'follow', 'receipt'],
    alarm: 'files',
    blames: ({ target }) => entryAt(target[4] + 2),
  },
  {
    name: 'insert a backdated entry',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target }) =>
      items.flatMap((item) => (item.index === target[4] ? [item, invented(item)] : [item])),
    ),
    caughtBy: MEMORY,
  },
  {
    name: "graft one chain's tail on another",
    form: 'naive',
    line: 'entries',
    mutate: sql(
      ({ target, neighbour }) =>
        `UPDATE entry SET chain = ${target[0]}, seq = seq + 4 WHERE chain = ${neighbour[0]} AND seq > 0`,
    ),
    caughtBy: ['verify', 'commitment'],
    blames: ({ neighbour }) => entryAt(neighbour[1]),
  },
  {
    name: "graft one chain's tail on another, the link at the graft left",
    form: 'clever',
    line: 'entries',
    mutate: graft((item) => ({
      ...item,
      bytes: (made) => encodeEntry({ ...made, prev: decodeEntry(item.stored).prev }),
    })),
    caughtBy: ['verify', 'root rebuild', ...MEMORY],
    blames: ({ neighbour }) => entryAt(neighbour[1]),
    fools: 'trusts middle links',
  },
  {
    name: "graft one chain's tail on another",
    form: 'clever',
    line: 'history',
    mutate: graft((item) => item),
    caughtBy: MEMORY,
  },
  {
    name: 'two successors of one entry',
    form: 'naive',
    line: 'entries',
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
    line: 'entries',
    mutate: rewriting((items, { target, size }) => {
      const dose = itemAt(items, target[4]);
      const { seq, prev } = decodeEntry(dose.stored);
      const second = invented(dose, instantOf(itemAt(items, size - 1)));
      return [...items, { ...second, bytes: (made) => encodeEntry({ ...made, seq, prev }) }];
    }),
    caughtBy: ['verify', 'root rebuild', 'follow', 'chain head'],
    alarm: 'entry',
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'replay an entry',
    form: 'naive',
    line: 'entries',
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
    line: 'entries',
    // The last one, whose time it is still: only its place in its chain gives it away.
    mutate: rewriting((items, { size }) => [
      ...items,
      { ...asStored(itemAt(items, size - 1)), index: -1, keyed: false },
    ]),
    caughtBy: ['verify', 'root rebuild', 'follow'],
    alarm: 'entry',
    blames: ({ size }) => entryAt(size),
  },
  {
    name: "replay another log's entry",
    form: 'naive',
    line: 'entries',
    mutate: crossLog((op, theirs, size) => store(op, size, theirs, theirs.stored)),
    caughtBy: ['verify'],
    blames: ({ size }) => entryAt(size),
  },
  {
    name: "replay another log's entry",
    form: 'clever',
    line: 'entries',
    mutate: crossLog(async (op, theirs) =>
      op.rewrite([...(await op.read()), { ...asStored(theirs), index: -1, keyed: false }]),
    ),
    caughtBy: ['verify', 'root rebuild', 'follow'],
    alarm: 'entry',
    blames: ({ size }) => entryAt(size),
  },
  {
    name: 'a leaf that looks like a node',
    form: 'naive',
    line: 'entries',
    mutate: (folder, { siblings: [left, right] }) =>
      asOperator(folder, async (op) => {
        const items = await op.read();
        const node = Buffer.from(asNode(itemAt(items, left), itemAt(items, right)));
        await op.db.query('UPDATE entry SET entry = ? WHERE idx = ?', [node, left]);
        await op.run(`DELETE FROM entry WHERE idx = ${right}`, `DELETE FROM payload WHERE idx = ${right}`);
      }),
    caughtBy: ['verify', 'commitment', 'root rebuild', 'receipt'],
    blames: ({ siblings: [left] }) => entryAt(left),
  },
  {
    name: 'a leaf that looks like a node',
    form: 'clever',
    line: 'entries',
    mutate: rewriting((items, { siblings: [left, right] }) => {
      const node = asNode(itemAt(items, left), itemAt(items, right));
      return replaced(items, [left, right], (item) => (item.index === left ? { ...item, bytes: () => node } : null));
    }),
    caughtBy: ['verify', 'commitment', 'root rebuild', ...MEMORY, 'chain head'],
    blames: ({ siblings: [left] }) => entryAt(left),
  },
];
