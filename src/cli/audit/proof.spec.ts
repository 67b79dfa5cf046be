import type { Receipt } from '../../ledger/core/record/receipt.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { chainHeadKeyName, formatChainHead } from '../../ledger/core/statements/chain-head-note.js';
import { fromBase64, fromHex, toBase64, utf8 } from '../../ledger/core/bytes.js';
import { nobleHasher } from '../../ledger/core/hasher.js';
import { ed25519Signer, signNote } from '../../ledger/core/tlog/note.js';
import { encodeTlogProof } from '../../ledger/core/tlog/tlog-proof.js';
import { readFixture, readFixtureText } from '../../../test/fixtures/rfc6962/vectors.js';
import { cosign, witnessOf } from '../../../test/fixtures/witnesses.js';
import { goodEntries, MADE_VKEY, type MadeRotation, ORIGIN, rotatedLog } from '../../../test/support/made-log.js';
import { CHAIN_MODELS } from '../../chain-models.js';
import { runCommand } from '../../../test/support/terminal.js';
import { SIGNABLE } from './check-document.js';

const folder = mkdtempSync(join(tmpdir(), 'rxledger-proof-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** @returns the path of a new file */
function kept(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const golden = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/golden/${name}`, import.meta.url));

/** Runs `rxledger audit proof` with only these files, and with settings that must not be used. */
const verify = (...args: string[]) =>
  runCommand(['audit', 'proof', ...args], { DATA_DIR: '/nowhere', DATABASE_URL: 'nonsense' });

const receipt = readFixture<Receipt>('golden/receipt.jcs');
const vkey = readFixtureText('golden/vkey.txt');
const headVkey = readFixtureText('golden/chain-head-vkey.txt');
const log = receipt.log;
const chain = 'f47ac10b-58cc-4372-a567-0e02b2c3d479';
const headSigner = ed25519Signer(
  chainHeadKeyName(log),
  fromHex('202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f'),
);
const [w1, w2, w3] = [witnessOf(1), witnessOf(2), witnessOf(3)];
const policyText = (...first: string[]) =>
  [
    ...first,
    ...[w1, w2, w3].map((one, at) => `witness w${at + 1} ${one.vkey}`),
    'group two 2 w1 w2 w3',
    'quorum two',
    '',
  ].join('\n');
const policy = kept('policy.txt', policyText(`log ${vkey}`));
const cosigned = (...by: (typeof w1)[]): Receipt => ({
  ...receipt,
  checkpoint: by.reduce((note, one) => cosign(note, one, 1_700_000_000n), receipt.checkpoint),
});
const head = (seq: number, size: number, leaf: Uint8Array) =>
  signNote(formatChainHead({ origin: log, chain, seq, leaf, size }), [headSigner]);
const leaf = nobleHasher.leaf(fromBase64(receipt.entry));
const other = new Uint8Array(32).fill(7);
const TLOG_PROOF = encodeTlogProof({
  index: 1,
  proof: receipt.proof.map(fromBase64),
  checkpoint: receipt.checkpoint,
});
const deep = `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;

describe('rxledger audit proof', () => {
  it.each<[string, string, string[]]>([
    ['a receipt', JSON.stringify(receipt), []],
    ['a receipt with white space', JSON.stringify(receipt, null, 2), []],
    ['a receipt that says more of itself', JSON.stringify({ ...receipt, state: 'witnessed' }), []],
    ['an answer', JSON.stringify({ prescription: { id: chain }, token: 'x', receipt }), ['prescription', 'token']],
    ['an answer with all receipts', JSON.stringify({ receipt, receipts: [receipt] }), []],
  ])('%s: says what was shown', async (_, text, beside) => {
    const file = kept('receipt.json', text);
    const { code, out, err } = await verify(file, '--vkey', vkey, '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual({
      ok: true,
      results: [
        {
          file,
          kind: 'receipt',
          ok: true,
          state: 'committed',
          log,
          size: 3,
          index: 1,
          entry: { chain, seq: 1, time: '2026-03-10T12:35:00Z' },
          witnesses: [],
          payload: expect.objectContaining({ type: 'example.recorded/1' }),
        },
      ],
      unchecked: beside.length > 0 ? [{ file, members: beside }] : [],
      comparisons: [],
    });
    const words = await verify(file, '--vkey', vkey);
    for (const part of ['holds: ', 'committed: ', chain, 'seq 1', 'index 1', 'example.recorded/1']) {
      expect(words.out).toContain(part);
    }
  });

  it.each<[string, object]>([
    ['an empty list', { items: [] }],
    ['an empty page', { items: [], next: null }],
    ['no receipts', { receipts: [] }],
    ['nothing', {}],
  ])('%s proves nothing', async (_, document) => {
    const { code, out } = await verify(kept('nothing.json', JSON.stringify(document)), '--vkey', vkey, '--json');
    expect({ code, ...JSON.parse(out) }).toMatchObject({
      code: 1,
      ok: false,
      results: [{ ok: false, reason: 'form' }],
    });
  });

  it('an answer whose own receipt is none of its receipts: checks that, too', async () => {
    const answer = { receipt: { ...receipt, index: 0 }, receipts: [receipt], note: 'said' };
    const { code, out } = await verify(kept('two.json', JSON.stringify(answer)), '--vkey', vkey, '--json');
    expect({ code, oks: JSON.parse(out).results.map(({ ok }: { ok: boolean }) => ok) }).toEqual({
      code: 1,
      oks: [true, false],
    });
  });

  it.each<[string, object, string[]]>([
    ['a note that is none', { receipt, note: 'status: dispensed' }, ['note']],
    ['items beside a receipt', { receipt, items: [{ status: 'dispensed' }] }, ['items']],
    ['receipts that are none', { receipt, receipts: 'evil' }, ['receipts']],
    ['members in a bare receipt', { ...receipt, prescription: { status: 'dispensed' } }, ['prescription']],
    ['members in a receipt', { receipt: { ...receipt, quantity: '60' } }, ['receipt.quantity']],
    ['members in an item', { items: [{ ...receipt, quantity: '60' }], next: null }, ['next', 'receipt.quantity']],
  ])('names %s, which nobody checks', async (_, document, members) => {
    const { code, out } = await verify(kept('more.json', JSON.stringify(document)), '--vkey', vkey, '--json');
    expect({ code, unchecked: JSON.parse(out).unchecked }).toMatchObject({ code: 0, unchecked: [{ members }] });
  });

  it('checks a chain head that stands beside a receipt', async () => {
    const note = head(1, 3, other);
    const file = kept('both.json', JSON.stringify({ receipt, note }));
    const { code, out } = await verify(file, '--vkey', vkey, '--chain-head-vkey', headVkey, '--json');
    expect({ code, ...JSON.parse(out) }).toMatchObject({ code: 1, comparisons: [{ comparison: 'differs' }] });
  });

  it('says what stands beside the proof and is not checked', async () => {
    const answer = { prescription: { quantity: '60' }, receipt };
    const { code, out } = await verify(kept('edited.json', JSON.stringify(answer)), '--vkey', vkey);
    expect(code).toBe(0);
    expect(out).toMatch(/^not checked in .*edited\.json: prescription$/m);
  });

  it('a receipt without its payload: says that it is not disclosed', async () => {
    const { payload: _payload, salt: _salt, ...bare } = receipt;
    const { code, out } = await verify(kept('bare.json', JSON.stringify(bare)), '--vkey', vkey);
    expect(code).toBe(0);
    expect(out).toContain('payload not disclosed');
  });

  it('a quorum: by whom and when, or that it is missing', async () => {
    const file = kept('cosigned.json', JSON.stringify(cosigned(w3, w1)));
    const { code, out } = await verify(file, '--policy', policy, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out).results[0]).toMatchObject({
      state: 'witnessed',
      witnesses: [
        { name: 'w1', key: 'witness.example/w1', time: '2023-11-14T22:13:20Z' },
        { name: 'w3', key: 'witness.example/w3', time: '2023-11-14T22:13:20Z' },
      ],
    });
    expect((await verify(file, '--policy', policy)).out).toContain('cosigned by w1 (witness.example/w1) at 2023-11-14');
    const few = await verify(kept('few.json', JSON.stringify(cosigned(w3, w3))), '--policy', policy);
    expect(few.code).toBe(1);
    expect(few.out).toContain('DOES NOT HOLD (quorum)');
    const noLog = kept('no-log.txt', policyText());
    expect(await verify(file, '--policy', noLog, '--vkey', vkey)).toMatchObject({ code: 0 });
    expect(await verify(file, '--policy', policy, '--vkey', vkey)).toMatchObject({ code: 0 });
  });

  it.each<[string, string, string | Uint8Array]>([
    ['form', 'an empty file', ''],
    ['form', 'no JSON', 'Dear all'],
    ['form', 'no object', '[]'],
    ['form', 'an object of something else', '{"a":1}'],
    ['form', 'a receipt that is none', '{"receipt":null}'],
    ['form', 'octets that are no UTF-8', Uint8Array.of(0xff)],
    ['form', 'an answer with another note', '{"note":"x"}'],
    ['form', 'a tlog-proof, which says nothing without its entry', TLOG_PROOF],
    ['form', 'a payload without its salt', JSON.stringify({ ...receipt, salt: undefined })],
    [
      'checkpoint',
      'another size',
      JSON.stringify({ ...receipt, checkpoint: receipt.checkpoint.replace('\n3\n', '\n4\n') }),
    ],
    ['log', 'another log', JSON.stringify({ ...receipt, log: 'else.example/log' })],
    ['entry', 'no entry', JSON.stringify({ ...receipt, entry: toBase64(utf8('{}')) })],
    ['inclusion', 'another index', JSON.stringify({ ...receipt, index: 0 })],
    ['payload', 'a payload nested deeply', JSON.stringify({ ...receipt, payload: toBase64(utf8(deep)) })],
    ['payload', 'another payload', JSON.stringify({ ...receipt, payload: toBase64(utf8('{}')) })],
  ])('does not hold: %s, of %s', async (reason, _, content) => {
    const file = kept('broken.json', content);
    const { code, out, err } = await verify(file, '--vkey', vkey, '--json');
    expect({ code, err }).toEqual({ code: 1, err: '' });
    expect(JSON.parse(out)).toMatchObject({ ok: false, results: [{ file, ok: false, reason }], comparisons: [] });
    expect((await verify(file, '--vkey', vkey)).out).toContain(`DOES NOT HOLD (${reason})`);
  });

  it('one receipt of several that does not hold is named', async () => {
    const receipts = [receipt, { ...receipt, index: 2 }];
    const { code, out } = await verify(kept('two.json', JSON.stringify({ receipt, receipts })), '--vkey', vkey);
    expect(code).toBe(1);
    expect(out).toMatch(/holds: .*two\.json \(1 of 2\)/);
    expect(out).toMatch(/\(inclusion\) {2}.*two\.json \(2 of 2\)/);
  });

  it('chain heads, as notes and in their answers', async () => {
    const note = readFixtureText('golden/chain-head.note');
    for (const file of [golden('chain-head.note'), kept('head.json', JSON.stringify({ chain, note }))]) {
      const { code, out } = await verify(file, '--chain-head-vkey', headVkey, '--json');
      expect(code).toBe(0);
      expect(JSON.parse(out).results).toMatchObject([{ kind: 'chain-head', ok: true, chain, seq: 1, size: 3 }]);
    }
    const forged = kept('forged.note', note.replace('\n1\n', '\n0\n'));
    expect((await verify(forged, '--chain-head-vkey', headVkey)).out).toContain('(signature)');
  });

  it.each<[string, number, string]>([
    ['agrees', 0, head(1, 3, leaf)],
    ['withheld', 1, head(0, 3, other)],
    ['withheld', 1, head(0, 2, other)],
    ['older', 0, head(0, 1, other)],
    ['differs', 1, head(1, 3, other)],
  ])('compares a receipt with a chain head: %s', async (comparison, expected, note) => {
    const [mine, theirs] = [kept('mine.json', JSON.stringify(receipt)), kept('theirs.note', note)];
    const { code, out } = await verify(mine, theirs, '--vkey', vkey, '--chain-head-vkey', headVkey, '--json');
    expect(code).toBe(expected);
    expect(JSON.parse(out)).toMatchObject({
      ok: expected === 0,
      comparisons: [{ receipt: mine, against: theirs, chain, comparison }],
    });
  });

  it('knows what actors sign as the ledger does', () => {
    const signed = CHAIN_MODELS.flatMap(({ kind, signable }) => (signable ? [[kind, signable] as const] : []));
    expect(SIGNABLE).toEqual(new Map(signed));
  });

  it('shows a terminal nothing that would move its cursor', async () => {
    const { out } = await verify(kept('e\u001b[2J\u202e.json', ''), '--vkey', vkey);
    for (const character of ['\u001b', '\u202e']) expect(out).not.toContain(character);
    expect(out).toContain('\\u{1b}');
  });

  const mine = kept('given.json', JSON.stringify(receipt));
  it.each<[string, number, string[], RegExp]>([
    ['no file', 2, ['--vkey', vkey], /missing required argument/],
    ['nothing to trust', 2, [mine], /--vkey <vkey> or --policy/],
    ['no verifier key', 2, [mine, '--vkey', 'x'], /--vkey: /],
    ['a witness’s key', 2, [mine, '--vkey', w1.vkey], /--vkey: not a log's verifier key .*`rxledger log vkey`/],
    ['no policy', 2, [mine, '--policy', mine], /--policy: line 1: /],
    ['a policy without a log', 2, [mine, '--policy', kept('nobody.txt', 'quorum none\n')], /names no log/],
    [
      'a key that the policy does not name',
      2,
      [mine, '--policy', policy, '--vkey', headVkey],
      /not a log of the policy/,
    ],
    ['a chain head without its key', 2, [golden('chain-head.note')], /--chain-head-vkey/],
    ['a log’s key for a chain head', 2, [golden('chain-head.note'), '--chain-head-vkey', vkey], /--chain-head-vkey: /],
    ['a file that is not there', 3, [join(folder, 'none.json'), '--vkey', vkey], /there is no \S+none\.json/],
    ['a folder', 3, [folder, '--vkey', vkey], /EISDIR/],
    ['a policy that is not there', 3, [mine, '--policy', join(folder, 'none.txt')], /there is no \S+none\.txt/],
  ])('says %s: %i', async (_, expected, args, words) => {
    const { code, out, err } = await verify(...args);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(err).toMatch(words);
  });

  it('has help with examples and exit codes', async () => {
    const { code, out } = await verify('--help');
    expect(code).toBe(0);
    for (const text of ['Examples:', '$ rxledger audit proof', '--json', 'Exit codes:', 'quorum']) {
      expect(out).toContain(text);
    }
  });

  it('takes no rotations by which one key was replaced twice', async () => {
    const [ours, stolen] = [8, 9].map((seed) => ed25519Signer(ORIGIN, new Uint8Array(32).fill(seed)));
    const logs = [
      [10, ours],
      [20, stolen],
    ].map(([at, to]) => rotatedLog([...goodEntries(30, 3)], { at, to } as MadeRotation));
    const items = logs.flatMap((made) => (JSON.parse(made.rotations()) as { items: Receipt[] }).items);
    const document = kept('event.json', JSON.stringify(items[1]));
    const along = (...some: Receipt[]) =>
      verify(document, '--vkey', MADE_VKEY, '--rotations', kept('along.json', JSON.stringify({ items: some })));
    expect(await along(items[1]!)).toMatchObject({ code: 0 });
    expect(await along(items[1]!, items[1]!)).toMatchObject({ code: 0 });
    expect(await along(...items)).toMatchObject({ code: 2, err: expect.stringContaining('replaced twice') });
  });
});
