import { describe, expect, it } from 'vitest';
import { ed25519Signer, formatVerifierKey, KEY_TYPE, parseVerifierKey } from '../../ledger/core/tlog/note.js';
import { LogListError, parseLogList, trustedLogs } from './logs.js';

const vkey = (name: string, seed = 1) => ed25519Signer(name, new Uint8Array(32).fill(seed)).vkey;
const a = vkey('a.example/log');
const b = vkey('b.example', 2);

describe('a list of logs', () => {
  it('is read in the form logs/v0', () => {
    const text = `# made by hand\n\nlogs/v0\n\n# first\nvkey ${a}\norigin none\nqpd 86400\nbastion none\ncontact a (at) a.example\n
vkey ${b}\norigin go.sum database tree\nqpd 24\ncontact b`;
    expect(parseLogList(text)).toEqual([{ vkey: a }, { vkey: b, origin: 'go.sum database tree' }]);
    expect(parseLogList('logs/v0\n')).toEqual([]);
    expect(parseLogList(`logs/v0\r\nvkey ${a}\r\n`)).toEqual([{ vkey: a }]);
  });

  it.each([
    ['without its header', `vkey ${a}\n`, /first line/],
    ['of another version', `logs/v1\nvkey ${a}\n`, /first line/],
    ['that is empty', '', /first line/],
    ['with a line before the first key', 'logs/v0\norigin x\n', /line 2/],
    ['with an unknown line', `logs/v0\nvkey ${a}\n\nkey x\n`, /line 4/],
    ['with a word alone', `logs/v0\nvkey ${a}\norigin\n`, /line 3/],
    ['with two origins', `logs/v0\nvkey ${a}\norigin x\norigin y\n`, /second origin/],
  ])('%s is refused', (_, text, message) => {
    expect(() => parseLogList(text)).toThrow(LogListError);
    expect(() => parseLogList(text)).toThrow(message);
  });

  it('names logs by their origin, with all keys of each', () => {
    const logs = trustedLogs([{ vkey: a }, { vkey: b, origin: 'a.example/log' }, { vkey: a }, { vkey: b }]);
    expect([...logs].map(([origin, { keys }]) => [origin, keys.map(({ name }) => name)])).toEqual([
      ['a.example/log', ['a.example/log', 'b.example']],
      ['b.example', ['b.example']],
    ]);
  });

  it.each(['', 'x', 'x+00000000+AA==', a.replace('+', '-'), `${a.slice(0, -1)}*`])('refuses the key %j', (key) => {
    expect(() => trustedLogs([{ vkey: key }])).toThrow(LogListError);
  });

  it("refuses a witness's key for a log's", () => {
    const cosigner = formatVerifierKey('w.example', KEY_TYPE.cosignature, parseVerifierKey(a).publicKey);
    expect(() => trustedLogs([{ vkey: cosigner }])).toThrow('not the key of a log');
  });
});
