/** Resolved discrepancies leave the patient's state after a hundred: lists, judging, `verify` and a rebuild stay right. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openReader } from '../../src/database/data-source.js';
import { SuppliesService } from '../../src/dispensing/supplies.service.js';
import type { RefusalException } from '../../src/http/problem/problem.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { ReadDb } from '../../src/ledger/read/read-db.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { type Actor, SYSTEM } from '../../src/ledger/model.js';
import { rebuildLedger } from '../../src/ledger/upkeep/rebuild-ledger.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { decideReconcile, decideResolve } from '../../src/patient/decide.js';
import { type Discrepancy, MOST_RESOLVED, type Patient } from '../../src/patient/state.js';
import { DiscrepancyService, type DiscrepancyView } from '../../src/reconciliation/discrepancy.service.js';
import { Reconciler } from '../../src/reconciliation/reconciler.js';
import { LISINOPRIL, tablets } from '../support/api.js';
import { newWorld, type Running, startService, type World } from './access-world.js';

/** So many more than the state keeps. */
const MORE = 5;
const numbered = Array.from({ length: MOST_RESOLVED + MORE }, (_, n) => n);

describe('resolved discrepancies', () => {
  let running: Running;
  let world: World;
  let patient: string;
  let pharmacist: Actor;
  let orphan: string;

  beforeAll(async () => {
    running = await startService();
    world = await newWorld(running);
    [patient] = world.patients as [string];
    pharmacist = world.actors.find(({ role }) => role === 'pharmacist') as Actor;
  });
  afterAll(() => running.close());

  const state = async () => {
    const view = await running.app.get(LedgerReader).chain(patient, patientModel);
    return view as NonNullable<typeof view>;
  };
  const found = (n: number): Discrepancy => ({
    id: `D07:${String(n).padStart(22, '0')}`,
    class: 'D07',
    chain: patient,
    side: 'pharmacy',
    orgs: [pharmacist.org as string],
    reporters: [],
    evidence: { n },
  });
  const record = async (decide: (state: Patient, now: number) => ReturnType<typeof decideReconcile>) => {
    running.clock.advance(1000);
    const outcome = await running.app.get(LedgerWriter).commit({
      actor: SYSTEM,
      chains: [{ id: patient, model: patientModel, mode: 'existing' }],
      decide: ({ states, now }) => decide(states[0] as Patient, now),
    });
    if (!outcome.ok) throw new Error(outcome.refusal.code);
    return outcome;
  };
  const resolve = (id: string) =>
    record((now, at) =>
      decideResolve(now, { id, resolution: 'accepted', note: null }, { chain: patient, now: at, actor: pharmacist }),
    );
  const judge = async () => running.app.get(Reconciler).reconcile((await state()).subjectNumber);
  const listed = async (limit = 50): Promise<DiscrepancyView[]> => {
    const items: DiscrepancyView[] = [];
    for (let after: string | undefined; ;) {
      const page = await running.app.get(DiscrepancyService).list(pharmacist, { limit, ...(after && { after }) });
      items.push(...page.items);
      if (page.next === null) return items;
      expect(page.items).toHaveLength(limit);
      after = page.next;
    }
  };
  const findings = async () => {
    const source = await openReader(running.config);
    try {
      const { origin } = running.app.get(LedgerReader);
      const { vkey } = running.app.get(LedgerWriter);
      const vault = Vault.openExisting(running.config.keysDir, origin);
      return (await verifyDatabase({ source, vkey, vault, remembered: null, models: CHAIN_MODELS })).findings;
    } finally {
      await source.destroy();
    }
  };
  const rows = async () => {
    const db = running.app.get(ReadDb);
    return [
      await db.query('SELECT * FROM discrepancy_row ORDER BY chain, id'),
      await db.query('SELECT * FROM discrepancy_org ORDER BY chain, id, org'),
    ];
  };

  it('leave the state; what a person has resolved is not opened again, what was gone is', async () => {
    // A real one, whose evidence stays in the book.
    const report = {
      order: null,
      patient,
      issue: null,
      medication: LISINOPRIL,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: new Date(running.clock.now() - 60_000).toISOString(),
      reason: 'outage' as const,
      note: null,
      dispenseId: null,
    };
    await running.app.get(SuppliesService).report({ actor: pharmacist }, report);
    await judge();
    [orphan] = (await state()).state.discrepancies.map(({ id }) => id) as [string];
    expect(orphan).toMatch(/^D12:/);
    await resolve(orphan);
    await record((now, at) =>
      decideReconcile(now, { opened: numbered.map(found), gone: [] }, { chain: patient, now: at, actor: SYSTEM }),
    );
    const [gone, ...others] = numbered.map((n) => found(n).id) as [string, ...string[]];
    await record((now, at) =>
      decideReconcile(now, { opened: [], gone: [gone] }, { chain: patient, now: at, actor: SYSTEM }),
    );
    for (const id of others) await resolve(id);

    const before = (await state()).state;
    expect(before.discrepancies).toHaveLength(MOST_RESOLVED);
    expect(before.discrepanciesLeft).toBe(MORE + 1);
    expect(before.discrepancies.some(({ id }) => id === orphan || id === gone)).toBe(false);
    const { seq } = await state();
    await judge();
    expect((await state()).seq).toBe(seq);
    await record((now, at) =>
      decideReconcile(now, { opened: [found(0)], gone: [] }, { chain: patient, now: at, actor: SYSTEM }),
    );
    expect((await state()).state.discrepancies.at(-1)).toMatchObject({ id: gone, status: 'open' });
  });

  it('stay in the list, with what was compared', async () => {
    const all = await listed();
    expect(new Set(all.map(({ id }) => id))).toEqual(new Set([orphan, ...numbered.map((n) => found(n).id)]));
    for (const n of [1, MORE, MORE + 1])
      expect(all.find(({ id }) => id === found(n).id)).toMatchObject({
        patient,
        status: 'resolved',
        resolution: 'accepted',
        evidence: { n },
      });
  });

  it('are resolved once, also when asked about by somebody whom they concern', async () => {
    const service = running.app.get(DiscrepancyService);
    const again = (actor: Actor, n: number) =>
      service.resolve({ actor }, patient, { id: found(n).id, resolution: 'rejected', note: null }).then(
        () => 'resolved',
        (error: unknown) => (error as RefusalException).refusal,
      );
    const code = 'discrepancy.already-resolved';
    expect(await again(pharmacist, 1)).toEqual({ code, facts: { resolution: 'accepted' } });
    expect(await again(pharmacist, MORE + 10)).toEqual({ code, facts: { resolution: 'accepted' } });
    const stranger = world.actors.find(({ role }) => role === 'prescriber') as Actor;
    expect(await again(stranger, 1)).toEqual({ code: 'discrepancy.unknown', facts: {} });
  });

  it('are no alarm, and come back when the lists are made anew', async () => {
    expect(await findings()).toEqual([]);
    const before = await rows();
    expect(before[0]).toHaveLength(MOST_RESOLVED + MORE + 1);
    await running.app
      .get(LedgerWriter)
      .side((db) => db.query('DELETE FROM discrepancy_row WHERE id = ?', [found(2).id]));
    expect(await findings()).toMatchObject([{ kind: 'missing', table: 'discrepancy_row' }]);
    await rebuildLedger(running.config, CHAIN_MODELS);
    expect(await rows()).toEqual(before);
    expect(await findings()).toEqual([]);
  });
});
