import type { Kept } from './kept.js';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { fromBase64 } from '../../src/ledger/core/bytes.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { type Hasher, nobleHasher } from '../../src/ledger/core/hasher.js';
import { rootOf } from '../../src/ledger/core/tlog/merkle.js';
import { formatVerifierKey, parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { parsePolicy } from '../../src/ledger/core/tlog/policy.js';
import { verifyInclusion } from '../../src/ledger/core/tlog/proof.js';
import { type ReceiptResult, verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import type { Attack } from './attack.js';
import { ATTACKS, attackTable } from './attacks.js';
import { CARELESS } from './careless.js';
import { follow, lookNow } from './followers.js';
import { rewriting } from './forging.js';
import { type LineOf, LINES } from './lines.js';
import { ON_THE_KEY } from './on-the-key.js';
import { withSignatures } from './on-serving.js';
import { signedAnew, strayBits } from './on-the-log.js';
import { PARTIES, type Party, PARTY_NAMES, verified, verifyReport } from './parties.js';
import { show, type Shown } from './shown.js';
import { servedCosigned } from './witnesses.js';
import { honestWorld, type HonestWorld, ORIGIN, replaceKey, WITH_ANOTHER_KEY } from './world.js';

let world: HonestWorld;
/** The same kind of log, whose key was replaced on the way, and which everybody has followed since before. */
let rekeyed: HonestWorld;
const worldOf = ({ onLog }: Pick<Attack, 'onLog'>): HonestWorld => (onLog === undefined ? world : rekeyed);
/** Attacks of which everything was as the suite says. */
const held = new Set<Attack>();
beforeAll(async () => {
  [world, rekeyed] = await Promise.all([honestWorld(), honestWorld(WITH_ANOTHER_KEY)]);
});
afterAll(() => {
  world.remove();
  rekeyed.remove();
  console.log(table());
});

/** What each party says of what is shown; null where it sees nothing. */
async function whatTheySayOf(shown: Shown, kept: Kept): Promise<Map<Party, string | null>> {
  const each = PARTY_NAMES.map(async (party) => [party, await PARTIES[party](shown, kept)] as const);
  return new Map(await Promise.all(each));
}

async function whatTheySay(folder: string, { kept } = world): Promise<Map<Party, string | null>> {
  const { shown, close } = await show(folder);
  try {
    return await whatTheySayOf(shown, kept);
  } finally {
    await close();
  }
}

const nothing = new Map<Party, string | null>(PARTY_NAMES.map((party) => [party, null]));

function attackOf(name: string, form: Attack['form']): Attack {
  const attack = ATTACKS.find((each) => each.name === name && each.form === form);
  if (!attack) throw new Error(`there is no attack ${name}`);
  return attack;
}

async function attacked(name: string, form: Attack['form']): Promise<string> {
  const folder = world.copy();
  await attackOf(name, form).mutate(folder, world);
  return folder;
}

function table(): string {
  const rows = attackTable().map(({ attack, form, caughtBy, notSeenBy, waitsFor }) => [
    `${attack} (${form})`,
    waitsFor ? `nobody yet: ${waitsFor}` : caughtBy.join(', '),
    notSeenBy.join(', '),
  ]);
  const lines = [['attack', 'caught by', 'not seen by'], ...rows];
  const widths = [0, 1].map((at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  const printed = lines.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(' | ')
      .trimEnd(),
  );
  const caught = [...held].filter(({ waitsFor }) => !waitsFor).length;
  const waiting = held.size - caught;
  return [...printed, `${caught} attacks, each caught by the party it names; ${waiting} that no party sees yet`].join(
    '\n',
  );
}

const sha256 = (...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest());

/** Hashes leaves and nodes alike, as a log without RFC 6962's prefixes would. */
const ALIKE: Hasher = { ...nobleHasher, leaf: (entry) => sha256(entry), node: (left, right) => sha256(left, right) };

/** Whether the tree of four leaves can be shown as one of two, whose first leaf is the node above the first two. */
function takesNodeForLeaf(hasher: Hasher): boolean {
  const leaves = ['a', 'b', 'c', 'd'].map((text) => hasher.leaf(Buffer.from(text)));
  const [a, b, c, d] = leaves as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const leaf = hasher.leaf(Buffer.concat([a, b]));
  const proof = [hasher.node(c, d)];
  return verifyInclusion(hasher, { index: 0, size: 2, leaf, proof, root: rootOf(hasher, leaves) }).ok;
}

/** The same bytes in base64 that no encoder writes. */
const respelt = (base64: string): string => (base64.endsWith('=') ? strayBits(base64) : `${base64}====`);

const firstReceipt = (): Receipt => world.kept.receipts[0] as Receipt;

describe('without an attack', () => {
  it('nobody sees anything, and nobody careless is in doubt', async () => {
    expect(await whatTheySay(world.folder)).toEqual(nothing);
    const { shown, close } = await show(world.folder);
    for (const trusts of Object.values(CARELESS)) expect(await trusts(shown, world.kept)).toBe(true);
    await close();
  });

  it('nobody sees anything where the key of the log was replaced, and is replaced again', async () => {
    expect(await whatTheySay(rekeyed.folder, rekeyed)).toEqual(nothing);
    const folder = rekeyed.copy();
    await replaceKey(folder);
    expect(await whatTheySay(folder, rekeyed)).toEqual(nothing);
  });

  it.each<[string, Attack['mutate']]>([
    ['rewrites everything as it was', rewriting((items) => items)],
    ['signs the checkpoint again as it was', signedAnew((lines) => lines)],
  ])('an operator who %s gives the same log', async (_, mutate) => {
    const folder = world.copy();
    await mutate(folder, world);
    expect(await whatTheySay(folder)).toEqual(nothing);
    expect((await verifyReport(folder)).report).toEqual((await verifyReport(world.folder)).report);
  });
});

const OUTCOMES = ATTACKS.map((attack) => ({
  ...attack,
  attack,
  outcome: attack.waitsFor
    ? `is seen by nobody yet: it waits for ${attack.waitsFor}`
    : `is caught by ${attack.caughtBy.join(', ')}, and by nobody else`,
}));

describe('an attack', () => {
  it.each(OUTCOMES)('$form: $name $outcome', async ({ attack, mutate, caughtBy, blames, fools }) => {
    const on = worldOf(attack);
    const folder = on.copy();
    const serving = await mutate(folder, on);
    const { shown, close } = await show(folder, serving ?? {});
    const said = await whatTheySayOf(shown, on.kept);
    const wrong = PARTY_NAMES.filter((party) => (said.get(party) !== null) !== caughtBy.includes(party));
    expect(wrong.map((party) => `${party}: ${said.get(party)}`)).toEqual([]);
    const { alarm, outage } = await lookNow(shown, on.kept);
    const raised = alarm?.split(':')[0] ?? (outage === null ? null : 'away');
    expect(raised).toBe(attack.alarm ?? (caughtBy.includes('follow') ? 'fork' : null));
    if (fools) expect(await CARELESS[fools](shown, on.kept)).toBe(true);
    await close();
    // Each of two that are shown to two is an honest log to whoever sees no other.
    for (const one of serving?.elsewhere === undefined ? [] : [folder, serving.elsewhere])
      expect(await whatTheySay(one, on)).toEqual(nothing);
    expect(blames === undefined).toBe(!caughtBy.includes('verify'));
    if (blames) {
      const { table: name, where = {} } = blames(on);
      expect((await verified(shown, on.kept)).report.findings).toContainEqual(
        expect.objectContaining({ table: name, where: expect.objectContaining(where) as object }),
      );
    }
    held.add(attack);
  });
});

describe('the table', () => {
  it('names each attack once, and who catches it or what it waits for', () => {
    const rows = attackTable();
    expect(new Set(rows.map(({ attack, form }) => `${form} ${attack}`)).size).toBe(rows.length);
    for (const { caughtBy, notSeenBy, waitsFor } of rows) {
      expect(caughtBy.length === 0).toBe(waitsFor !== null);
      expect([...caughtBy, ...notSeenBy].toSorted()).toEqual(PARTY_NAMES.toSorted());
    }
    // A party that catches nothing would be no party.
    for (const party of PARTY_NAMES) expect(rows.some(({ caughtBy }) => caughtBy.includes(party))).toBe(true);
  });
});

describe('the short table', () => {
  it.each<[string, LineOf]>(Object.entries(LINES))(
    'claims nothing that is not attacked: %s',
    (line, { parties, also = [] }) => {
      const attacks = ATTACKS.filter((attack) => attack.line === line);
      expect(attacks).not.toEqual([]);
      const missed = attacks.filter(({ caughtBy }) => !parties.some((party) => caughtBy.includes(party)));
      expect(missed.map(({ name }) => name)).toEqual([]);
      const idle = [...parties, ...also].filter((party) => !attacks.some(({ caughtBy }) => caughtBy.includes(party)));
      expect(idle).toEqual([]);
    },
  );

  it('has a line for each attack that anybody catches', () => {
    for (const { line, caughtBy } of ATTACKS) expect(line === null).toBe(caughtBy.length === 0);
  });
});

/** What `rxledger audit proof --policy` says of a receipt under the newest checkpoint with these signature lines. */
async function received(keep: Parameters<typeof withSignatures>[1]): Promise<ReceiptResult> {
  const { shown, close } = await show(world.folder);
  const checkpoint = withSignatures(await servedCosigned(shown, world.kept), keep);
  const reader = new LedgerReader(shown.db, new Vault(join(world.folder, 'keys'), ORIGIN), ORIGIN);
  const receipt = await reader.receipt(world.target[2], { tree: { size: world.size, checkpoint } });
  await close();
  return verifyReceipt(receipt, parsePolicy(Buffer.from(world.kept.policy)));
}

describe('a quorum of two of three', () => {
  // The first line is the log's.
  it.each<[string, Parameters<typeof withSignatures>[1], object]>([
    ['all have cosigned', (line) => [line], { ok: true, state: 'witnessed' }],
    ['one is left out, as the policy allows', (line, at) => (at === 1 ? [] : [line]), { ok: true, state: 'witnessed' }],
    ['two are left out', (line, at) => (at < 2 ? [line] : []), { ok: false, reason: 'quorum' }],
    ['one stands there twice', (line, at) => [[line], [line, line]][at] ?? [], { ok: false, reason: 'quorum' }],
  ])('makes a receipt hold or not: %s', async (_, keep, expected) => {
    expect(await received(keep)).toMatchObject(expected);
  });

  it('is no quorum of a policy file that gives one key two names', () => {
    const { policy } = world.kept;
    const [, vkey = ''] = /^witness w1 (\S+)$/m.exec(policy) ?? [];
    const key = parseVerifierKey(vkey);
    const again = formatVerifierKey(`second.${key.name}`, key.type, key.publicKey);
    const file = policy.replace(/^witness w2 \S+$/m, `witness w2 ${again}`);
    expect(() => parsePolicy(Buffer.from(file))).toThrow('the key stands above already');
  });
});

describe('an auditor who has not looked since the key of the log was replaced', () => {
  // What passes the trust of the key that they pinned is all that they can go by.
  it.each(
    ON_THE_KEY.map(({ name, mutate }, at) => ({
      name,
      mutate,
      alarm: at < 2 ? expect.stringMatching(/^signature/) : null,
    })),
  )('sees of this: $name', async ({ mutate, alarm }) => {
    const folder = rekeyed.copy();
    await mutate(folder, rekeyed);
    const { shown, close } = await show(folder);
    expect(await follow(shown, { ...rekeyed.kept, follower: rekeyed.earlyFollower })).toEqual(alarm);
    await close();
  });
});

describe('a leaf that looks like a node', () => {
  it('would stand in for two leaves if both were hashed alike; as they are, it proves nothing', () => {
    expect([takesNodeForLeaf(ALIKE), takesNodeForLeaf(nobleHasher)]).toEqual([true, false]);
  });
});

describe('receipts', () => {
  it.each<[string, (receipt: Receipt) => object, string]>([
    ['an entry in base64 that is not canonical', ({ entry }) => ({ entry: respelt(entry) }), 'entry'],
    [
      'a proof in base64 that is not canonical',
      ({ proof: [hash = '', ...rest] }) => ({ proof: [strayBits(hash), ...rest] }),
      'inclusion',
    ],
    ['a salt in base64 that is not canonical', ({ salt = '' }) => ({ salt: strayBits(salt) }), 'payload'],
    ['a hash more', ({ proof }) => ({ proof: [...proof, proof[0]] }), 'inclusion'],
    ['an index as text', ({ index }) => ({ index: String(index) }), 'form'],
    ['an index that is none', ({ index }) => ({ index: index + 0.5 }), 'form'],
    ['an index from the end', () => ({ index: -1 }), 'inclusion'],
  ])('do not hold with %s', (_, change, reason) => {
    expect(verifyReceipt(firstReceipt(), world.kept.vkey).ok).toBe(true);
    const receipt = { ...firstReceipt(), ...change(firstReceipt()) } as Receipt;
    expect(verifyReceipt(receipt, world.kept.vkey)).toEqual({ ok: false, reason });
  });

  it('the other spelling is of the same bytes', () => {
    const [hash = ''] = firstReceipt().proof;
    expect(strayBits(hash)).not.toBe(hash);
    expect(Buffer.from(strayBits(hash), 'base64')).toEqual(Buffer.from(hash, 'base64'));
  });

  it('hold for no other log of the same key', () => {
    const seed = loadKey(join(world.folder, 'keys'), 'log.key');
    const { vkey } = new LogKey('ledger.example/other', seed ?? Buffer.alloc(0));
    expect(verifyReceipt(firstReceipt(), vkey)).toEqual({ ok: false, reason: 'log' });
  });

  it.each([
    ["replay another log's entry", 'log'],
    ['a leaf that looks like a node', 'entry'],
  ])('cannot be made of: %s', async (name, reason) => {
    const folder = await attacked(name, 'clever');
    const index = reason === 'log' ? world.size : world.siblings[0];
    const { shown, close } = await show(folder);
    const { origin } = openCheckpoint(shown.checkpoint, world.kept.vkey);
    const vault = Vault.openExisting(join(folder, 'keys'), origin) as Vault;
    const receipt = await new LedgerReader(shown.db, vault, origin).receipt(index);
    await close();
    expect(verifyReceipt(receipt, world.kept.vkey)).toEqual({ ok: false, reason });
    // The tree holds it, as far as trees go.
    const { size, root } = openCheckpoint(receipt.checkpoint, world.kept.vkey);
    const [leaf, proof] = [nobleHasher.leaf(fromBase64(receipt.entry)), receipt.proof.map(fromBase64)];
    expect(verifyInclusion(nobleHasher, { index, size, leaf, proof, root }).ok).toBe(true);
  });
});

describe('an export with its payloads', () => {
  it.each<[string, (world: HonestWorld) => number]>([
    ['edit an entry, its payload left', ({ target }) => target[0]],
    ['invent an event in the name of somebody who signs and append it, unsigned', ({ size }) => size],
    ['replay a signed event as another command', ({ size }) => size],
    ['invent what would follow from an event of somebody who signs: their order is cancelled', ({ size }) => size],
    ["revoke an actor's key in their name, unsigned", ({ size }) => size],
    ['take the signature off an event', ({ signed }) => signed[0]],
  ])('shows: %s', async (name, indexIn) => {
    const folder = await attacked(name, 'clever');
    const file = join(folder, 'export');
    const source = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
    const vault = Vault.openExisting(
      join(folder, 'keys'),
      openCheckpoint(world.kept.checkpoint, world.kept.vkey).origin,
    );
    const lines: string[] = [];
    for await (const line of exportLog(source, vault)) lines.push(line);
    await source.destroy();
    writeFileSync(file, lines.join('\n'));
    const { findings } = await verifyExport(file, world.kept.vkey, CHAIN_MODELS);
    expect(findings).toMatchObject([{ table: 'export', where: { index: indexIn(world) } }]);
  });
});
