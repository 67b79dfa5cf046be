import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { cosign, witnessOf } from '../../../test/fixtures/witnesses.js';
import { entryOfChain, goodEntries, MADE_VKEY, MadeLog, ORIGIN } from '../../../test/support/made-log.js';
import { temporaryFolder } from '../../../test/support/ledger.js';
import { SettableClock } from '../../time/clock.js';
import { concat, equal, toBase64, utf8 } from '../../ledger/core/bytes.js';
import { ZERO32 } from '../../ledger/core/record/entry.js';
import { type FetchFile, LogFileError } from '../../ledger/core/tlog/log-client.js';
import { ed25519Signer, type NoteSigner, parseVerifierKey, signNote } from '../../ledger/core/tlog/note.js';
import { logOnly, parsePolicy, type Policy } from '../../ledger/core/tlog/policy.js';
import { parseTilePath } from '../../ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { checkEvidence, evidenceSchema } from './evidence.js';
import { Follower, type Poll } from './follower.js';
import { Replica } from './replica/replica.js';
import { SourceError } from './source.js';
import { FollowFolderError } from './chain-ends.js';
import { examples, rounds } from '../../../test/support/length.js';

const folder = temporaryFolder();
const dir = join(folder.path, 'f');
afterAll(() => folder.remove());
beforeEach(() => rmSync(dir, { recursive: true, force: true }));

const ours = logOnly(parseVerifierKey(MADE_VKEY));
const clock = new SettableClock(Date.UTC(2026, 0, 2));
const good = new MadeLog([...goodEntries(1500, 40)]);
/** The same log up to 1000 entries, then another. */
const forked = new MadeLog([
  ...good.entries.slice(0, 1000),
  ...Array.from({ length: 700 }, (_, at) => entryOfChain(5000 + at, 0, ZERO32, 2000)),
]);

/** One look, by a follower that starts for it. */
async function look(fetch: FetchFile, policy: Policy = ours, replica?: Replica): Promise<Poll> {
  const url = 'https://log.example';
  const follower = await Follower.open(dir, { policy, fetch, url, clock, ...(replica ? { replica } : {}) });
  try {
    return await follower.poll();
  } finally {
    await follower.close();
  }
}

/** What the evidence of an alarm shows to somebody else. */
function verdict(poll: Poll, policy: Policy = ours) {
  if (poll.ok) throw new Error('no alarm');
  const evidence = evidenceSchema.parse(JSON.parse(readFileSync(poll.evidence, 'utf8')));
  return { evidence, ...checkEvidence(nodeHasher, policy, evidence) };
}

