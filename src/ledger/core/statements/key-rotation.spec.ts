import { describe, expect, it } from 'vitest';
import { toBase64 } from '../bytes.js';
import { formatCheckpoint } from '../tlog/checkpoint.js';
import { commit, parsePayload } from '../record/commitment.js';
import { encodeEntry, entryTime, LOG_CHAIN, ZERO32 } from '../record/entry.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import { GrowingTree } from '../tlog/merkle.js';
import { ed25519Signer, type NoteSigner, parseVerifierKey, signNote } from '../tlog/note.js';
import {
  formatRotation,
  LOG_KEY_ROTATED,
  openRotation,
  openRotationReceipt,
  passedOn,
  policyFor,
  replacedTwice,
  type Rotation,
} from './key-rotation.js';
import { logOnly, logsOnly } from '../tlog/policy.js';

const LOG = 'log.example/a';
const signer = (seed: number, name = LOG) => ed25519Signer(name, new Uint8Array(32).fill(seed));
const [OLD, NEW, THIRD] = [signer(1), signer(2), signer(3)];
const BEFORE = 5;
const tree = () => {
  const growing = new GrowingTree(nobleHasher);
  for (let n = 0; n < BEFORE; n++) growing.append(nobleHasher.leaf(Uint8Array.of(n)));
  return growing;
};

const good: Rotation = { origin: LOG, from: OLD.vkey, to: NEW.vkey, size: BEFORE, root: tree().root() };

function statement(rotation: Rotation, signers: readonly NoteSigner[] = [OLD, NEW], over: object = {}) {
  const { from, to } = rotation;
  return { from, to, statement: signNote(formatRotation(rotation), signers), ...over };
}

/** The receipt of the event, as the log makes it. */
function receipt(
  data: object,
  { signers = [OLD, NEW] as NoteSigner[], chain = LOG_CHAIN, type = LOG_KEY_ROTATED } = {},
) {
  const [derived, instant] = [{}, '2026-01-01T00:00:00.000Z'];
  const actor = { id: 'system', org: null, role: 'system' };
  const text = jcs({ actor, data, derived, kind: 'log', occurredAt: instant, recordedAt: instant, type });
  const salt = new Uint8Array(32).fill(9);
  const { commitment } = commit(nobleHasher, salt, parsePayload(text));
  const time = entryTime(Date.parse(instant));
  const entry = encodeEntry({ chain, commitment, log: LOG, prev: ZERO32, seq: 0, time });
  const grown = tree();
  const index = grown.append(nobleHasher.leaf(entry));
  return {
    v: 1 as const,
    log: LOG,
    index,
    entry: toBase64(entry),
    proof: grown.inclusion(index).map((hash) => toBase64(hash)),
    checkpoint: signNote(formatCheckpoint({ origin: LOG, size: grown.size, root: grown.root() }), signers),
    payload: toBase64(new TextEncoder().encode(text)),
    salt: toBase64(salt),
  };
}

describe("a statement of a log's new key", () => {
  it('comes back', () => {
    expect(openRotation(statement(good))).toEqual(good);
  });

  it.each<[string, unknown, RegExp]>([
    ['nothing', null, /not there/],
    ['no statement', { from: OLD.vkey, to: NEW.vkey }, /not there/],
    ['the new key alone', statement(good, [NEW]), /has not signed/],
    ['the old key alone', statement(good, [OLD]), /has not signed/],
    ['another key in the place of the old one', statement(good, [THIRD, NEW]), /has not signed/],
    ['other keys than it states', statement(good, [OLD, NEW, THIRD], { to: THIRD.vkey }), /other keys/],
    ['the old key as the new one', statement({ ...good, to: OLD.vkey }, [OLD]), /./],
    ['a key of another log', statement({ ...good, to: signer(2, 'b').vkey }, [OLD, signer(2, 'b')]), /another log/],
    ['what is no key', statement(good, [OLD, NEW], { from: 'a+b+c' }), /./],
    ['a size that is none', statement({ ...good, size: -1 }), /no tree/],
    ['a root that is none', statement({ ...good, root: new Uint8Array(31) }), /no tree/],
    [
      'another text',
      statement(good, [OLD, NEW], { statement: signNote(`${formatRotation(good)}more\n`, [OLD, NEW]) }),
      /not a statement/,
    ],
  ])('is not one with %s', (_, data, why) => {
    expect(() => openRotation(data)).toThrow(why);
  });
});

