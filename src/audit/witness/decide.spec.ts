import { beforeAll, describe, expect, it } from 'vitest';
import { fromBase64, toBase64, utf8 } from '../../ledger/core/bytes.js';
import { emptyRoot } from '../../ledger/core/tlog/merkle.js';
import { ed25519Signer, openNote, parseVerifierKey, signNote } from '../../ledger/core/tlog/note.js';
import { flipped, requestOf, TestLog } from '../../../test/int/witness-support.js';
import { CLOCK_SLACK_SECONDS, cosignatureTime, decide, provesFork } from './decide.js';
import { trustedLogs } from './logs.js';
import { readSubmission } from './submission.js';

const log = new TestLog('log.example/a').append(...Array.from({ length: 9 }, (_, at) => `entry ${at}`));
const other = new TestLog('log.example/b', 2).append('b');
const stranger = new TestLog('log.example/stranger', 3).append('c');
const logs = trustedLogs([{ vkey: log.vkey }, { vkey: other.vkey }]);
const read = (body: string) => readSubmission(utf8(body), logs);

const line = (note: string) => note.slice(note.lastIndexOf('\n\n') + 2);

/** The signature line of a note, with a bit flipped in the signature. */
const forged = (note: string) => {
  const [dash, name, blob] = line(note).trimEnd().split(' ');
  const bytes = fromBase64(blob!);
  bytes[20]! ^= 1;
  return `${dash} ${name} ${toBase64(bytes)}\n`;
};

/** The decision on a request, given the size of the checkpoint that was cosigned last (null: none). */
async function answer(body: string, size: number | null, by = log) {
  const submission = read(body);
  if ('status' in submission) return submission;
  return decide(size === null ? null : { size, root: await by.root(size) }, submission) ?? 'cosign';
}

describe('a request that is well formed', () => {
  const cases: [what: string, stored: number | null, body: () => Promise<string>, expected: unknown][] = [
    ['first checkpoint', null, () => log.request(0, 5), 'cosign'],
    ['first checkpoint, of the empty tree', null, () => log.request(0, 0), 'cosign'],
    ['empty tree again', 0, () => log.request(0, 0), 'cosign'],
    ['from the empty tree', 0, () => log.request(0, 4), 'cosign'],
    ['growth', 5, () => log.request(5, 9), 'cosign'],
    ['growth from a complete tree', 4, () => log.request(4, 9), 'cosign'],
    ['the same again', 5, () => log.request(5, 5), 'cosign'],
    ['unknown origin', null, () => stranger.request(0), { status: 404, reason: 'unknown log' }],
    ['stale', 5, () => log.request(4, 9), { status: 409, size: 5 }],
    ['asking for the size', 5, () => log.request(0, 9), { status: 409, size: 5 }],
    ['older than what was cosigned', 5, () => log.request(3, 4), { status: 409, size: 5 }],
    ['from a size that was never cosigned', null, () => log.request(4, 9), { status: 409, size: 0 }],
    ['old size beyond the checkpoint', 9, () => log.request(9, 5), { status: 400 }],
    ['old size beyond the checkpoint, and stale', 3, () => log.request(9, 5), { status: 400 }],
    ['no proof', 5, async () => requestOf(5, [], await log.checkpoint(9)), { status: 422 }],
    ['a proof from zero', null, async () => requestOf(0, await log.proof(5), await log.checkpoint(9)), { status: 422 }],
    [
      'a proof from the stored zero',
      0,
      async () => requestOf(0, [emptyRoot], await log.checkpoint(9)),
      { status: 422 },
    ],
    [
      'a proof for the same size',
      5,
      async () => requestOf(5, [await log.root(5)], await log.checkpoint(5)),
      { status: 422 },
    ],
    [
      'another proof',
      5,
      async () => requestOf(5, (await log.proof(5)).map(flipped), await log.checkpoint(9)),
      { status: 422 },
    ],
    [
      'a hash too many',
      5,
      async () => requestOf(5, [...(await log.proof(5)), emptyRoot], await log.checkpoint(9)),
      { status: 422 },
    ],
    ['a fork', 5, () => log.fork(3, 'x', 'y', 'z').request(5, 6), { status: 422 }],
    [
      'same size, another root',
      5,
      () => log.fork(4, 'x').request(5, 5),
      { status: 422, reason: 'same size with another root' },
    ],
    [
      'size zero with a root, first',
      null,
      async () => requestOf(0, [], log.sign(`${log.origin}\n0\n${toBase64(await log.root())}\n`)),
      { status: 422, reason: 'root is not that of the empty tree' },
    ],
  ];
  it.each(cases)('%s, given %s', async (_, stored, body, expected) => {
    const given = await answer(await body(), stored);
    if (typeof expected === 'string') expect(given).toBe(expected);
    else expect(given).toMatchObject(expected as object);
  });

  it('is checked against the STORED root, not against what the client proves from', async () => {
    const fork = log.fork(2, 'x', 'y', 'z', 'u', 'v');
    expect(await answer(await fork.request(5, 7), 5, fork)).toBe('cosign');
    expect(await answer(await fork.request(5, 7), 5, log)).toMatchObject({ status: 422 });
  });

  it('tells a fork from a proof that is merely wrong', async () => {
    const stored = { size: 5, root: await log.root(5) };
    const at = (size: number, root: Uint8Array) => ({ checkpoint: { origin: log.origin, size, root } });
    expect(provesFork(stored, at(5, await log.fork(4, 'x').root()))).toBe(true);
    expect(provesFork(stored, at(5, await log.root(5)))).toBe(false);
    expect(provesFork(stored, at(6, await log.fork(4, 'x', 'y').root()))).toBe(false);
    expect(provesFork(null, at(5, emptyRoot))).toBe(false);
  });
});

