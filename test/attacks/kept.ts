import type { PublicJwk } from '../../src/ledger/core/record/public-key.js';
import type { Receipt } from '../../src/ledger/core/record/receipt.js';

/** What others got from the honest log and kept, out of the operator's reach. */
export interface Kept {
  /** The log's verifier key, pinned in the beginning. */
  readonly vkey: string;
  /** The events by which that key was replaced since, as the log showed them to whoever has seen them. */
  readonly rotations: readonly Receipt[];
  /** The verifier key of its chain heads, pinned. */
  readonly chainHeads: string;
  /** A published checkpoint: the auditor has followed up to it, and the witnesses have cosigned none that is later. */
  readonly checkpoint: string;
  /** Receipts of the target's entries and of the log's last one, as the writes answered them. */
  readonly receipts: readonly Receipt[];
  /** Whose the target is. */
  readonly patient: string;
  /** Who signs, and the key as the actor gave it. */
  readonly actor: { readonly account: string; readonly kid: string; readonly jwk: PublicJwk };
  /** Folder of `rxledger audit follow`. */
  readonly follower: string;
  /** Folders of three witnesses. */
  readonly witnesses: readonly string[];
  /** A policy file: two of the three must have cosigned. */
  readonly policy: string;
}
