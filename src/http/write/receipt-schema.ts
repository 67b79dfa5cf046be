/** Receipts as answers carry them. */
import type { Receipt } from '../../ledger/core/record/receipt.js';
import { z } from 'zod';
import type { ReceiptState } from '../../ledger/core/tlog/policy.js';
import { asciiText, JSON_TEXT } from '../body/answer-text.js';

const base64 = z.string().describe('base64');

export const receipt = z
  .object({
    v: z.literal(1),
    log: z.string().describe('origin of the log'),
    index: z.number().int().describe('log index of the entry'),
    entry: base64.describe('the bytes that are hashed, base64'),
    proof: z.array(base64).readonly().describe('RFC 6962 inclusion proof, base64'),
    checkpoint: z.string().describe('C2SP tlog-checkpoint in a signed note'),
    payload: base64.optional(),
    salt: base64.optional(),
    state: z
      .enum(['committed', 'witnessed'])
      .describe("whether the quorum of the service's witnesses has cosigned the checkpoint; your own policy decides"),
  })
  .meta({ title: 'Receipt', description: 'Can be checked offline with nothing but the log’s verifier key' });

/** What every write answers beside the new state. */
export const receipts = {
  receipt: receipt.describe('of the last event of this write'),
  receipts: z.array(receipt).optional().describe('of all its events, when there are several'),
};

/** A receipt as it is answered. */
export type AnsweredReceipt = Receipt & { readonly state: ReceiptState; readonly [JSON_TEXT]?: string };
export type Receipts = { receipt: AnsweredReceipt; receipts?: AnsweredReceipt[] };

export function receiptsOf(all: readonly Receipt[]): Receipts {
  // The batch's own checkpoint: nobody but the log has signed it yet.
  const answered = all.map((one) => ({ state: 'committed' as const, [JSON_TEXT]: textOf(one), ...one }));
  const last = answered.at(-1);
  if (!last) throw new Error('a write without an event has no receipt');
  return answered.length > 1 ? { receipt: last, receipts: answered } : { receipt: last };
}

/** Base64 that the ledger made has no character to escape. */
function textOf({ v, log, index, entry, proof, checkpoint, payload, salt }: Receipt): string {
  const hashes = proof.length === 0 ? '' : `"${proof.join('","')}"`;
  const disclosed =
    (payload === undefined ? '' : `"payload":"${payload}",`) + (salt === undefined ? '' : `"salt":"${salt}",`);
  return `{"v":${v},"log":${asciiText(log)},"index":${index},"entry":"${entry}","proof":[${hashes}],"checkpoint":${noteText(checkpoint)},${disclosed}"state":"committed"}`;
}

let lastNote = '';
let lastNoteText = '""';

/** All receipts of a batch carry one checkpoint. */
function noteText(checkpoint: string): string {
  if (checkpoint !== lastNote) {
    lastNoteText = asciiText(checkpoint);
    lastNote = checkpoint;
  }
  return lastNoteText;
}
