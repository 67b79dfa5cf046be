import { describe, expect, it } from 'vitest';
import { goldenText, SALT } from '../../../test/fixtures/golden/events/read.js';
import { KEY_REVOKED } from '../../ledger/log-chain/actor-keys.js';
import { toBase64, utf8 } from '../../ledger/core/bytes.js';
import { commit, parsePayload } from '../../ledger/core/record/commitment.js';
import { encodeEntry, type Entry, LOG_CHAIN, ZERO32 } from '../../ledger/core/record/entry.js';
import { nobleHasher } from '../../ledger/core/hasher.js';
import { checkShown } from './log-chain.js';

const text = goldenText(KEY_REVOKED);
const { commitment } = commit(nobleHasher, SALT, parsePayload(text));
const entry: Entry = {
  chain: LOG_CHAIN,
  commitment,
  log: 'made.example/log',
  prev: ZERO32,
  seq: 0,
  time: '2026-02-12T09:00:00Z',
};
const bytes = encodeEntry(entry);
const shown = (index: number, said = text, salt: Uint8Array = SALT, of = bytes) =>
  JSON.stringify({
    items: [{ index, entry: toBase64(of), salt: toBase64(salt), payload: toBase64(utf8(said)) }],
    next: null,
  });

/** The result of the check for an event at that index when these bytes are served. */
async function outcome(index: number, file: string | null): Promise<string> {
  const asked: string[] = [];
  try {
    await checkShown(
      (path) => {
        asked.push(path);
        return Promise.resolve(file === null ? null : utf8(file));
      },
      index,
      bytes,
      entry,
    );
    return `shown by ${asked.join()}`;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('an event of the log chain', () => {
  it.each<[string, number, string | null, string]>([
    ['shown', 7, shown(7), 'shown by chain?after=6&limit=1'],
    ['shown, the first of the log', 0, shown(0), 'shown by chain?limit=1'],
    ['not shown', 7, null, 'chain?after=6&limit=1: missing'],
    [
      'another entry that commits to the same',
      7,
      shown(7, text, SALT, encodeEntry({ ...entry, time: '2026-02-12T09:01:00Z' })),
      'chain?after=6&limit=1: hash',
    ],
    ['left out', 7, shown(9), 'chain?after=6&limit=1: missing'],
    ['left out at the end', 7, '{"items":[],"next":null}', 'chain?after=6&limit=1: missing'],
    ['no page', 7, '{', 'chain?after=6&limit=1: missing'],
    ['another page', 7, '{"items":{}}', 'chain?after=6&limit=1: missing'],
    ['other words', 7, shown(7, text.replace('lost', 'left')), 'chain?after=6&limit=1: hash'],
    ['no payload', 7, shown(7, 'x'), 'chain?after=6&limit=1: hash'],
    ['another salt', 7, shown(7, text, new Uint8Array(32)), 'chain?after=6&limit=1: hash'],
    ['a salt that is too short', 7, shown(7, text, new Uint8Array(3)), 'chain?after=6&limit=1: hash'],
  ])('%s', async (_, index, file, expected) => {
    expect(await outcome(index, file)).toBe(expected);
  });
});
