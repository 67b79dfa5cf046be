/** The lines of the README's table: what somebody with root may do, and who catches it. */
import type { Party } from './parties.js';

export interface LineOf {
  /** Goes on from "somebody with root on the server …". */
  readonly does: string;
  /** For people. */
  readonly caughtBy: string;
  /** Each attack of the line is caught by one of them at least. */
  readonly parties: readonly Party[];
  /** Whom the text names besides: each of them catches some attack of the line. */
  readonly also?: readonly Party[];
}

/** In the order of the table. */
export const LINES = {
  entries: {
    does: 'edits, deletes, reorders or inserts an entry; grafts one chain on another',
    caughtBy: 'anyone who rebuilds the root (`verify`, also on an export)',
    parties: ['verify'],
  },
  payloads: {
    does: 'edits, swaps or deletes a payload, a snapshot or a read-model row',
    caughtBy: 'its salted commitment and the refolded state (`verify`)',
    parties: ['verify'],
  },
  tiles: {
    does: 'forges a tile, or serves what is no checkpoint of the log',
    caughtBy: 'anyone who rebuilds the root (`verify`); a receipt; `follow` and a witness for the checkpoint',
    parties: ['root rebuild'],
    also: ['receipt', 'follow', 'witness'],
  },
  history: {
    does: 'does any of this and re-signs everything with the right key; truncates the log',
    caughtBy:
      "an auditor's `follow`, within one look, with evidence; a witness quorum; what neither had seen yet, a receipt",
    parties: ['follow', 'receipt'],
    also: ['witness'],
  },
  fork: {
    does: 'forks the log: shows one auditor this and another one that',
    caughtBy: 'a witness quorum; two auditors who compare (`follow`), with evidence that convicts',
    parties: ['two followers'],
    also: ['witness'],
  },
  backup: {
    does: 'sets the database back',
    caughtBy: 'the head file at the next start (`verify`), any kept receipt or checkpoint',
    parties: ['receipt'],
    also: ['verify', 'follow', 'witness'],
  },
  replay: {
    does: 'serves an old checkpoint as the newest',
    caughtBy: 'whoever has seen a newer one: `follow`, a witness, a receipt',
    parties: ['follow'],
    also: ['witness', 'receipt'],
  },
  witnesses: {
    does: 'drops a witness, or counts one twice',
    caughtBy: 'whoever holds the policy file: its quorum counts distinct keys',
    parties: ['policy'],
  },
  withheld: {
    does: 'withholds an entry from somebody who holds its receipt',
    caughtBy: 'their receipt beside the signed chain head (`audit proof`)',
    parties: ['chain head'],
  },
  withdrawn: {
    does: 'withdraws a published checkpoint',
    caughtBy: 'whoever has kept it; `verify` where it lay between two others and the list was not mended',
    parties: ['kept checkpoint'],
    also: ['verify'],
  },
  'false erasure': {
    does: 'claims that data was erased which was not',
    caughtBy: '`verify`: an erased chain ends with an `erased` event of its own',
    parties: ['verify'],
  },
  'undone erasure': {
    does: 'brings an erased patient back from a backup',
    caughtBy: '`verify`: rows, key or snapshot of an erased chain are there again',
    parties: ['verify'],
  },
  signatures: {
    does: 'invents an event in the name of an actor who signs, or moves a signed one',
    caughtBy: "`verify`: the actor's key has not signed that statement",
    parties: ['verify'],
  },
  'log key': {
    does: "replaces the log's key without the old one, or signs on with the old one",
    caughtBy:
      '`follow`, whoever has pinned the first key (`verify`); a witness, unless it still knows the key that signs',
    parties: ['follow'],
    also: ['verify', 'witness'],
  },
  'log key twice': {
    does: "replaces the log's key twice, in two histories",
    caughtBy: '`follow`, with evidence that convicts',
    parties: ['follow'],
  },
  "actors' keys": {
    does: "revokes an actor's key, or enrols another in their name",
    caughtBy: "the log's own chain, for everybody; the actor knows their keys",
    parties: ['actor key'],
  },
} as const satisfies Record<string, LineOf>;
export type Line = keyof typeof LINES;
