import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { goodEntries, MADE_VKEY, MadeLog, ORIGIN, rotatedLog } from '../../../test/support/made-log.js';
import { temporaryFolder } from '../../../test/support/ledger.js';
import { SettableClock } from '../../time/clock.js';
import { utf8 } from '../../ledger/core/bytes.js';
import type { FetchFile } from '../../ledger/core/tlog/log-client.js';
import { ed25519Signer, parseVerifierKey, signNote } from '../../ledger/core/tlog/note.js';
import { logOnly, logsOnly, type Policy } from '../../ledger/core/tlog/policy.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { checkEvidence, evidenceSchema } from './evidence.js';
import { Follower, type Poll } from './follower.js';
import { Replica } from './replica/replica.js';
import { SourceError } from './source.js';
import { FollowFolderError } from './chain-ends.js';

const folder = temporaryFolder();
const dir = join(folder.path, 'f');
afterAll(() => folder.remove());
beforeEach(() => rmSync(dir, { recursive: true, force: true }));

const next = ed25519Signer(ORIGIN, new Uint8Array(32).fill(8));
const third = ed25519Signer(ORIGIN, new Uint8Array(32).fill(9));
const entries = [...goodEntries(700, 40)];
const AT = 300;
const rotated = rotatedLog(entries, { at: AT, to: next });
const old = logOnly(parseVerifierKey(MADE_VKEY));
const both = logsOnly([MADE_VKEY, next.vkey].map(parseVerifierKey));

async function look(fetch: FetchFile, policy: Policy = old, replica?: Replica): Promise<Poll> {
  const clock = new SettableClock(Date.UTC(2026, 0, 2));
  const options = {
    policy,
    fetch,
    url: 'https://log.example',
    clock,
    ...(replica ? { replica } : {}),
  };
  const follower = await Follower.open(dir, options);
  try {
    return await follower.poll();
  } finally {
    await follower.close();
  }
}

/** The verdict on an alarm's evidence under the first key. */
function verdict(poll: Poll) {
  if (poll.ok) throw new Error('no alarm');
  const evidence = evidenceSchema.parse(JSON.parse(readFileSync(poll.evidence, 'utf8')));
  return { evidence, ...checkEvidence(nodeHasher, old, evidence) };
}

const moves = [{ from: MADE_VKEY, to: next.vkey, size: AT }];
/** Replaces one of the served files. */
const instead =
  (files: FetchFile, path: string, text: string | null): FetchFile =>
  (asked) =>
    asked === path ? Promise.resolve(text === null ? null : utf8(text)) : files(asked);

/** A log that has replaced its key a second time. */
const again = rotatedLog(rotated.entries, { at: 650, from: next, to: third });
const twice = {
  items: [rotated, again].flatMap((log) => (JSON.parse(log.rotations()) as { items: unknown[] }).items),
  files:
    (size: number): FetchFile =>
    (path) =>
      (path === `chain?after=${AT - 1}&limit=1` ? rotated : again).files(size)(path),
};

const served = (size: number) => instead(twice.files(size), 'rotations', JSON.stringify({ items: twice.items }));