describe('signatures on a submitted checkpoint', () => {
  let text = '';
  let signed = '';
  beforeAll(async () => {
    text = await log.text(5);
    signed = await log.checkpoint(5);
  });

  it('none by a key of the log is 403', () => {
    const foreign = signNote(text, [ed25519Signer('log.example/a', new Uint8Array(32).fill(9))]);
    expect(read(requestOf(0, [], foreign))).toMatchObject({ status: 403 });
    expect(read(requestOf(0, [], other.sign(text)))).toMatchObject({ status: 403 });
  });

  it('one by a key of the log that does not hold is 403, beside a good one too', () => {
    expect(read(requestOf(0, [], `${text}\n${forged(signed)}`))).toMatchObject({ status: 403 });
    expect(read(requestOf(0, [], signed + forged(signed)))).toMatchObject({ status: 403 });
    expect(read(requestOf(0, [], `${text}\n${forged(signed)}${line(signed)}`))).toMatchObject({ status: 403 });
  });

  it('in lines that are none are 403', () => {
    for (const wrong of [
      'x\n',
      '\u2014 log.example/a\n',
      line(signed).replace('\u2014', '-'),
      line(signed).replace('=', ''),
    ]) {
      expect(read(requestOf(0, [], signed + wrong))).toMatchObject({ status: 403 });
    }
  });

  it('by other keys are ignored, and not kept', () => {
    const foreign = line(other.sign(text));
    const given = read(
      requestOf(0, [], `${text}\n${foreign}${line(signed)}${forged(other.sign(text))}${line(signed)}`),
    );
    expect(given).toMatchObject({ note: signed, text });
    expect(openNote(signed, [parseVerifierKey(log.vkey)]).ignored).toBe(0);
  });

  it('by any of two keys of a log suffice, and both are kept', () => {
    const next = ed25519Signer('log.example/new', new Uint8Array(32).fill(7));
    const both = trustedLogs([{ vkey: log.vkey }, { vkey: next.vkey, origin: log.origin }]);
    expect(both.size).toBe(1);
    const note = signNote(text, [next]);
    expect(readSubmission(utf8(requestOf(0, [], note)), both)).toMatchObject({ note });
    expect(readSubmission(utf8(requestOf(0, [], note + line(signed))), both)).toMatchObject({
      note: note + line(signed),
    });
  });

  it('cover extension lines, which are cosigned', () => {
    const extended = log.sign(`${text}extension\n`);
    expect(read(requestOf(0, [], extended))).toMatchObject({ text: `${text}extension\n`, note: extended });
  });
});

