import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, utf8 } from '../bytes.js';
import { CheckpointError, formatCheckpoint } from './checkpoint.js';
import { ed25519Signer, KEY_TYPE, NoteError, parseVerifierKey, signNote } from './note.js';
import { logOnly, openWitnessed, parsePolicy, type Policy, PolicyError, quorumOf, receiptState } from './policy.js';
import { cosign, witnessOf } from '../../../../test/fixtures/witnesses.js';

const log = ed25519Signer('rx.example/log', new Uint8Array(32).fill(21));
const vkeys = Array.from({ length: 8 }, (_, at) => witnessOf(at + 1).vkey);
const policyOf = (...lines: string[]): Policy => parsePolicy(utf8(lines.map((line) => `${line}\n`).join('')));
const witness = (name: string, at: number) => `witness ${name} ${vkeys[at]}`;

/** The example of the specification: two groups, and a group of them. */
const example = [
  `log ${log.vkey}`,
  '',
  ...[0, 1, 2].map((at) => witness(`X${at + 1}`, at)),
  'group X-witnesses 2 X1 X2 X3',
  '',
  ...[3, 4, 5].map((at) => witness(`Y${at - 2}`, at)),
  'group Y-witnesses any Y1 Y2 Y3',
  '',
  'group X-and-Y all X-witnesses Y-witnesses',
  'quorum X-and-Y',
];

/** Whether the witnesses with these numbers are a quorum. */
function met(policy: Policy, numbers: readonly number[]): boolean {
  const verified = numbers.map((n) => ({ key: parseVerifierKey(witnessOf(n).vkey), time: 1n }));
  return quorumOf(policy, verified).met;
}