describe('a follower that has pinned the old key of a log', () => {
  it('moves on to the new one when both have signed that, says so once, and goes on', async () => {
    const seen: unknown[] = [];
    for (const size of [AT - 10, AT, AT + 1, AT + 2, 500, 701]) {
      const poll = await look(rotated.files(size));
      expect(poll).toMatchObject({ ok: true, standing: { checked: size } });
      seen.push(poll.ok && poll.standing.rotations);
    }
    expect(seen).toEqual([[], [], [], moves, [], []]);
    // An auditor who has pinned the new key meanwhile goes on in the same folder.
    const newest = logOnly(parseVerifierKey(next.vkey));
    expect(await look(rotated.files(), newest)).toMatchObject({ ok: true, standing: { rotations: [], entries: 0 } });
  });

  it('moves on when it comes late, or is new', async () => {
    expect(await look(rotated.files())).toMatchObject({ ok: true, standing: { checked: 701, rotations: moves } });
  });

  it.each([
    ['the second key alone', logOnly(parseVerifierKey(next.vkey))],
    ['the first and the second', both],
  ])(
    'moves on to a third key having pinned %s, though what it kept is larger than the first replacement',
    async (_, pinned) => {
      expect(await look(served(600), pinned)).toMatchObject({ ok: true, standing: { rotations: [] } });
      const last = { from: next.vkey, to: third.vkey, size: 650 };
      expect(await look(served(690), pinned)).toMatchObject({
        ok: true,
        standing: { checked: 690, rotations: [last] },
      });
      expect(await look(served(702), pinned)).toMatchObject({ ok: true, standing: { rotations: [] } });
      // A follower that accepts them one by one reports each.
      rmSync(dir, { recursive: true });
      // A replacement between the two requests is left to the next look.
      expect(await look(served(600))).toMatchObject({ ok: true, standing: { rotations: moves } });
      expect(await look(served(702))).toMatchObject({ ok: true, standing: { rotations: [last] } });
    },
  );

  it('is read page by page, as a list is served', async () => {
    const asked: string[] = [];
    const paged =
      (size: number): FetchFile =>
      (path) => {
        if (!path.startsWith('rotations')) return twice.files(size)(path);
        asked.push(path);
        const at = Number(/after=(\d+)/.exec(path)?.[1] ?? 0);
        return Promise.resolve(utf8(JSON.stringify({ items: [twice.items[at]], next: at === 0 ? '1' : null })));
      };
    expect(await look(paged(600))).toMatchObject({ ok: true, standing: { rotations: moves } });
    expect(await look(paged(702))).toMatchObject({ ok: true, standing: { rotations: [{ size: 650 }] } });
    expect(new Set(asked)).toEqual(new Set(['rotations', 'rotations?limit=200&after=1']));
  });

  it('raises an alarm at a list that never ends', async () => {
    let pages = 0;
    const endless: FetchFile = (path) =>
      path.startsWith('rotations')
        ? Promise.resolve(utf8(JSON.stringify({ items: [], next: String(++pages) })))
        : rotated.files()(path);
    expect(await look(endless)).toMatchObject({ ok: false, alarm: 'signature' });
    expect(pages).toBeLessThan(200);
  });

  it('is shown the event as everybody is', async () => {
    const what = `chain?after=${AT - 1}&limit=1 is not there`;
    for (const page of [null, utf8('{"items":[]}')]) {
      const hidden: FetchFile = (path) => (path.startsWith('chain') ? Promise.resolve(page) : rotated.files()(path));
      expect(await look(hidden)).toMatchObject({ ok: false, alarm: 'files', what });
    }
    expect(await look(rotated.files())).toMatchObject({ ok: true, standing: { checked: 701 } });
  });

  it('asks nothing where both are pinned', async () => {
    const files = instead(rotated.files(), 'rotations', 'not JSON');
    expect(await look(files, both)).toMatchObject({ ok: true, standing: { rotations: [] } });
    expect(existsSync(join(dir, 'rotations'))).toBe(false);
  });

  it('keeps in its replica what /log/rotations serves', async () => {
    const replica = await Replica.open(join(dir, 'log'));
    const kept = join(dir, 'log/rotations');
    await look(rotated.files(AT), old, replica);
    expect([replica.keyRotations(), existsSync(kept)]).toEqual([null, false]);
    await look(rotated.files(), old, replica);
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toEqual(JSON.parse(rotated.rotations()));
  });

  it.each<[string, MadeLog, FetchFile | null]>([
    ['the statement', rotatedLog(entries, { at: AT, to: next, stated: [next] }), null],
    ['the statement, but another key', rotatedLog(entries, { at: AT, to: next, stated: [next, third] }), null],
    ['the checkpoint behind it', rotatedLog(entries, { at: AT, to: next, handedOver: [next] }), null],
    ['anything that is shown', rotated, instead(rotated.files(), 'rotations', '{"items":[]}')],
    ['anything that is served', rotated, instead(rotated.files(), 'rotations', null)],
    ['what is served instead', rotated, instead(rotated.files(), 'rotations', '{"items":[{"index":300}]}')],
  ])('raises an alarm when the old key has not signed %s', async (_, log, files) => {
    await look(log.files(AT - 1));
    const poll = await look(files ?? log.files());
    expect(poll).toMatchObject({ ok: false, alarm: 'signature' });
    // Nothing is accepted: the old log is still good.
    expect(await look(log.files(AT))).toMatchObject({ ok: true, standing: { checked: AT } });
    expect(existsSync(join(dir, 'rotations'))).toBe(false);
  });

  it('proves that the log has replaced one key twice', async () => {
    await look(rotated.files());
    const forked = rotatedLog(entries, { at: AT + 5, to: third });
    const poll = await look(forked.files());
    expect(poll).toMatchObject({ ok: false, alarm: 'fork', what: expect.stringContaining('one key twice') });
    expect(verdict(poll)).toMatchObject({ proved: true, says: expect.stringContaining('behind 300 and behind 305') });
    const { evidence } = verdict(poll);
    const [one] = evidence.successors ?? [];
    expect(checkEvidence(nodeHasher, old, { ...evidence, successors: [one, one] }).proved).toBe(false);
    expect(checkEvidence(nodeHasher, logOnly(parseVerifierKey(third.vkey)), evidence).proved).toBe(false);
  });

  it.each([
    ['that it knows to be replaced', true],
    ['that it has pinned, both shown at once', false],
  ])('proves that a key %s replaces itself once more, behind all that is known', async (_, known) => {
    if (known) await look(rotated.files(600));
    // A thief of the old key continues the whole tree, and shows the rightful successor beside their own.
    const forged = rotatedLog(rotated.entries, { at: 700, to: third });
    const items = [rotated, forged].flatMap((log) => (JSON.parse(log.rotations()) as { items: unknown[] }).items);
    const poll = await look(instead(forged.files(), 'rotations', JSON.stringify({ items })));
    expect(poll).toMatchObject({ ok: false, alarm: 'fork', what: expect.stringContaining('one key twice') });
    expect(verdict(poll)).toMatchObject({ proved: true });
  });

  it('proves a fork in which the new key goes on elsewhere than the old one has handed over', async () => {
    await look(rotated.files(AT - 1));
    const elsewhere = rotatedLog([...goodEntries(AT - 1, 40), ...entries.slice(AT)], { at: AT + 50, to: next });
    const poll = await look(instead(elsewhere.files(), 'rotations', rotated.rotations()));
    expect(poll).toMatchObject({ ok: false, alarm: 'fork' });
    expect(verdict(poll)).toMatchObject({ proved: true });
    expect(existsSync(join(dir, 'rotations'))).toBe(false);
  });

  it.each([
    ['the new key', next, true],
    ['somebody else', third, false],
  ])('is served a malformed checkpoint, signed by %s', async (_, signer, alarms) => {
    await look(rotated.files(AT - 1));
    const text = `${ORIGIN}\n0700\n`;
    const files = instead(rotated.files(), 'checkpoint', signNote(text, [signer]));
    const away = 'checkpoint: not a signed checkpoint';
    if (alarms) {
      const poll = await look(files);
      expect(poll).toMatchObject({
        ok: false,
        alarm: 'signature',
        what: expect.stringContaining('malformed checkpoint'),
      });
      expect(verdict(poll)).toMatchObject({ proved: true });
    } else await expect(look(files)).rejects.toThrow(away);
    // Without the event of the replacement, nobody knows whose the new key is.
    await expect(look(instead(files, 'rotations', null))).rejects.toThrow(away);
    await expect(look(instead(files, 'rotations', '<html>'))).rejects.toThrow(away);
    const partly: FetchFile = (path) =>
      path === 'rotations' ? Promise.reject(new SourceError('rotations: no answer')) : files(path);
    await expect(look(partly)).rejects.toThrow('rotations: no answer');
    expect(await look(rotated.files(AT))).toMatchObject({ ok: true, standing: { checked: AT } });
  });

  it('raises an alarm when the old key signs on behind its end', async () => {
    const longer = new MadeLog(rotated.entries);
    await look(longer.files(AT + 20));
    expect(await look(rotated.files())).toMatchObject({ ok: false, alarm: 'signature' });
    rmSync(dir, { recursive: true });
    await look(rotated.files(500));
    expect(await look(longer.files(600))).toMatchObject({ ok: false, alarm: 'signature' });
  });

  it('does not trust a folder that somebody else has moved on', async () => {
    await look(rotated.files());
    writeFileSync(join(dir, 'rotations'), rotatedLog(entries, { at: AT, to: next, stated: [next] }).rotations());
    await expect(look(rotated.files())).rejects.toThrow(FollowFolderError);
    writeFileSync(join(dir, 'rotations'), '{"items":[]}');
    await expect(look(rotated.files())).rejects.toThrow(FollowFolderError);
  });
});
