/** Attacks by what is shown to whom: the data folder is as it was, or is two. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ChainHeadKey, CHAIN_HEAD_KEY_FILE } from '../../src/log/chains/chain-head-key.js';
import { decodeEntry } from '../../src/ledger/core/record/entry.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { WitnessKey } from '../../src/audit/witness/witness-key.js';
import { type Attack, MEMORY } from './attack.js';
import { asOperator, instantOf, invented, itemAt, leafOf, rewriting } from './forging.js';
import { show } from './shown.js';
import { cosigning, withLines } from './witnesses.js';
import { type HonestWorld, keyIn, ORIGIN } from './world.js';

/** Goes on with so many doses that nobody took: of another copy of the log they are others. */
const goingOn = (doses: number): Attack['mutate'] =>
  rewriting((items, { target, size }) => {
    const last = instantOf(itemAt(items, size - 1));
    return [...items, ...Array.from({ length: doses }, () => invented(itemAt(items, target[4]), last))];
  });

/** Both continue what everybody has seen. @param doses that each of the two is shown */
const fork =
  (doses: number, others: number): Attack['mutate'] =>
  async (folder, world) => {
    const elsewhere = world.copy();
    await goingOn(doses)(folder, world);
    await goingOn(others)(elsewhere, world);
    return { elsewhere };
  };

/** The newest checkpoint with the cosignatures that witnesses give for it. */
async function cosignedNow(folder: string, { kept }: HonestWorld): Promise<string> {
  const { shown, close } = await show(folder);
  try {
    const [answers = []] = await cosigning(shown, kept);
    return withLines(shown.checkpoint, answers);
  } finally {
    await close();
  }
}

/** The note with its signature lines as `keep` gives them. */
export function withSignatures(note: string, keep: (line: string, at: number) => string[]): string {
  const end = note.lastIndexOf('\n\n') + 2;
  const lines = note.slice(end, -1).split('\n');
  return `${note.slice(0, end)}${lines
    .flatMap(keep)
    .map((line) => `${line}\n`)
    .join('')}`;
}

async function headOf(folder: string) {
  const head = await asOperator(folder, (op) => readHead(op.db));
  if (!head) throw new Error('there is no log');
  return head;
}

/** A witness that does what the operator says, with a clock that it sets as it likes. */
function accomplice({ kept }: HonestWorld, name: (own: string) => string): WitnessKey {
  const folder = kept.witnesses[2] ?? '';
  const own = parseVerifierKey(readFileSync(join(folder, 'vkey'), 'utf8').trim());
  return new WitnessKey(name(own.name), loadKey(folder, 'witness.key') ?? Buffer.alloc(0));
}

/** What nobody honest cosigns, under two lines of the one witness that does. */
const cosignedTwice =
  (second: (own: string) => string): Attack['mutate'] =>
  async (folder, world) => {
    await rewriting((items) => items.slice(0, -15))(folder, world);
    const { checkpoint, time } = await headOf(folder);
    const seconds = Math.floor(time / 1000);
    const once = accomplice(world, (own) => own).cosign(checkpoint, seconds);
    return { cosigned: accomplice(world, second).cosign(once, seconds + 60) };
  };

/** Signs, with the key of chain heads, that the target's chain still ends where it stood one entry ago. */
const staleHead: Attack['mutate'] = async (folder, { target, size }) => {
  const { stored } = await asOperator(folder, async (op) => itemAt(await op.read(), target[3]));
  const { chain, seq } = decodeEntry(stored);
  const key = new ChainHeadKey(ORIGIN, keyIn(folder, CHAIN_HEAD_KEY_FILE));
  return { heads: new Map([[chain, key.head({ chain, seq, leaf: leafOf(stored), size })]]) };
};

/** Takes out of the list what was published; what the log holds stays. */
const withdraw =
  (...more: string[]): Attack['mutate'] =>
  (folder, world) =>
    asOperator(folder, (op) => op.run(`DELETE FROM published WHERE size = ${keptSize(world)}`, ...more));

const keptSize = ({ kept }: HonestWorld): number => Number(kept.checkpoint.split('\n')[1]);

