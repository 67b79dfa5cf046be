/** Receipts as answers carry them. */
import type { Receipt } from '../../ledger/core/record/receipt.js';
import { z } from 'zod';
import type { ReceiptState } from '../../ledger/core/tlog/policy.js';
import { asciiText, JSON_TEXT } from '../body/answer-text.js';

const base64 = z.string().describe('base64');

export const receipt = z
  .object({
    v: z.literal(1),
    log: z.string().describe('name of the log (its origin)'),
    index: z.number().int().describe('number of the entry in the log, from 0'),
    entry: base64.describe('the bytes of the entry that are hashed, base64'),
    proof: z.array(base64).readonly().describe('RFC 6962 inclusion proof: hashes, base64'),
    checkpoint: z.string().describe('C2SP tlog-checkpoint in a signed note'),
    payload: base64.optional().describe('what was recorded: canonical JSON, base64'),
    salt: base64.optional().describe('base64; with it the entry proves the payload'),
    state: z
      .enum(['committed', 'witnessed'])
      .describe(
        'whether enough of the witnesses that this service asks have signed the checkpoint too; your own policy decides',
      ),
  })
  .meta({
    id: 'Receipt',
    title: 'Receipt',
    description:
      'Proves that it was recorded. Anybody can check it offline with nothing but the verifier key of the log.',
  });

/** What every write answers beside the new state. */
export const receipts = {
  receipt: receipt.describe('of this write; where it recorded several events, of the last'),
  receipts: z.array(receipt).optional().describe('of all events, where there are several'),
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