describe('the receipt of a new key', () => {
  it('holds under the checkpoint that both have signed', () => {
    expect(openRotationReceipt(receipt(statement(good)))).toEqual(good);
  });

  it.each<[string, unknown, RegExp]>([
    ['a checkpoint by the old key alone', receipt(statement(good), { signers: [OLD] }), /has not signed/],
    ['a checkpoint by the new key alone', receipt(statement(good), { signers: [NEW] }), /has not signed/],
    ['another tree before it', receipt(statement({ ...good, root: new Uint8Array(32) })), /another tree/],
    ['another place', receipt(statement({ ...good, size: BEFORE - 1 })), /not the one behind it/],
    ['another chain', receipt(statement(good), { chain: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02' }), /not an event/],
    ['another type', receipt(statement(good), { type: 'actor-key.enrolled/1' }), /not an event/],
    [
      'another entry',
      { ...receipt(statement(good)), entry: receipt(statement(good), { type: 'x/1' }).entry },
      /inclusion|payload/,
    ],
    ['no payload', { ...receipt(statement(good)), payload: undefined }, /not a receipt/],
    ['what is no receipt', 'receipt', /not a receipt/],
  ])('does not hold with %s', (_, document, why) => {
    expect(() => openRotationReceipt(document)).toThrow(why);
  });
});

describe('trust', () => {
  const first = good;
  const second: Rotation = { ...good, from: NEW.vkey, to: THIRD.vkey, size: 20 };
  const note = (size: number): string =>
    signNote(formatCheckpoint({ origin: LOG, size, root: new Uint8Array(32) }), [OLD]);

  it.each<[string, string[], string[]]>([
    ['the first key', [OLD.vkey], [NEW.vkey, THIRD.vkey]],
    ['the second', [NEW.vkey], [THIRD.vkey]],
    ['the newest', [THIRD.vkey], []],
    ['another log', [signer(4).vkey], []],
    ['all', [OLD.vkey, NEW.vkey, THIRD.vkey], []],
  ])('passes on from %s, never back', (_, pinned, passed) => {
    expect(passedOn(pinned, [first, second]).map(({ to }) => to)).toEqual(passed);
  });

  it('does not pass on along a rotation whose old key nobody trusts', () => {
    expect(passedOn([OLD.vkey], [second])).toEqual([]);
  });

  it.each<[number, string[]]>([
    [0, ['old', 'new', 'third']],
    [6, ['old', 'new', 'third']],
    [7, ['new', 'third']],
    [21, ['new', 'third']],
    [22, ['third']],
  ])('of a tree of %i entries is in keys that had not been replaced', (size, expected) => {
    const names = new Map([OLD, NEW, THIRD].map(({ keyId }, at) => [String(keyId), ['old', 'new', 'third'][at]]));
    const { logs } = policyFor(logOnly(parseVerifierKey(OLD.vkey)), [first, second], note(size));
    expect(logs.map(({ key }) => names.get(String(key.keyId)))).toEqual(expected);
  });

  it.each<[string, Rotation[], boolean]>([
    ['each once', [first, second], false],
    ['the same once more', [first, second, first], false],
    ['by another key', [first, { ...first, to: THIRD.vkey }], true],
    ['in another tree', [first, second, { ...first, size: 30 }], true],
  ])('leads nowhere where a key was replaced twice: %s', (_, rotations, twice) => {
    expect(replacedTwice(rotations.map((rotation) => ({ rotation }))) !== null).toBe(twice);
  });

  it('stays as it is without a rotation, or where it begins elsewhere', () => {
    const policy = logsOnly([OLD, NEW].map(({ vkey }) => parseVerifierKey(vkey)));
    expect(policyFor(policy, [], note(50))).toBe(policy);
    const elsewhere = logOnly(parseVerifierKey(signer(4).vkey));
    expect(policyFor(elsewhere, [first, second], note(50))).toEqual(elsewhere);
  });
});