describe('a request that is malformed', () => {
  let note = '';
  beforeAll(async () => {
    note = await log.checkpoint(5);
  });
  const hash = toBase64(emptyRoot);
  const cases: [what: string, body: () => string][] = [
    ['nothing', () => ''],
    ['a checkpoint alone', () => note],
    ['no empty line', () => `old 0\n${note.replace('\n\n', '\n')}`],
    ['an empty line first', () => `\nold 0\n\n${note}`],
    ['no old size', () => requestOf('', [], note)],
    ['another word', () => requestOf(0, [], note).replace('old', 'Old')],
    ['two spaces', () => requestOf(' 0', [], note)],
    ['a space behind', () => requestOf('0 ', [], note)],
    ['a leading zero', () => requestOf('00', [], note)],
    ['a sign', () => requestOf('+0', [], note)],
    ['a fraction', () => requestOf('0.0', [], note)],
    ['an exponent', () => requestOf('1e0', [], note)],
    ['hex', () => requestOf('0x0', [], note)],
    ['a size beyond safe integers', () => requestOf('9007199254740992', [], note)],
    ['a size of 20 digits', () => requestOf('18446744073709551615', [], note)],
    ['CRLF', () => requestOf(0, [], note).replaceAll('\n', '\r\n')],
    [
      '64 proof lines',
      () =>
        requestOf(
          0,
          Array.from({ length: 64 }, () => emptyRoot),
          note,
        ),
    ],
    ['a hash of 31 bytes', () => requestOf(0, [emptyRoot.slice(1)], note)],
    ['a hash of 33 bytes', () => requestOf(0, [new Uint8Array(33)], note)],
    ['base64 without padding', () => `old 0\n${hash.slice(0, -1)}\n\n${note}`],
    ['base64 with stray bits', () => `old 0\n${hash.slice(0, -2)}V=\n\n${note}`],
    ['base64url', () => `old 0\n${toBase64(new Uint8Array(32).fill(255)).replaceAll('/', '_')}\n\n${note}`],
    ['a space in base64', () => `old 0\n${hash} \n\n${note}`],
    ['a note without signatures', () => `old 0\n\n${note.slice(0, note.lastIndexOf('\n\n') + 1)}`],
    ['a note without its last newline', () => requestOf(0, [], note.slice(0, -1))],
    ['a checkpoint of two lines', () => requestOf(0, [], log.sign(`${log.origin}\n5\n`))],
    ['a checkpoint without origin', () => requestOf(0, [], log.sign(`\n5\n${hash}\n`))],
    ['a size of 05', () => requestOf(0, [], log.sign(`${log.origin}\n05\n${hash}\n`))],
    ['a root of 31 bytes', () => requestOf(0, [], log.sign(`${log.origin}\n5\n${toBase64(emptyRoot.slice(1))}\n`))],
    ['an empty extension line', () => requestOf(0, [], log.sign(`${log.origin}\n5\n${hash}\n\nx\n`))],
    ['a control character', () => requestOf(0, [], note.replace('\n5\n', '\n5\t\n'))],
  ];
  it.each(cases)('%s is 400', (_, body) => {
    expect(read(body())).toMatchObject({ status: 400 });
  });

  it('what is not UTF-8 is 400', () => {
    expect(readSubmission(Uint8Array.of(0x6f, 0x6c, 0x64, 0x20, 0xff), logs)).toMatchObject({ status: 400 });
  });

  it('63 proof lines are read', () => {
    const proof = Array.from({ length: 63 }, () => emptyRoot);
    expect(read(requestOf(5, proof, note))).toMatchObject({ proof, oldSize: 5 });
  });
});

describe('the time of a cosignature', () => {
  it.each([
    [100, 0, 100],
    [100, 100, 100],
    [100, 101, 101],
    [100, 100 + CLOCK_SLACK_SECONDS, 100 + CLOCK_SLACK_SECONDS],
    [100, 101 + CLOCK_SLACK_SECONDS, null],
  ])('at %d after one at %d is %s', (now, last, expected) => {
    expect(cosignatureTime(now, last)).toBe(expected);
  });
});