describe('policy file', () => {
  it('is read as the specification has it', () => {
    expect(policyOf(...example)).toEqual({
      logs: [{ key: parseVerifierKey(log.vkey), url: null }],
      witnesses: ['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3'].map((name, at) => ({
        name,
        key: parseVerifierKey(vkeys[at]!),
        url: null,
      })),
      groups: [
        { name: 'X-witnesses', threshold: 2, members: ['X1', 'X2', 'X3'] },
        { name: 'Y-witnesses', threshold: 1, members: ['Y1', 'Y2', 'Y3'] },
        { name: 'X-and-Y', threshold: 2, members: ['X-witnesses', 'Y-witnesses'] },
      ],
      quorum: 'X-and-Y',
    });
  });

  it('may have comments, white space, URLs, lines in any order, and neither logs nor witnesses', () => {
    expect(policyOf('quorum none')).toEqual({ logs: [], witnesses: [], groups: [], quorum: null });
    const policy = policyOf(
      '  # a comment',
      `\t${witness('a', 0)}\t https://w.example/  `,
      'quorum a',
      `log ${log.vkey} https://rx.example/log`,
      '#',
      ' \t ',
      witness('b', 1),
    );
    expect(policy).toMatchObject({
      logs: [{ url: 'https://rx.example/log' }],
      witnesses: [
        { name: 'a', url: 'https://w.example/' },
        { name: 'b', url: null },
      ],
      quorum: 'a',
    });
  });

  it('has names of opaque octets: what looks alike, or is no UTF-8, stays apart', () => {
    const kelvin = policyOf(witness('K', 0), witness('\u212a', 1), 'group \u00e9 all K \u212a', 'quorum \u00e9');
    expect([met(kelvin, [1]), met(kelvin, [1, 2])]).toEqual([false, true]);
    // 0xE9 alone is not UTF-8, and is another name than `é` in UTF-8.
    const octet = Uint8Array.of(0xe9);
    const lines = [
      utf8('witness '),
      octet,
      utf8(` ${vkeys[0]}\nwitness \u00e9 ${vkeys[1]}\nquorum `),
      octet,
      utf8('\n'),
    ];
    const policy = parsePolicy(concat(...lines));
    expect([met(policy, [1]), met(policy, [2])]).toEqual([true, false]);
    const named = ed25519Signer('rx.example/\u00e9', new Uint8Array(32).fill(22));
    const both = parsePolicy(concat(utf8('# '), octet, utf8(`\nlog ${named.vkey}\nquorum none\n`)));
    expect(both.logs).toMatchObject([{ key: { name: 'rx.example/\u00e9' } }]);
  });

  it('may name 32 logs, witnesses and groups, and more', () => {
    const numbers = Array.from({ length: 200 }, (_, at) => at);
    const policy = policyOf(
      ...numbers.map((at) => `log ${ed25519Signer(`log.example/${at}`, new Uint8Array(32).fill(at)).vkey}`),
      ...numbers.map((at) => `witness w${at} ${witnessOf(at).vkey}`),
      ...numbers.map((at) => `group g${at} any w${at}`),
      `group all all ${numbers.map((at) => `g${at}`).join(' ')}`,
      'quorum all',
    );
    expect([met(policy, numbers), met(policy, numbers.slice(1))]).toEqual([true, false]);
  });

  const a = witness('a', 0);
  const b = witness('b', 1);
  it.each<[string, number | null, string[]]>([
    ['no quorum', null, [a]],
    ['two quorums', 2, ['quorum none', 'quorum none']],
    ['a quorum of nobody', 2, [a, 'quorum']],
    ['a quorum of two', 3, [a, b, 'quorum a b']],
    ['a quorum that is not defined', 2, [a, 'quorum b']],
    ['a quorum that is defined below', 1, ['quorum a', a]],
    ['an unknown line', 1, ['witnesses 2', 'quorum none']],
    ['a keyword in capitals', 1, ['Quorum none']],
    ['a name twice', 2, [a, witness('a', 1), 'quorum a']],
    ['a group with a witness’s name', 2, [a, 'group a any a', 'quorum a']],
    ['a witness called none', 1, [witness('none', 0), 'quorum none']],
    ['a group called none', 2, [a, 'group none any a', 'quorum none']],
    ['none as a member', 2, [a, 'group g any a none', 'quorum g']],
    ['a group of itself', 2, [a, 'group g any a g', 'quorum g']],
    ['groups of each other', 2, [a, 'group g any h', 'group h any g', 'quorum g']],
    ['a member that is not defined', 2, [a, 'group g any a b', 'quorum g']],
    ['a member twice in a group', 2, [a, 'group g 2 a a', 'quorum g']],
    ['a member of two groups', 4, [a, b, 'group g all a b', 'group h any a', 'quorum g']],
    ['a group without members', 2, [a, 'group g any', 'quorum a']],
    ['a group without a threshold', 2, [a, 'group g', 'quorum a']],
    ['a threshold of none', 2, [a, 'group g 0 a', 'quorum g']],
    ['a threshold above the members', 2, [a, 'group g 2 a', 'quorum g']],
    ['a threshold with a leading zero', 2, [a, 'group g 01 a', 'quorum g']],
    ['a threshold in hex', 2, [a, 'group g 0x1 a', 'quorum g']],
    ['a threshold with a sign', 2, [a, 'group g +1 a', 'quorum g']],
    ['a threshold of a word', 2, [a, 'group g most a', 'quorum g']],
    ['a threshold that is a member of objects', 2, [a, 'group g constructor a', 'quorum g']],
    ['a witness without a key', 1, ['witness a', 'quorum none']],
    ['a witness with too much', 1, [`${a} https://a.example b`, 'quorum a']],
    ['a log without a key', 1, ['log', 'quorum none']],
    ['a log with too much', 1, [`log ${log.vkey} https://a.example b`, 'quorum none']],
    ['a key with another key id', 1, [a.replace(/\+[0-9a-f]{8}\+/, '+00000000+'), 'quorum a']],
    ['a key that is none', 1, ['witness a nonsense', 'quorum a']],
    ['a log’s key for a witness', 1, [`witness a ${log.vkey}`, 'quorum a']],
    ['a witness’s key for a log', 1, [`log ${vkeys[0]}`, 'quorum none']],
    ['a log twice', 2, [`log ${log.vkey}`, `log ${log.vkey}`, 'quorum none']],
    ['a witness’s key under another name', 2, [a, `witness b ${witnessOf(1, 'other.example').vkey}`, 'quorum a']],
    [
      'a log’s key under another name',
      2,
      [`log ${log.vkey}`, `log ${ed25519Signer('b', new Uint8Array(32).fill(21)).vkey}`, 'quorum none'],
    ],
    ['a carriage return', 1, ['quorum none\r']],
    ['NUL', 2, ['quorum none', '# \0']],
    ['DEL', 2, ['quorum none', '# \u007f']],
    ['a byte order mark', 1, ['\ufeffquorum none']],
    ['another space', 1, ['quorum\u00a0none']],
  ])('refused: %s', (_, line, lines) => {
    const error = caught(() => policyOf(...lines));
    expect(error).toBeInstanceOf(PolicyError);
    expect((error as PolicyError).line).toBe(line);
  });

  it('refused: a last line without its end, an empty file, an ML-DSA-44 key', () => {
    for (const text of ['quorum none', example.join('\n'), '']) {
      expect(() => parsePolicy(utf8(text))).toThrow(PolicyError);
    }
    const mlDsa = 'w.example+00000000+BgAA';
    expect(() => policyOf(`witness a ${mlDsa}`, 'quorum none')).toThrow(/line 1: not a verifier key/);
  });

  it('is read or refused, whatever the octets', () => {
    const words = fc.constantFrom('log', 'witness', 'group', 'quorum', 'none', 'any', 'all', '1', 'a', 'b', ...vkeys);
    const lines = fc.array(fc.array(words, { maxLength: 5 }).map((line) => `${line.join(' ')}\n`));
    const file = fc.oneof(
      fc.uint8Array(),
      lines.map((all) => utf8(all.join(''))),
    );
    fc.assert(
      fc.property(file, (octets) => {
        try {
          const policy = parsePolicy(octets);
          const defined = [...policy.witnesses, ...policy.groups].map(({ name }) => name);
          expect(new Set(defined).size).toBe(defined.length);
          if (policy.quorum !== null) expect(defined).toContain(policy.quorum);
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError);
        }
      }),
    );
  });
});

