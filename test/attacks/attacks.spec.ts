import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ATTACKS, attackTable } from './attacks.js';
import { CARELESS } from './careless.js';
import { asOperator, rewriting } from './forging.js';
import { PARTIES, type Party, PARTY_NAMES, show, verifyReport } from './parties.js';
import { honestWorld, type HonestWorld } from './world.js';

let world: HonestWorld;
beforeAll(async () => {
  world = await honestWorld();
});
afterAll(() => world.remove());

/** What each party says of a data folder; null where it sees nothing. */
async function whatTheySay(folder: string): Promise<Map<Party, string | null>> {
  const said = new Map<Party, string | null>();
  const { shown, close } = await show(folder);
  try {
    for (const party of PARTY_NAMES) said.set(party, await PARTIES[party](shown, world.kept));
  } finally {
    await close();
  }
  return said;
}

const nothing = new Map<Party, string | null>(PARTY_NAMES.map((party) => [party, null]));

describe('without an attack', () => {
  it('nobody sees anything, and nobody careless is in doubt', async () => {
    expect(await whatTheySay(world.folder)).toEqual(nothing);
    const { shown, close } = await show(world.folder);
    for (const trusts of Object.values(CARELESS)) expect(await trusts(shown, world.kept.vkey)).toBe(true);
    await close();
  });

  it('an operator who rewrites everything as it was gives the same log', async () => {
    const folder = world.copy();
    await rewriting((items) => items)(folder, world);
    expect(await whatTheySay(folder)).toEqual(nothing);
    expect((await verifyReport(folder)).report).toEqual((await verifyReport(world.folder)).report);
  });
});

describe.each(ATTACKS)('$form: $name', ({ mutate, caughtBy, blames, fools, form, name, waitsFor }) => {
  it(waitsFor ? `is seen by nobody yet: it waits for ${waitsFor}` : `is caught by ${caughtBy.join(', ')}`, async () => {
    const folder = world.copy();
    await mutate(folder, world);
    const said = await whatTheySay(folder);
    const caught = PARTY_NAMES.filter((party) => said.get(party) !== null);
    if (process.env['SAY']) console.log(form, name, said);
    expect(caught).toEqual(PARTY_NAMES.filter((party) => caughtBy.includes(party)));
    expect(blames === undefined).toBe(!caughtBy.includes('verify'));
    if (blames) {
      const { table, where = {} } = blames(world);
      expect((await verifyReport(folder)).report.findings).toContainEqual(
        expect.objectContaining({ table, where: expect.objectContaining(where) as object }),
      );
    }
    if (fools) {
      const { shown, close } = await show(folder);
      expect(await CARELESS[fools](shown, world.kept.vkey)).toBe(true);
      await close();
    }
  });
});
