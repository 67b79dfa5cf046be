import type { Receipt } from '../../ledger/core/record/receipt.js';
import { serialize } from 'node:v8';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerText, asciiText } from './answer-text.js';
import { receiptsOf } from '../write/receipt-schema.js';

const base64 = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const receipt: fc.Arbitrary<Receipt> = fc.record(
  {
    v: fc.constant(1 as const),
    log: fc.string({ unit: 'binary' }),
    index: fc.nat(),
    entry: base64,
    proof: fc.array(base64, { maxLength: 4 }),
    checkpoint: fc.string({ unit: 'binary' }).map((text) => `${text}\n\n— log AAAA\n`),
    payload: base64,
    salt: base64,
  },
  { requiredKeys: ['v', 'log', 'index', 'entry', 'proof', 'checkpoint'] },
);

/** How the engine holds a text, which it tells when it writes a value down. */
const heldAs = (text: string): number | undefined => serialize(text)[2];

describe('the text of an answer', () => {
  it('is the JSON of the same value, whatever its receipts hold', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(receipt, { minLength: 1, maxLength: 3 }), (said, all) => {
        const answer = { 'a "name"': said, absent: undefined, ...receiptsOf(all) };
        expect(JSON.parse(answerText(answer))).toEqual(JSON.parse(JSON.stringify(answer)));
      }),
    );
  });

  it('is what JSON.stringify gives where there is no receipt', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(answerText(value)).toBe(JSON.stringify(value));
      }),
    );
    expect(answerText({ receipt: null })).toBe('{"receipt":null}');
  });

  it('keeps the dash of a signed note out of the wide form', () => {
    const one = { v: 1, log: 'log', index: 0, entry: '', proof: [], checkpoint: 'log\n\n— log AAAA\n' } as const;
    const text = answerText({ prescription: { id: 'x' }, ...receiptsOf([one]) });
    expect(text).toContain(String.raw`"checkpoint":"log\n\n\u2014 log AAAA\n"`);
    expect(text).toMatch(/^[\x20-\x7e]*$/);
    expect(heldAs(text)).toBe(heldAs('narrow'));
    expect(heldAs(text)).not.toBe(heldAs('\u2014'));
  });

  it('escapes everything beyond ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (said) => {
        const text = asciiText(said);
        expect(text).toMatch(/^[\x20-\x7f]*$/);
        expect(JSON.parse(text)).toBe(said);
      }),
    );
  });
});
