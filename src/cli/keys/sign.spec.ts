import type { Receipt } from '../../ledger/core/record/receipt.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { goldenText, SALT } from '../../../test/fixtures/golden/events/read.js';
import { readFixtureText } from '../../../test/fixtures/rfc6962/vectors.js';
import { newSigner } from '../../../test/support/signer.js';
import { fromHex, toBase64, utf8 } from '../../ledger/core/bytes.js';
import { formatCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { commit, parsePayload } from '../../ledger/core/record/commitment.js';
import { disclose } from '../../ledger/core/record/disclosure.js';
import { encodeEntry, ZERO32 } from '../../ledger/core/record/entry.js';
import { nobleHasher } from '../../ledger/core/hasher.js';
import { holdsFor, parseDetachedJws } from '../../ledger/core/record/jws.js';
import { ed25519Signer, signNote } from '../../ledger/core/tlog/note.js';
import { nobleCheck, type PublicJwk, thumbprint } from '../../ledger/core/record/public-key.js';
import { type Statement, statementBytes } from '../../ledger/core/record/statement.js';
import { run } from '../program.js';
import { runCommand, testTerminal } from '../../../test/support/terminal.js';

const folder = mkdtempSync(join(tmpdir(), 'rxledger-sign-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a command line without any settings. */
const rx = (...args: string[]) => runCommand(args);
function kept(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const key = join(folder, 'mine.key');
const statement: Statement = {
  log: 'rx.example/log',
  chain: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02',
  type: 'order.cancel-requested/1',
  actor: { id: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c01', org: null, role: 'prescriber' },
  occurredAt: '2026-01-22T15:00:00.000Z',
  commandId: 'cancel-1',
  data: { note: 'é\u202e', reason: 'duplicate' },
};
const answer = kept('answer.json', JSON.stringify({ status: 422, code: 'signature.required', statement }));

describe('rxledger keys sign', () => {
  it('signs what the service asks for, and shows it', async () => {
    const { jwk } = JSON.parse((await rx('keys', 'new', 'person', key)).out) as { jwk: PublicJwk };
    expect(Object.keys(jwk)).toEqual(['kty', 'crv', 'x']);
    for (const file of [answer, kept('statement.json', JSON.stringify(statement))]) {
      const { code, out, err } = await rx('keys', 'sign', file, '--key', key);
      expect(code).toBe(0);
      expect(parseDetachedJws(out).kid).toBe(thumbprint(jwk));
      expect(holdsFor(parseDetachedJws(out), jwk, statementBytes(statement), nobleCheck)).toBe(true);
      for (const text of [statement.type, statement.chain, 'cancel-1', '    reason: "duplicate"', String.raw`\u202e`])
        expect(err).toContain(text);
      const json = JSON.parse((await rx('keys', 'sign', file, '--key', key, '--json')).out) as object;
      expect(json).toEqual({ jws: out, occurredAt: statement.occurredAt });
    }
  });

  it.each([
    ['yes', [], 0, 1],
    ['no', [], 1, 1],
    ['', [], 1, 1],
    ['no', ['--yes'], 0, 0],
  ])('on a terminal it shows the statement, asks, and is answered %j: %j', async (answered, options, code, times) => {
    const asked: string[] = [];
    const { terminal, said } = testTerminal({
      ask: (question) => {
        asked.push(`${said.err.length} ${question}`);
        return Promise.resolve(answered);
      },
    });
    await rx('keys', 'new', 'person', key);
    expect(await run(['keys', 'sign', answer, '--key', key, ...options], terminal)).toBe(code);
    expect(said.out).toHaveLength(code === 0 ? 1 : 0);
    // The ten lines of the statement come before the question.
    expect(asked).toEqual(times === 0 ? [] : ['10 Sign this statement? [y/N] ']);
    expect(said.err.slice(10)).toEqual(code === 0 ? [] : ['Nothing was signed.']);
  });

  it('shows members of members, so that nothing is read over', async () => {
    const data = { doses: [{ at: '08:00', amount: { value: '1', unit: 'tablet' } }], notes: [] };
    const { err } = await rx('keys', 'sign', kept('deep.json', JSON.stringify({ ...statement, data })), '--key', key);
    expect(err.split('\n').slice(7)).toEqual([
      '  content',
      '    doses:',
      '      -',
      '        at: "08:00"',
      '        amount:',
      '          value: "1"',
      '          unit: "tablet"',
      '    notes: []',
    ]);
  });

  it.each<[string, number, string[], RegExp]>([
    ['no key', 2, [answer], /--key <file>/],
    ['a key that is not there', 3, [answer, '--key', join(folder, 'none')], /there is no \S+none; .*keys new person/],
    ['a file that is not there', 3, [join(folder, 'none'), '--key', key], /there is no \S+none$/],
    ['no JSON', 2, [kept('text', 'x'), '--key', key], /not JSON/],
    ['no statement', 2, [kept('other.json', '{"code":"x"}'), '--key', key], /holds no statement/],
    ['more than a statement', 2, [kept('more.json', JSON.stringify({ ...statement, x: 1 })), '--key', key], /holds no/],
  ])('says %s', async (_, expected, args, words) => {
    const { code, out, err } = await rx('keys', 'sign', ...args);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(err).toMatch(words);
  });
});

const bare = ({ payload: _payload, salt: _salt, ...receipt }: Receipt): string => JSON.stringify(receipt);

describe('rxledger audit proof --actor-key', () => {
  const LOG = 'golden.example/log';
  const CHAIN = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02';
  const log = ed25519Signer(LOG, fromHex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'));
  const signed = readFixtureText('golden/signed-payload.jcs');
  const { data } = JSON.parse(goldenText('actor-key.enrolled/1')) as { data: { jwk: PublicJwk; kid: string } };

  /** The receipt of a log of that one entry. */
  function receiptOf(text: string, chain = CHAIN): string {
    const { commitment } = commit(nobleHasher, SALT, parsePayload(text));
    const entry = encodeEntry({ chain, commitment, log: LOG, prev: ZERO32, seq: 0, time: '2026-01-22T15:00:00Z' });
    const note = formatCheckpoint({ origin: LOG, size: 1, root: nobleHasher.leaf(entry) });
    const receipt: Receipt = {
      v: 1,
      log: LOG,
      index: 0,
      entry: toBase64(entry),
      proof: [],
      checkpoint: signNote(note, [log]),
      payload: toBase64(utf8(text)),
      salt: toBase64(SALT),
    };
    return JSON.stringify(receipt);
  }
  const shown = (...names: string[]): string => {
    const disclosed = disclose(nobleHasher, JSON.parse(receiptOf(signed)) as Receipt, names);
    return JSON.stringify('disclosure' in disclosed ? disclosed.disclosure : {});
  };
  const covered = ['actor', 'data', 'occurredAt', 'type'];
  const { signature: _signature, ...rest } = JSON.parse(signed) as Record<string, unknown>;
  const unsigned = JSON.stringify(rest);
  const mine = kept('mine.jwk', JSON.stringify(data.jwk));
  const theirs = kept('theirs.jwk', JSON.stringify({ keys: [newSigner('P-256').jwk] }));

  it.each<[string, string, string, string[], number]>([
    ['a signature by the key', 'holds', receiptOf(signed), ['--actor-key', mine], 0],
    [
      'what keys new printed',
      'holds',
      receiptOf(signed),
      ['--actor-key', kept('j', JSON.stringify({ keys: [data.jwk] }))],
      0,
    ],
    ['no key at hand', 'unchecked', receiptOf(signed), [], 0],
    ["somebody else's key", 'actor-signature', receiptOf(signed), ['--actor-key', theirs], 1],
    ['another chain', 'actor-signature', receiptOf(signed, CHAIN.replace('7', '8')), ['--actor-key', mine], 1],
    ['other words', 'actor-signature', receiptOf(signed.replace('duplicate', 'other')), ['--actor-key', mine], 1],
    ['no signature', 'actor-signature', receiptOf(unsigned), ['--actor-key', mine], 1],
    ['no payload', 'actor-unknown', bare(JSON.parse(receiptOf(signed)) as Receipt), ['--actor-key', mine], 1],
    ['a disclosure of it', 'holds', shown(...covered, 'signature'), ['--actor-key', mine], 0],
    ['a disclosure, no key at hand', 'unchecked', shown(...covered, 'signature'), [], 0],
    [
      "a disclosure, somebody else's key",
      'actor-signature',
      shown(...covered, 'signature'),
      ['--actor-key', theirs],
      1,
    ],
    ['a disclosure without it', 'actor-unknown', shown(...covered, 'kind'), ['--actor-key', mine], 1],
    ['a disclosure of less', 'actor-unknown', shown('type'), ['--actor-key', mine], 1],
    ['a disclosure of less, not asked for', 'none', shown('type'), [], 0],
    ['no signature, not asked for', 'none', receiptOf(unsigned), [], 0],
    ['what the server adds', 'none', receiptOf(unsigned.replace('-requested', 'led')), ['--actor-key', mine], 0],
  ])('%s: %s', async (name, state, receipt, options, expected) => {
    const file = kept(`${name}.json`, receipt);
    const { code, out } = await rx('audit', 'proof', file, '--vkey', log.vkey, '--json', ...options);
    const [result] = (JSON.parse(out) as { results: { reason?: string; signature?: { state: string } }[] }).results;
    expect([code, result?.reason ?? result?.signature?.state ?? 'none']).toEqual([expected, state]);
    const words = await rx('audit', 'proof', file, '--vkey', log.vkey, ...options);
    expect(words.out.includes(data.kid)).toBe(state === 'holds' || state === 'unchecked');
    expect(words.out.includes('not checked')).toBe(state === 'unchecked');
    expect(words.out.includes('DOES NOT HOLD')).toBe(expected === 1);
  });

  it('needs a key in the file', async () => {
    const file = kept('receipt.json', receiptOf(signed));
    for (const text of ['x', '{}', JSON.stringify({ ...data.jwk, x: 'short' })]) {
      const { code, err } = await rx('audit', 'proof', file, '--vkey', log.vkey, '--actor-key', kept('bad', text));
      expect([code, err]).toEqual([2, expect.stringContaining('--actor-key: no public key')]);
    }
  });
});