describe('a follower', () => {
  it('grows with an honest log, from start to start, and checks each entry once', async () => {
    let asked: string[] = [];
    const sizes = [0, 1, 255, 256, 257, 700, 700, 1024, 1500];
    for (const [at, size] of sizes.entries()) {
      asked = [];
      const files = good.files(size);
      const poll = await look((path) => {
        asked.push(path);
        return files(path);
      });
      const entries = size - (sizes[at - 1] ?? 0);
      expect(poll).toMatchObject({
        ok: true,
        standing: { size, checked: size, entries, lag: { entries }, evidence: 0 },
      });
      const bundles = asked.filter((path) => path.startsWith('tile/entries/'));
      expect(bundles.length).toBe(entries === 0 ? 0 : Math.ceil(size / 256) - Math.floor((size - entries) / 256));
    }
  });

  it('goes on where a crash left it, wherever that was', async () => {
    const size = rounds(3000, 9000);
    const big = new MadeLog([...goodEntries(size, 500)]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: size / 100 }), { maxLength: 5 }), async (crashes) => {
        rmSync(dir, { recursive: true, force: true });
        for (const limit of crashes) {
          let left = limit;
          const files = big.files();
          const dying: FetchFile = (path) => (left-- > 0 ? files(path) : Promise.reject(new SourceError('away')));
          const replica = await Replica.open(join(dir, 'log'));
          await look(dying, ours, replica).catch((error: unknown) => expect(error).toBeInstanceOf(SourceError));
        }
        const replica = await Replica.open(join(dir, 'log'));
        expect(await look(big.files(), ours, replica)).toMatchObject({ ok: true, standing: { checked: size } });
        expect(replica.checkpoint()).toBe(big.note());
      }),
      { numRuns: examples(8) },
    );
  });

  it('says rollback, within one look', async () => {
    await look(good.files(1490));
    const served = good.files(1480);
    const poll = await look(served);
    expect(poll).toMatchObject({ ok: false, alarm: 'rollback', what: expect.stringContaining('not served') });
    expect(verdict(poll)).toMatchObject({ proved: false, evidence: { found: good.note(1480), kept: good.note(1490) } });
    // A stale answer from a cache looks the same, but then the log still serves the rest.
    const cached: FetchFile = (path) => (path === 'checkpoint' ? served : good.files())(path);
    expect(await look(cached)).toMatchObject({ alarm: 'rollback', what: expect.stringContaining('still served') });
    expect(await look(good.files(1490))).toMatchObject({ ok: true, standing: { evidence: 2 } });
  });

  it.each([
    ['of the same size', 1400, 1400],
    ['that is larger', 1400, 1600],
    ['that is smaller, while the other is still served', 1400, 1200],
  ])('proves a fork %s', async (_, first, second) => {
    await look(good.files(first));
    const files: FetchFile = (path) =>
      first > second && path !== 'checkpoint' ? good.files(first)(path) : forked.files(second)(path);
    const poll = await look(files);
    expect(poll).toMatchObject({ ok: false, alarm: 'fork' });
    const { proved, says, evidence } = verdict(poll);
    expect({ proved, says }).toMatchObject({ proved: true, says: expect.stringContaining('the log has signed') });
    expect(evidence).toMatchObject({ found: forked.note(second), kept: good.note(first) });
    // The evidence proves nothing against another log. Two consistent checkpoints prove nothing either.
    expect(checkEvidence(nodeHasher, logOnly(strangersKey('other.example')), evidence).proved).toBe(false);
    const honest = { ...evidence, found: good.note(second === 1400 ? 1400 : 1500), kept: good.note(1400) };
    expect(checkEvidence(nodeHasher, ours, honest).proved).toBe(false);
    // The kept checkpoint is still the first one, and the alarm is raised until the log continues it again.
    expect(readFileSync(join(dir, 'checkpoint'), 'utf8')).toBe(good.note(first));
    expect(await look(files)).toMatchObject({ ok: false, alarm: 'fork' });
    expect(readdirSync(join(dir, 'evidence'))).toHaveLength(1);
  });

  it.each([
    ['a tile', 'tile/0/003'],
    ['a bundle', 'tile/entries/003'],
    ['the right edge', 'tile/0/005.p/220'],
    ['the top', 'tile/1/000.p/5'],
  ])('says which file is not the signed one: %s', async (_, path) => {
    const files = good.files();
    for (const wrong of [flip, () => null, (bytes: Uint8Array) => bytes.slice(1)]) {
      const poll = await look(async (asked) => (asked === path ? wrong((await files(asked))!) : files(asked)));
      expect(poll).toMatchObject({ ok: false, alarm: 'files' });
    }
    expect(await look(files)).toMatchObject({ ok: true, standing: { checked: 1500 } });
  });

  const ends = good.entries.map((entry) => nodeHasher.leaf(entry));
  const breaking: [rule: string, entry: Uint8Array, proved: boolean][] = [
    ['form', utf8('{}'), true],
    ['log', entryOfChain(0, 38, ends[1480]!, 1500, { log: 'other.example' }), true],
    ['time', entryOfChain(20, 37, ends[1460]!, 1), true],
    ['first', entryOfChain(999, 1, ends[0]!, 1500), false],
    ['again', entryOfChain(0, 0, ZERO32, 1500), true],
    ['gap', entryOfChain(20, 39, ends[1460]!, 1500), false],
    ['link', entryOfChain(20, 37, ends[1459]!, 1500), true],
  ];
  it.each(breaking)('shows an entry that breaks the rule %s', async (rule, entry, proved) => {
    await look(good.files());
    const bad = new MadeLog([...good.entries, entry, ...goodEntries(3, 1)]);
    const poll = await look(bad.files());
    expect(poll).toMatchObject({ ok: false, alarm: 'entry', what: expect.stringContaining('entry 1500') });
    const given = verdict(poll);
    expect(given).toMatchObject({ proved, says: expect.stringContaining(`"${rule}"`) });
    const [culprit] = given.evidence.entries!;
    const other = { ...given.evidence, entries: [{ ...culprit!, index: 1499 }] };
    expect(checkEvidence(nodeHasher, ours, other).proved).toBe(false);
    const fine = { ...given.evidence, entries: given.evidence.entries!.slice(1) };
    expect(checkEvidence(nodeHasher, ours, fine).proved).toBe(false);
  });

  it('takes nothing that its own policy does not', async () => {
    const text = good.note(1500).slice(0, good.note(1500).lastIndexOf('\n\n') + 1);
    const stranger = signNote(text, [ed25519Signer('made.example/log', new Uint8Array(32).fill(8))]);
    const files: FetchFile = (path) => (path === 'checkpoint' ? Promise.resolve(utf8(stranger)) : good.files()(path));
    const poll = await look(files);
    expect(poll).toMatchObject({ ok: false, alarm: 'signature' });
    expect(verdict(poll).evidence.found).toBe(stranger);
    expect(existsSync(join(dir, 'checkpoint'))).toBe(false);
    await expect(look(html)).rejects.toThrow('checkpoint: not a signed checkpoint');
  });

  const goodText = good.note().slice(0, good.note().indexOf('\n\n') + 1);
  const ourKey = ed25519Signer(ORIGIN, new Uint8Array(32).fill(7));
  const stranger = ed25519Signer(ORIGIN, new Uint8Array(32).fill(8));
  it.each<[what: string, said: string, why: string, proved: boolean]>([
    ['whose size begins with a zero', goodText.replace('1500', '01500'), 'size', true],
    ['without a root', goodText.split('\n').slice(0, 2).join('\n') + '\n', 'too few lines', true],
    ['with what no note may hold', `${goodText}\u0007\n`, 'text holds what no note may hold', true],
    ['that is another statement', `rxledger/log-key/v1\n${ORIGIN}\n`, 'too few lines', false],
  ])('keeps a checkpoint %s as evidence, if the log itself has signed it', async (_, said, why, proved) => {
    const serve =
      (note: string): FetchFile =>
      (path) =>
        path === 'checkpoint' ? Promise.resolve(utf8(note)) : good.files()(path);
    const note = noteOf(said, ourKey);
    const poll = await look(serve(note));
    expect(poll).toMatchObject({
      ok: false,
      alarm: 'signature',
      what: `the log has signed a malformed checkpoint: ${why}`,
    });
    expect(verdict(poll)).toMatchObject({ proved, evidence: { found: note } });
    expect(verdict(poll, logOnly(strangersKey('other.example'))).proved).toBe(false);
    // Signed by nobody, by somebody else, or with lines that others added to a good note: that is an outage.
    const junk = [said, `${said}\n\n`, noteOf(said, stranger), `${good.note()}— junk\n`];
    for (const one of junk) await expect(look(serve(one))).rejects.toThrow('checkpoint: not a signed checkpoint');
  });

  it('names the witnesses that are missing, and takes the checkpoint once they are there', async () => {
    const [w1, w2, w3] = [witnessOf(1), witnessOf(2), witnessOf(3)];
    const lines = [w1, w2, w3].map(({ vkey }, at) => `witness w${at + 1} ${vkey}\n`).join('');
    const policy = parsePolicy(utf8(`log ${MADE_VKEY}\n${lines}group g 2 w1 w2 w3\nquorum g\n`));
    const seconds = BigInt(clock.now() / 1000);
    const served = (note: string): FetchFile => {
      const files = good.files();
      return (path) => (path === 'checkpoint' ? Promise.resolve(utf8(note)) : files(path));
    };
    const one = cosign(good.note(), w1, seconds - 60n);
    const poll = await look(served(one), policy);
    expect(poll).toMatchObject({ ok: false, alarm: 'quorum', what: 'cosigned by w1; not by w2, w3' });
    // The log's signature does not cover the lines of witnesses: anybody can leave them out.
    expect(verdict(poll, policy).proved).toBe(false);
    const two = cosign(one, w3, seconds - 20n);
    expect(await look(served(two), policy)).toMatchObject({
      standing: { witnesses: ['w1', 'w3'], cosignatureAge: 20 },
    });
    expect(readFileSync(join(dir, 'checkpoint'), 'utf8')).toBe(two);
    // A fork is reported before a missing quorum.
    expect(await look(forked.files(1600), policy)).toMatchObject({ alarm: 'fork' });
  });

  it('says when its folder is not what it left', async () => {
    await look(good.files());
    rmSync(join(dir, 'checkpoint'));
    await expect(look(good.files())).rejects.toThrow(FollowFolderError);
    writeFileSync(join(dir, 'checkpoint'), forked.note(1600));
    await expect(look(forked.files(1600))).rejects.toThrow('does not fit');
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    writeFileSync(
      join(dir, 'follow.sqlite'),
      'not a database, but long enough to be looked at as if it were one'.repeat(20),
    );
    await expect(look(good.files())).rejects.toThrow(FollowFolderError);
  });

  it.each([
    ['that is lost', null],
    ['that was set back', good.note(900)],
  ])('remembers by its replica, with a memory %s', async (_, memory) => {
    await look(good.files(1490), ours, await Replica.open(join(dir, 'log')));
    for (const name of readdirSync(dir).filter((one) => /^(checkpoint|follow\.sqlite)/.test(one)))
      rmSync(join(dir, name));
    if (memory !== null) writeFileSync(join(dir, 'checkpoint'), memory);
    const shown = () => readFileSync(join(dir, 'log/checkpoint'), 'utf8');
    const again = async (fetch: FetchFile) => look(fetch, ours, await Replica.open(join(dir, 'log')));
    const back = await again(good.files(1480));
    expect(back).toMatchObject({ ok: false, alarm: 'rollback', what: expect.stringContaining('after 1490') });
    expect(verdict(back).evidence).toMatchObject({ found: good.note(1480), kept: good.note(1490) });
    const elsewhere = await again(forked.files(1600));
    expect(elsewhere).toMatchObject({ ok: false, alarm: 'fork' });
    expect(verdict(elsewhere)).toMatchObject({ proved: true, evidence: { kept: good.note(1490) } });
    expect(shown()).toBe(good.note(1490));
    expect(await again(good.files(1495))).toMatchObject({ ok: true, standing: { checked: 1495, evidence: 2 } });
    expect(shown()).toBe(good.note(1495));
    expect(readFileSync(join(dir, 'checkpoint'), 'utf8')).toBe(good.note(1495));
  });

  it('takes no replica of another log for its own', async () => {
    mkdirSync(join(dir, 'log'), { recursive: true });
    const { vkey: _, ...other } = ed25519Signer('other.example', new Uint8Array(32).fill(3));
    const text = good.note(9).replace(/^.*/, 'other.example');
    writeFileSync(join(dir, 'log/checkpoint'), signNote(text.slice(0, text.indexOf('\n\n') + 1), [other]));
    const replica = await Replica.open(join(dir, 'log'));
    await expect(look(good.files(), ours, replica)).rejects.toThrow(
      "its replica's checkpoint is not one of this policy's log",
    );
  });

  it('mends its replica, and fetches nothing else again', async () => {
    const at = (path: string) => join(dir, 'log', path);
    const spoil = (path: string) => writeFileSync(at(path), flip(readFileSync(at(path))));
    const opened = () => Replica.open(join(dir, 'log'));
    await look(good.files(), ours, await opened());
    for (const path of ['tile/0/001', 'tile/entries/003', 'tile/1/000.p/5']) spoil(path);
    for (const path of ['tile/entries/002', 'tile/0/005.p/220']) rmSync(at(path));
    // Entries that cannot be checked are not shown.
    const damaged = await opened();
    for (const path of ['tile/0/001', 'tile/entries/003', 'tile/entries/002'])
      await expect(read(damaged, path)).rejects.toThrow(LogFileError);
    const asked: string[] = [];
    const files: FetchFile = (path) => {
      asked.push(path);
      return good.files()(path);
    };
    const replica = await opened();
    expect(await look(files, ours, replica)).toMatchObject({ ok: true, standing: { entries: 0, mended: 5 } });
    expect(asked.filter((path) => path.startsWith('tile/entries/'))).toEqual(['tile/entries/002', 'tile/entries/003']);
    expect(asked).not.toContain('tile/0/000');
    const names = ['000', '001', '002', '003', '004', '005.p/220'].flatMap((name) => [`0/${name}`, `entries/${name}`]);
    const every = [...names, '1/000.p/5'].map((name) => `tile/${name}`);
    // Vitest takes its time over arrays of many bytes.
    for (const path of every)
      expect([path, equal(await read(replica, path), (await good.files()(path))!)]).toEqual([path, true]);

    // Damage while it runs is found at the next read and mended by the next look.
    const follower = await Follower.open(dir, { policy: ours, fetch: files, url: '', clock, replica });
    spoil('tile/entries/004');
    expect(await follower.poll()).toMatchObject({ standing: { mended: 0 } });
    await expect(read(replica, 'tile/entries/004')).rejects.toThrow(LogFileError);
    expect(await follower.poll()).toMatchObject({ standing: { mended: 1 } });
    expect(await read(replica, 'tile/entries/004')).toEqual(await good.files()('tile/entries/004'));
    await follower.close();
  });

  it('looks through its replica no further when it is told to stop', async () => {
    await look(good.files(), ours, await Replica.open(join(dir, 'log')));
    const replica = await Replica.open(join(dir, 'log'));
    const stop = new AbortController();
    const seen: number[] = [];
    const progress = (done: number) => {
      seen.push(done);
      if (done >= 512) stop.abort();
    };
    const options = { policy: ours, fetch: good.files(), url: '', clock, replica, progress, stop: stop.signal };
    const follower = await Follower.open(dir, options);
    await expect(follower.poll()).rejects.toMatchObject({ name: 'AbortError' });
    await follower.close();
    expect(seen).toEqual([256, 512]);
  });

  it.each<[what: string, file: string, inItsPlace: (path: string) => void]>([
    ['a folder in the place of a tile', 'tile/0/001', (path) => mkdirSync(join(path, 'x'), { recursive: true })],
    ['a folder in the place of a bundle', 'tile/entries/005.p/220', (path) => mkdirSync(path)],
    ['a folder in the place of the right edge', 'tile/1/000.p/5', (path) => mkdirSync(path)],
    ['a file in the place of a folder', 'tile/entries/005.p', (path) => writeFileSync(path, 'x')],
    ['a link to itself', 'tile/0/001', (path) => symlinkSync(path, path)],
  ])('mends %s', async (_, file, inItsPlace) => {
    const opened = () => Replica.open(join(dir, 'log'));
    await look(good.files(), ours, await opened());
    const spoil = () => {
      rmSync(join(dir, 'log', file), { recursive: true });
      inItsPlace(join(dir, 'log', file));
    };
    spoil();
    const replica = await opened();
    const follower = await Follower.open(dir, { policy: ours, fetch: good.files(), url: '', clock, replica });
    expect(await follower.poll()).toMatchObject({ ok: true, standing: { mended: 1 } });
    const path = file.endsWith('.p') ? `${file}/220` : file;
    expect(await read(replica, path)).toEqual(await good.files()(path));
    // Damage while it runs is found at the next read. The right edge is in memory, so damage there is not.
    spoil();
    await replica.read(parseTilePath('tile/0/002')!);
    const found = await replica.read(parseTilePath(path)!).catch((error: unknown) => error);
    expect(await follower.poll()).toMatchObject({ standing: { mended: found instanceof LogFileError ? 1 : 0 } });
    await follower.close();
    expect(await look(good.files(), ours, await opened())).toMatchObject({ ok: true });
    expect(readFileSync(join(dir, 'log', path))).toEqual(Buffer.from((await good.files()(path))!));
  });

  it.each([
    ['empty', ''],
    ['something else', 'junk\n'],
    ['no text', Uint8Array.of(0xff, 0x0a)],
  ])('says when the checkpoint of its replica is %s', async (_, content) => {
    mkdirSync(join(dir, 'log'), { recursive: true });
    writeFileSync(join(dir, 'log/checkpoint'), content);
    await expect(Replica.open(join(dir, 'log'))).rejects.toThrow(FollowFolderError);
  });

  it('keeps its folder to itself', async () => {
    const options = { policy: ours, fetch: good.files(), url: 'https://log.example', clock };
    const one = await Follower.open(dir, options);
    await one.poll();
    await expect(Follower.open(dir, options)).rejects.toThrow('another process');
    await one.close();
  });
});

const read = async (replica: Replica, path: string) => Uint8Array.from((await replica.read(parseTilePath(path)!))!);
function noteOf(text: string, signer: NoteSigner): string {
  return `${text}\n— ${signer.name} ${toBase64(concat(signer.keyId, signer.sign(utf8(text))))}\n`;
}
const html: FetchFile = () => Promise.resolve(utf8('<html>Sign in</html>'));
const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte));
const strangersKey = (name: string) => parseVerifierKey(ed25519Signer(name, new Uint8Array(32).fill(3)).vkey);
