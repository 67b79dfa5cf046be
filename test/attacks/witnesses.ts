/** Witnesses of the log, each as its process would answer, and who trusts a quorum of them. */
import type { Kept } from './kept.js';
import { cpSync } from 'node:fs';
import { utf8 } from '../../src/ledger/core/bytes.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { consistencyProof } from '../../src/ledger/core/tlog/merkle.js';
import { parsePolicy } from '../../src/ledger/core/tlog/policy.js';
import { tileNodeReader } from '../../src/ledger/core/tlog/tiles.js';
import { encodeHashes } from '../../src/ledger/core/tlog/tlog-proof.js';
import type { Answer } from '../../src/audit/witness/witness.js';
import { temporaryFolder } from '../support/ledger.js';
import { type Shown, sizeIn } from './shown.js';
import { openedBy, rotationsIn } from './trust.js';
import { type Ask, withWitness } from './witness.js';

/** What is submitted: a signed checkpoint and the tree that it is proven to come from. */
type Tree = Pick<Shown, 'checkpoint' | 'tile'>;

/**
 * Asks as the service does: where the witness starts from another size it says from which (409), and gets the proof from
 * there.
 */
export async function askToCosign(ask: Ask, { checkpoint, tile }: Tree): Promise<Answer> {
  const answer = await ask(`old 0\n\n${checkpoint}`);
  if (answer.status !== 409) return answer;
  let proof = '';
  try {
    const nodes = tileNodeReader(nobleHasher, tile);
    proof = encodeHashes(await consistencyProof(nobleHasher, answer.size, sizeIn(checkpoint), nodes));
  } catch {
    // There is none: the witness is asked all the same.
  }
  return ask(`old ${answer.size}\n${proof}\n${checkpoint}`);
}

/** The witnesses' keys of the log: its own, and those that took over from it. */
const known = ({ vkey, rotations }: Kept): string[] => [vkey, ...rotationsIn(rotations).map(({ to }) => to)];

/** By what is shown: nobody is asked twice for the same. */
const asked = new WeakMap<Shown, Promise<Answer[][]>>();

/** Answers of the witnesses to each checkpoint that is shown to somebody, in turn: all of them were asked for the first. */
export function cosigning(shown: Shown, kept: Kept): Promise<Answer[][]> {
  const answers = asked.get(shown) ?? askAll(shown, kept);
  asked.set(shown, answers);
  return answers;
}

/** @returns for each checkpoint, what each witness says */
async function askAll(shown: Shown, kept: Kept): Promise<Answer[][]> {
  const trees = [shown, ...(shown.elsewhere ? [shown.elsewhere] : [])];
  const answers: Answer[][] = trees.map(() => []);
  for (const folder of kept.witnesses) {
    const copy = temporaryFolder();
    cpSync(folder, copy.path, { recursive: true });
    await withWitness(copy.path, known(kept), async (ask) => {
      for (const [at, tree] of trees.entries()) answers[at]?.push(await askToCosign(ask, tree));
    });
    copy.remove();
  }
  return answers;
}

/** A witness that has cosigned the kept checkpoint, and sees checkpoints and consistency proofs, never an entry. */
export async function witness(shown: Shown, kept: Kept): Promise<string | null> {
  const statuses = (await cosigning(shown, kept)).map(([answer]) => answer?.status);
  return statuses.every((status) => status === 200) ? null : `no cosignature: ${statuses.join(', ')}`;
}

/** Whoever holds the policy file, without a memory: takes a checkpoint from the quorum that it names, and no other. */
export async function policy(shown: Shown, kept: Kept): Promise<string | null> {
  for (const note of await servedToAll(shown, kept)) {
    const opened = openedBy(parsePolicy(utf8(kept.policy)), kept.rotations, note);
    if (!opened) return 'the checkpoint is not signed by a log of the policy';
    if (!opened.quorum.met) return `cosigned by ${opened.quorum.witnesses.length} of the policy's witnesses`;
  }
  return null;
}

/** The checkpoint with its cosignatures, as it is shown. */
export async function servedCosigned(shown: Shown, kept: Kept): Promise<string> {
  const [note = ''] = await servedToAll(shown, kept);
  return note;
}

/** The same to everybody to whom something is shown, in turn. */
async function servedToAll(shown: Shown, kept: Kept): Promise<string[]> {
  if (shown.serving.cosigned !== undefined) return [shown.serving.cosigned];
  const answers = await cosigning(shown, kept);
  return [shown, ...(shown.elsewhere ? [shown.elsewhere] : [])].map(({ checkpoint }, at) =>
    withLines(checkpoint, answers[at] ?? []),
  );
}

/** The checkpoint as the service serves it, with what its witnesses have answered. */
export function withLines(checkpoint: string, answers: readonly Answer[]): string {
  return checkpoint + answers.map((answer) => (answer.status === 200 ? answer.cosignature : '')).join('');
}