export const ON_SERVING: readonly Attack[] = [
  {
    name: 'fork to two auditors',
    form: 'clever',
    line: 'fork',
    mutate: fork(1, 1),
    caughtBy: ['two followers', 'witness', 'policy'],
  },
  {
    name: 'fork to two auditors, one of them shown more than the other',
    form: 'clever',
    line: 'fork',
    mutate: fork(3, 1),
    caughtBy: ['two followers', 'witness', 'policy'],
  },
  {
    name: 're-sign everything with the right key',
    form: 'clever',
    line: 'history',
    mutate: rewriting((items, { target }) =>
      items.flatMap((item) =>
        item.index === target[4] ? [item, invented(item)] : item.index === target[2] ? [] : [item],
      ),
    ),
    caughtBy: [...MEMORY, 'chain head'],
  },
  {
    name: 'replay an old checkpoint',
    form: 'naive',
    line: 'replay',
    mutate: async (_, { oldCheckpoint }) => ({
      checkpoint: withSignatures(oldCheckpoint, (line, at) => (at === 0 ? [line] : [])),
    }),
    caughtBy: ['follow', 'witness', 'policy', 'receipt'],
    alarm: 'rollback',
  },
  {
    name: 'replay an old checkpoint with its cosignatures',
    form: 'naive',
    line: 'replay',
    mutate: async (_, { oldCheckpoint }) => ({ checkpoint: oldCheckpoint, cosigned: oldCheckpoint }),
    caughtBy: ['follow', 'witness', 'receipt'],
    alarm: 'rollback',
  },
  {
    name: 'drop a witness: the newest checkpoint with one cosignature of three',
    form: 'naive',
    line: 'witnesses',
    mutate: async (folder, world) => ({
      cosigned: withSignatures(await cosignedNow(folder, world), (line, at) => (at < 2 ? [line] : [])),
    }),
    caughtBy: ['policy'],
  },
  {
    name: "count one witness twice: the newest checkpoint with one witness's line again",
    form: 'naive',
    line: 'witnesses',
    mutate: async (folder, world) => ({
      cosigned: withSignatures(await cosignedNow(folder, world), (line, at) =>
        at === 0 ? [line] : at === 1 ? [line, line] : [],
      ),
    }),
    caughtBy: ['policy'],
    fools: 'counts cosignatures',
  },
  {
    name: 'count one witness twice: truncate, and one witness that plays along cosigns at two times',
    form: 'clever',
    line: 'witnesses',
    mutate: cosignedTwice((own) => own),
    caughtBy: MEMORY,
    alarm: 'rollback',
    fools: 'counts cosignatures',
  },
  {
    name: 'count one witness twice: truncate, and one witness that plays along cosigns under two names',
    form: 'clever',
    line: 'witnesses',
    mutate: cosignedTwice((own) => `second.${own}`),
    caughtBy: MEMORY,
    alarm: 'rollback',
    fools: 'counts cosignatures',
  },
  {
    name: 'withhold an entry from who holds its receipt: a chain head from before it, signed for the log of now',
    form: 'clever',
    line: 'withheld',
    mutate: staleHead,
    caughtBy: ['chain head'],
  },
  {
    name: 'withdraw a published checkpoint',
    form: 'naive',
    line: 'withdrawn',
    mutate: withdraw(),
    caughtBy: ['verify', 'kept checkpoint'],
    blames: (world) => ({ table: 'published', where: { size: keptSize(world) } }),
  },
  {
    name: 'withdraw a published checkpoint, the list mended',
    form: 'clever',
    line: 'withdrawn',
    mutate: (folder, world) =>
      withdraw(
        `UPDATE published SET previous = (SELECT max(size) FROM published WHERE size < ${keptSize(world)})
         WHERE previous = ${keptSize(world)}`,
      )(folder, world),
    caughtBy: ['kept checkpoint'],
  },
  {
    name: 'withdraw the newest published checkpoints, and serve what is left',
    form: 'naive',
    line: 'withdrawn',
    mutate: (folder, world) =>
      asOperator(folder, async (op) => {
        await op.run(`DELETE FROM published WHERE size >= ${keptSize(world)}`);
        const [row] = await op.db.query<{ checkpoint: string }>(
          'SELECT checkpoint FROM published ORDER BY size DESC LIMIT 1',
        );
        return { checkpoint: row?.checkpoint ?? '' };
      }),
    caughtBy: MEMORY,
    alarm: 'rollback',
  },
];