describe('quorum', () => {
  it.each<[string, number[], boolean]>([
    ['two of X and one of Y', [1, 3, 5], true],
    ['all', [1, 2, 3, 4, 5, 6], true],
    ['one of X and all of Y', [1, 4, 5, 6], false],
    ['all of X', [1, 2, 3], false],
    ['nobody', [], false],
    ['one of X twice and one of Y', [1, 1, 4], false],
    ['two of X and somebody unknown', [1, 2, 8], false],
  ])('of the example, by %s: %s', (_, numbers, expected) => {
    expect(met(policyOf(...example), numbers)).toBe(expected);
  });

  it('counts keys, not names: the same name with another key, or the same key with another name, is nobody', () => {
    const policy = policyOf(witness('a', 0), 'quorum a');
    const impostor = { key: parseVerifierKey(witnessOf(2, witnessOf(1).name).vkey), time: 1n };
    const renamed = { key: parseVerifierKey(witnessOf(1, 'other.example').vkey), time: 1n };
    expect(quorumOf(policy, [impostor, renamed])).toEqual({ met: false, witnesses: [] });
  });

  it('of none is met by nobody, and makes nothing witnessed', () => {
    const policy = policyOf(witness('a', 0), 'quorum none');
    const quorum = quorumOf(policy, []);
    expect([quorum.met, receiptState(policy, quorum)]).toEqual([true, 'committed']);
  });

  it('is never lost by one more witness, and needs what the threshold says', () => {
    const everybody = fc.subarray([1, 2, 3, 4, 5, 6]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), everybody, fc.integer({ min: 1, max: 6 }), (k, numbers, more) => {
        const lines = [0, 1, 2, 3, 4, 5].map((at) => witness(`w${at}`, at));
        const policy = policyOf(...lines, `group g ${k} w0 w1 w2 w3 w4 w5`, 'quorum g');
        expect(met(policy, numbers)).toBe(numbers.length >= k);
        const nested = policyOf(...example);
        if (met(nested, numbers)) expect(met(nested, [...numbers, more])).toBe(true);
      }),
    );
  });
});

describe('a checkpoint under a policy', () => {
  const policy = policyOf(...example);
  const text = formatCheckpoint({ origin: log.name, size: 7, root: new Uint8Array(32).fill(5) });
  const note = signNote(text, [log]);

  it('is opened with those who cosigned it', () => {
    const cosigned = [1, 4, 8, 2].reduce((all, n) => cosign(all, witnessOf(n), BigInt(1000 + n)), note);
    const { checkpoint, quorum } = openWitnessed(policy, cosigned);
    expect(checkpoint).toEqual({ origin: log.name, size: 7, root: new Uint8Array(32).fill(5) });
    expect(quorum.met).toBe(true);
    expect(quorum.witnesses.map(({ name, time }) => [name, time])).toEqual([
      ['X1', 1001n],
      ['X2', 1002n],
      ['Y1', 1004n],
    ]);
    expect(receiptState(policy, quorum)).toBe('witnessed');
  });

  it('is refused without a log’s signature, with extension lines, with one bad cosignature', () => {
    const stranger = ed25519Signer('rx.example/log', new Uint8Array(32).fill(23));
    expect(() => openWitnessed(policy, signNote(text, [stranger]))).toThrow(NoteError);
    expect(() => openWitnessed(policy, cosign(signNote(text, [stranger]), witnessOf(1), 1n))).toThrow(CheckpointError);
    expect(() => openWitnessed(policy, signNote(`${text}more\n`, [log]))).toThrow(CheckpointError);
    const forged = { ...witnessOf(1), seed: new Uint8Array(32).fill(2) };
    expect(() => openWitnessed(policy, cosign(note, forged, 1n))).toThrow(NoteError);
    const foreign = text.replace('rx.example/log', 'else.example/log');
    expect(() => openWitnessed(policy, signNote(foreign, [log]))).toThrow(CheckpointError);
  });

  it('of one log alone needs no witness', () => {
    const { quorum } = openWitnessed(logOnly(parseVerifierKey(log.vkey)), cosign(note, witnessOf(1), 1n));
    expect(quorum).toEqual({ met: true, witnesses: [] });
    expect(() => logOnly({ ...parseVerifierKey(log.vkey), type: KEY_TYPE.cosignature })).toThrow(CheckpointError);
  });
});

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
