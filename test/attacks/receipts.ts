/** People who kept something that the log gave them: a receipt, a checkpoint. */
import type { Kept } from './kept.js';
import { compareWithHead, type Comparison } from '../../src/ledger/core/statements/compare-heads.js';
import { parseChainHeadKey, verifyChainHead } from '../../src/ledger/core/statements/chain-head-note.js';
import { fromBase64 } from '../../src/ledger/core/bytes.js';
import type { Checkpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { consistencyProof, inclusionProof } from '../../src/ledger/core/tlog/merkle.js';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/core/tlog/proof.js';
import {
  type ReceiptResult,
  type VerifiedReceipt,
  verifyReceipt,
  type Receipt,
} from '../../src/ledger/core/record/receipt.js';
import { tileNodeReader } from '../../src/ledger/core/tlog/tiles.js';
import type { Actor } from '../../src/ledger/model.js';
import type { Shown } from './shown.js';
import { openedBy, policyOf } from './trust.js';

const nodesOf = ({ tile }: Shown) => tileNodeReader(nobleHasher, tile);

const verifiedOnce = new WeakMap<Receipt, ReceiptResult>();

/** What the receipt shows by itself, which nothing that the operator does can change: each is verified once. */
function shownBy(held: Receipt, { vkey, rotations }: Kept): VerifiedReceipt {
  const verified = verifiedOnce.get(held) ?? verifyReceipt(held, policyOf(vkey, rotations, held.checkpoint));
  verifiedOnce.set(held, verified);
  if (!verified.ok) throw new Error('a receipt of the honest log must hold for ever');
  return verified;
}

/** Whoever wrote an entry: holds the receipt against what the log shows at that index today. */
export async function receipt(shown: Shown, kept: Kept): Promise<string | null> {
  const { vkey, rotations, receipts } = kept;
  const today = openedBy(vkey, rotations, shown.checkpoint)?.checkpoint;
  if (!today) return 'the checkpoint is not signed by the key';
  for (const held of receipts) {
    const { index, entry, checkpoint } = held;
    shownBy(held, kept);
    const earlier = openedBy(vkey, rotations, checkpoint) as { checkpoint: Checkpoint };
    const forked = await continues(shown, earlier.checkpoint, today);
    if (forked) return forked;
    if (shown.entries.get(index)?.toString('base64') !== entry) return `entry ${index} is not that of the receipt`;
    const leaf = nobleHasher.leaf(fromBase64(entry));
    const proof = await attempt(() => inclusionProof(nobleHasher, index, today.size, nodesOf(shown)));
    if (!proof || !verifyInclusion(nobleHasher, { index, size: today.size, leaf, proof, root: today.root }).ok)
      return `entry ${index} is not proven`;
  }
  return null;
}

const AT_FAULT: readonly Comparison[] = ['withheld', 'differs'];

/**
 * Whoever wrote an entry, and asks for the head of its chain: what is signed with the key of chain heads, beside the
 * receipt. What is not answered accuses nobody.
 */
export async function chainHead(shown: Shown, kept: Kept): Promise<string | null> {
  const key = parseChainHeadKey(kept.chainHeads);
  for (const held of kept.receipts) {
    const { entry, index } = shownBy(held, kept);
    const note = await attempt(async () => shown.serving.heads?.get(entry.chain) ?? (await headOf(shown, entry.chain)));
    if (note === null) continue;
    const head = verifyChainHead(note, key);
    if (!head.ok) return `the chain head does not hold: ${head.reason}`;
    const beside = compareWithHead({ entry, index }, head.head);
    if (AT_FAULT.includes(beside)) return `chain head: entry ${index} ${beside}`;
  }
  return null;
}

const AUDITOR: Actor = { id: '00000000-0000-4000-8000-00000000a0d1', role: 'auditor', org: null, patient: null };

const headOf = async ({ chains }: Shown, id: string): Promise<string> => (await chains.head(AUDITOR, id)).note;

/** Whoever kept a checkpoint, and looks for it among those that the log says it has published. */
export async function keptCheckpoint(shown: Shown, { checkpoint }: Kept): Promise<string | null> {
  return (await shown.published()).includes(checkpoint) ? null : 'the kept checkpoint was never published, they say';
}

/** @returns why today's tree does not continue the earlier one, by the proof that the log's tiles give; null: it does */
async function continues(shown: Shown, earlier: Checkpoint, today: Checkpoint): Promise<string | null> {
  const { size: size1, root: root1 } = earlier;
  const { size: size2, root: root2 } = today;
  if (size2 < size1) return `the log has ${size2} entries and had ${size1}`;
  const proof = await attempt(() => consistencyProof(nobleHasher, size1, size2, nodesOf(shown)));
  const result = proof && verifyConsistency(nobleHasher, { size1, size2, root1, root2, proof });
  return result?.ok ? null : `no proof leads from ${size1} to ${size2} entries`;
}

async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}
