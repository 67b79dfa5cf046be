/**
 * The keys and policies that a verifier pins by the options of `rxledger audit proof`. Nothing is ever trusted from the
 * checked files.
 */
import { toBase64 } from '../../ledger/core/bytes.js';
import type { PublicJwk } from '../../ledger/core/record/public-key.js';
import { ChainHeadError, parseChainHeadKey } from '../../ledger/core/statements/chain-head-note.js';
import {
  type Continuation,
  ContinuationError,
  openContinuationReceipt,
  vouchedFor,
} from '../../ledger/core/statements/continuation.js';
import {
  openRotationReceipt,
  replacedTwice,
  type Rotation,
  RotationError,
} from '../../ledger/core/statements/key-rotation.js';
import { CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { NoteError, type VerifierKey } from '../../ledger/core/tlog/note.js';
import { parsePolicy, type Policy, PolicyError } from '../../ledger/core/tlog/policy.js';
import { publicKeysIn } from '../keys/actor-key.js';
import { UsageError } from '../terminal.js';
import { contentOf } from '../files.js';
import { documentsIn } from './kept-documents.js';
import { logsOf } from './trust.js';

export interface PinOptions {
  /** Verifier keys of the log. */
  readonly vkey: readonly string[];
  /** A file in the form of C2SP tlog-policy. */
  readonly policy?: string;
  /** A file with the answer of `/log/rotations`, or the output of `rxledger log rotate-key --json`. */
  readonly rotations?: string;
  /** A file with the answer of `/log/continued`. */
  readonly continued?: string;
  /** Verifier key of chain heads. */
  readonly chainHeadVkey?: string;
  /** A file with public keys of an actor. */
  readonly actorKey?: string;
}

export interface Pinned {
  /** Null: no log is pinned. */
  readonly policy: Policy | null;
  /** Replacements of logs' keys, by which trust passes on. */
  readonly rotations: readonly Rotation[];
  readonly chainHeadKey: VerifierKey | null;
  /** Null: signatures of actors are not required. */
  readonly actorKeys: readonly PublicJwk[] | null;
}

/** @throws {UsageError} for an option that cannot be used; {EnvironmentError} for a file that cannot be read */
export async function pinnedBy(options: PinOptions): Promise<Pinned> {
  const { vkey, policy, rotations, continued, chainHeadVkey, actorKey } = options;
  const log = vkey.length === 0 ? null : logsOf(vkey);
  const file = policy === undefined ? null : await contentOf(policy);
  const read = file && usable('--policy', () => parsePolicy(file));
  const moved = rotations === undefined ? [] : rotationsIn(await contentOf(rotations));
  const before = continued === undefined ? [] : continuationsIn(await contentOf(continued));
  const trusted = read ? narrowed(read, log) : log;
  return {
    policy: trusted && { ...trusted, continued: vouchedFor(trusted, moved, before) },
    rotations: moved,
    chainHeadKey: chainHeadVkey === undefined ? null : chainHeadKeyOf(chainHeadVkey),
    actorKeys: actorKey === undefined ? null : keysIn((await contentOf(actorKey)).toString()),
  };
}

function chainHeadKeyOf(vkey: string): VerifierKey {
  try {
    return parseChainHeadKey(vkey);
  } catch (error) {
    if (error instanceof NoteError || error instanceof ChainHeadError)
      throw new UsageError(
        '--chain-head-vkey: not the verifier key of chain heads (`rxledger log vkey --chain-heads` prints one)',
      );
    throw error;
  }
}

function keysIn(text: string): PublicJwk[] {
  const keys = publicKeysIn(text);
  if (keys.length === 0) throw new UsageError('--actor-key: no public key (JWK) of Ed25519 or P-256');
  return keys;
}

/** The log may come from `--vkey` if the policy names none. A policy that names logs must not be widened. */
function narrowed(policy: Policy, log: Policy | null): Policy {
  if (policy.logs.length === 0) {
    if (!log) throw new UsageError('--policy names no log: say which with --vkey <vkey>');
    return { ...policy, logs: log.logs };
  }
  if (!log) return policy;
  const same = policy.logs.filter(({ key }) =>
    log.logs.some((only) => key.name === only.key.name && toBase64(key.publicKey) === toBase64(only.key.publicKey)),
  );
  if (same.length < log.logs.length) throw new UsageError('--vkey: not a log of the policy');
  return { ...policy, logs: same };
}

/** Checks each rotation alone. Whether it starts from a trusted key is checked where it is used. */
function rotationsIn(file: Uint8Array): Rotation[] {
  return usable('--rotations', () => {
    const moves = receiptsIn(file).map((receipt) => ({ rotation: openRotationReceipt(receipt) }));
    const twice = replacedTwice(moves)?.map(({ rotation }) => `behind ${rotation.size} entries`);
    if (twice) throw new RotationError(`one key was replaced twice, ${twice.join(' and ')}: trust in it leads nowhere`);
    return moves.map(({ rotation }) => rotation).toSorted((a, b) => a.size - b.size);
  });
}

/** @returns oldest first */
function continuationsIn(file: Uint8Array): Continuation[] {
  return usable('--continued', () =>
    receiptsIn(file)
      .map((receipt) => openContinuationReceipt(receipt))
      .toSorted((a, b) => a.size - b.size),
  );
}

/** @returns the receipts, with null for each document of another kind */
const receiptsIn = (file: Uint8Array): unknown[] =>
  documentsIn(file).documents.map((document) => (document.kind === 'receipt' ? document.receipt : null));

const FAULTS = [NoteError, CheckpointError, PolicyError, RotationError, ContinuationError];

function usable<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (FAULTS.some((kind) => error instanceof kind)) throw new UsageError(`${option}: ${(error as Error).message}`);
    throw error;
  }
}
