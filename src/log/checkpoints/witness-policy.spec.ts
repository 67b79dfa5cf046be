import { describe, expect, it } from 'vitest';
import { witnessOf } from '../../../test/fixtures/witnesses.js';
import { ConfigError } from '../../config/config.js';
import { utf8 } from '../../ledger/core/bytes.js';
import { ed25519Signer } from '../../ledger/core/tlog/note.js';
import { PolicyError } from '../../ledger/core/tlog/policy.js';
import { loadWitnessPolicy, witnessPolicy } from './witness-policy.js';

const LOG = ed25519Signer('log.example/a', new Uint8Array(32).fill(11)).vkey;
const OTHER = ed25519Signer('log.example/a', new Uint8Array(32).fill(12)).vkey;
const ELSE = ed25519Signer('log.example/b', new Uint8Array(32).fill(13)).vkey;
const [W1, W2, W3] = [1, 2, 3].map((n) => witnessOf(n).vkey);
const SELF = witnessOf(11, 'self.example').vkey;
const read = (...lines: string[]) => witnessPolicy(utf8(lines.map((line) => `${line}\n`).join('')), LOG);

describe('the policy of a log that asks its witnesses', () => {
  it('names the log, a quorum, and where the witnesses are', () => {
    const { witnesses, policy } = read(
      `log ${LOG}`,
      `witness w1 ${W1} https://w1.example/prefix/`,
      `witness w2 ${W2} http://127.0.0.1:8080`,
      `witness w3 ${W3}`,
      'group all 2 w1 w2 w3',
      'quorum all',
    );
    expect(witnesses.map(({ name, vkey, url }) => [name, vkey, url])).toEqual([
      ['w1', W1, 'https://w1.example/prefix'],
      ['w2', W2, 'http://127.0.0.1:8080'],
    ]);
    expect(policy.quorum).toBe('all');
  });

  it('may name a key of the log beside the one that signs', () => {
    const lines = [`witness w1 ${W1} https://w1.example`, 'quorum w1'];
    expect(read(`log ${OTHER}`, `log ${LOG}`, ...lines).policy.logs).toHaveLength(2);
  });

  const w1 = `witness w1 ${W1} https://w1.example`;
  it.each<[string, string[], RegExp]>([
    ['no log', [w1, 'quorum w1'], /those of one log/],
    ['another log', [`log ${OTHER}`, w1, 'quorum w1'], /not the verifier key of this log/],
    ['another log beside it', [`log ${LOG}`, `log ${ELSE}`, w1, 'quorum w1'], /those of one log/],
    [
      'the log itself',
      [`log ${LOG}`, `witness self ${SELF} https://w1.example`, 'quorum self'],
      /the key of the log itself/,
    ],
    ['no quorum line', [`log ${LOG}`, w1], /no quorum/],
    ['no quorum', [`log ${LOG}`, w1, 'quorum none'], /quorum is none/],
    ['no addresses', [`log ${LOG}`, `witness w1 ${W1}`, 'quorum w1'], /have a URL are not its quorum/],
    [
      'too few addresses',
      [`log ${LOG}`, w1, `witness w2 ${W2}`, 'group all all w1 w2', 'quorum all'],
      /have a URL are not its quorum/,
    ],
    ['no http address', [`log ${LOG}`, `witness w1 ${W1} ftp://w1.example`, 'quorum w1'], /URL of witness w1/],
    ['no address at all', [`log ${LOG}`, `witness w1 ${W1} w1.example`, 'quorum w1'], /URL of witness w1/],
    ['a password', [`log ${LOG}`, `witness w1 ${W1} https://a:b@w1.example`, 'quorum w1'], /URL of witness w1/],
    ['a query', [`log ${LOG}`, `witness w1 ${W1} https://w1.example?a`, 'quorum w1'], /URL of witness w1/],
    [
      'a witness that counts twice',
      [`log ${LOG}`, w1, `witness w2 ${W1} https://w2.example`, 'group all all w1 w2', 'quorum all'],
      /key stands above already/,
    ],
    [
      'a witness that counts twice, by another name of its key',
      [
        `log ${LOG}`,
        w1,
        `witness w2 ${witnessOf(1, 'x').vkey} https://w2.example`,
        'group all all w1 w2',
        'quorum all',
      ],
      /key stands above already/,
    ],
  ])('is refused with %s', (_, lines, why) => {
    expect(() => read(...lines)).toThrow(PolicyError);
    expect(() => read(...lines)).toThrow(why);
  });

  it('that cannot be read is a setting that does not fit', () => {
    expect(() => loadWitnessPolicy('/does/not/exist', LOG)).toThrow(ConfigError);
    expect(() => loadWitnessPolicy('/does/not/exist', LOG)).toThrow('WITNESS_POLICY: there is no /does/not/exist');
    expect(() => loadWitnessPolicy(import.meta.filename, LOG)).toThrow(ConfigError);
  });
});
