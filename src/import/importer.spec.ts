import type { JsonObject } from '../ledger/core/record/event.js';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clock } from '../time/clock.js';
import { Config } from '../config/config.js';
import { SYSTEM } from '../ledger/model.js';
import { type Ledger, openLedger } from '../ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { patientIdentifier, patientModel } from '../patient/chain-model.js';
import { orderName, prescriptionModel, supplyModel } from '../prescription/chain-models.js';
import { bundle, encounter, ids, order, organisation, patient, practitioner } from './bundle.fixture.js';
import { sharedPath } from '../../test/support/shared.js';
import { type ImportCounts, importFiles } from './importer.js';

const everybody = [patient, organisation, practitioner, encounter];
const shared = sharedPath('fhir/synthea');

function ndjson(...resources: JsonObject[]): string {
  return resources.map((resource) => JSON.stringify(resource)).join('\n');
}

describe('importFiles', () => {
  let folder = '';
  let ledger: Ledger;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rxledger-import-'));
    const config = Config.parse({ DATA_DIR: join(folder, 'data') });
    ledger = await openLedger(config, new Clock(), [prescriptionModel, supplyModel, patientModel]);
  });
  afterEach(async () => {
    await ledger.close();
    await rm(folder, { recursive: true });
  });

  async function file(name: string, content: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  }

  const run = (...files: string[]): Promise<ImportCounts> => importFiles(files, ledger, { zone: 'UTC' });

  async function entries(): Promise<number> {
    const [row] = await ledger.db.query<{ size: number }>('SELECT size FROM log_head');
    return row?.size ?? 0;
  }

  it('records an order under its issuer and number, its patient and its organisation, once', async () => {
    const path = await file('b.json', bundle(...everybody, order()));
    expect(await run(path)).toEqual({
      recorded: 1,
      alreadyThere: 0,
      refused: [],
      patients: { enrolled: 1, alreadyThere: 0 },
      resources: 5,
      ignored: 0,
    });
    const chain = await ledger.reader.byName(orderName({ issuer: ids.organisation, number: ids.order }));
    const rx = await ledger.reader.chain(chain ?? '', prescriptionModel);
    const enrolled = await ledger.reader.byName(
      patientIdentifier({ system: 'https://state.example/id', value: 'S-200' }),
    );
    expect(rx?.subject).toBe(enrolled);
    expect(rx?.state.order).toMatchObject({
      historical: true,
      patient: enrolled,
      quantity: { value: '30' },
      zone: 'UTC',
    });
    const [event] = await ledger.reader.events(chain ?? '');
    expect(event?.data).toMatchObject({ source: order() });
    expect(await ledger.db.query('SELECT id, kind, name, zone FROM organisation')).toEqual([
      { id: ids.organisation, kind: 'practice', name: 'Test Clinic', zone: 'UTC' },
    ]);

    const before = await entries();
    expect(await run(path)).toMatchObject({
      recorded: 0,
      alreadyThere: 1,
      refused: [],
      patients: { enrolled: 0, alreadyThere: 1 },
    });
    expect(await entries()).toBe(before);
  });

  it('puts files together, whatever their order, and counts what it does not know', async () => {
    const orders = await file('1.ndjson', ndjson(order(), { resourceType: 'Observation', id: 'o' }));
    const people = await file('2.ndjson', ndjson(practitioner, encounter, organisation, patient));
    expect(await run(orders, people, orders)).toMatchObject({ recorded: 1, refused: [], resources: 6, ignored: 1 });
  });

  it('says of each thing that it does not take where it stood and why', async () => {
    const files = [
      await file('letter.txt', 'Dear all'),
      await file('empty.json', ''),
      await file('x.ndjson', `${ndjson(order(), order({ intent: 'plan' }))}\n{`),
      join(folder, 'nowhere.json'),
    ];
    const counts = await run(...files);
    expect(counts).toMatchObject({ recorded: 0, alreadyThere: 0, patients: { enrolled: 0 } });
    expect(counts.refused.toSorted((a, b) => a.source.localeCompare(b.source))).toEqual([
      { source: files[1], reason: 'import.empty' },
      { source: files[0], reason: 'import.bad-json' },
      { source: files[3], reason: 'import.unreadable' },
      { source: `${files[2]}:1`, reason: 'import.unknown-patient' },
      { source: `${files[2]}:2`, reason: 'import.not-an-order' },
      { source: `${files[2]}:3`, reason: 'import.bad-json' },
    ]);
    expect(await entries()).toBe(0);
  });

  it('takes whoever shares an identifier for the same patient, in one import and in the next', async () => {
    const again = {
      ...patient,
      id: randomUUID(),
      identifier: [{ system: 'https://state.example/id', value: 'S-200' }],
    };
    const theirs = order({ id: randomUUID(), subject: { reference: `urn:uuid:${again.id}` } });
    const one = await file('1.json', bundle(...everybody, order()));
    const two = await file('2.json', bundle(again, practitioner, theirs));
    expect(await run(one, two)).toMatchObject({ recorded: 2, patients: { enrolled: 1 } });
    const later = await file('3.json', bundle(again, practitioner, { ...theirs, id: randomUUID() }));
    expect(await run(later)).toMatchObject({ recorded: 1, patients: { enrolled: 0, alreadyThere: 1 } });
    expect(await ledger.db.query('SELECT chain FROM patient_row')).toHaveLength(1);
  });

  it('refuses a patient that contradicts a known one, and their orders', async () => {
    const other = { ...patient, id: randomUUID(), birthDate: '1999-01-01' };
    const theirs = order({ id: randomUUID(), subject: { reference: `urn:uuid:${other.id}` } });
    const one = await file('1.json', bundle(...everybody, order()));
    const two = await file('2.json', bundle(other, practitioner, theirs));
    const refused = [
      { source: `${two}:entry[0]`, reason: 'import.patient-conflict' },
      { source: `${two}:entry[2]`, reason: 'import.patient-refused' },
    ];
    expect(await run(one, two)).toMatchObject({ recorded: 1, refused });
    expect(await run(two)).toMatchObject({ recorded: 0, refused });
  });

  it('refuses a patient whose identifiers belong to two others', async () => {
    const [first, second] = [patient.id, randomUUID()].map((id, n) => ({
      ...patient,
      id,
      identifier: [{ system: 'https://clinic.example/mrn', value: `M-${n}` }],
    }));
    const both = {
      ...patient,
      id: randomUUID(),
      identifier: [...(first?.identifier ?? []), ...(second?.identifier ?? [])],
    };
    await run(await file('1.ndjson', ndjson({ ...first }, { ...second })));
    const path = await file(
      '2.ndjson',
      ndjson(both, practitioner, order({ subject: { reference: `Patient/${both.id}` } })),
    );
    expect((await run(path)).refused).toEqual([
      { source: `${path}:1`, reason: 'import.patient-ambiguous' },
      { source: `${path}:3`, reason: 'import.patient-refused' },
    ]);
  });

  it('records many orders at once and tells how far it is', async () => {
    const many = Array.from({ length: 700 }, (_, n) => order({ id: randomUUID(), identifier: [{ value: `RX-${n}` }] }));
    const path = await file('many.ndjson', ndjson(...everybody, ...many, ...many));
    const phases = new Set<string>();
    const counts = await importFiles([path], ledger, { zone: 'UTC', onProgress: (phase) => phases.add(phase) });
    expect(counts).toMatchObject({ recorded: 700, alreadyThere: 700, refused: [] });
    expect(await entries()).toBe(701);
    expect(phases).toEqual(new Set(['reading', 'recording']));
  });

  it('refuses the orders of who is erased meanwhile', async () => {
    const path = await file('b.ndjson', ndjson(...everybody, order()));
    const beside = {
      ...ledger,
      writer: {
        side: ledger.writer.side.bind(ledger.writer),
        commit: async (command: Parameters<typeof ledger.writer.commit>[0]) => {
          const outcome = await ledger.writer.commit(command);
          if (outcome.ok && outcome.events[0]?.type === 'patient.enrolled/1')
            await ledger.writer.erase(outcome.ids[0] ?? '', SYSTEM);
          return outcome;
        },
      },
    };
    const counts = await importFiles([path], beside, { zone: 'UTC' });
    expect(counts).toMatchObject({ recorded: 0, refused: [{ reason: 'ledger.chain-unknown' }] });
    expect(await entries()).toBe(2);
  });

  it('waits for a ledger that is away, and gives up with its error', async () => {
    const path = await file('b.json', bundle(...everybody, order()));
    let refusals = 3;
    const pauses: number[] = [];
    const flaky = {
      ...ledger,
      writer: {
        side: ledger.writer.side.bind(ledger.writer),
        commit: (command: Parameters<typeof ledger.writer.commit>[0]) =>
          refusals-- > 0 ? Promise.reject(new LedgerUnavailable('away', 2)) : ledger.writer.commit(command),
      },
    };
    const pause = (milliseconds?: number) => Promise.resolve(pauses.push(milliseconds ?? 0)) as Promise<never>;
    expect(await importFiles([path], flaky, { zone: 'UTC', pause })).toMatchObject({ recorded: 1 });
    expect(pauses).toEqual([2000, 2000, 2000]);
    refusals = 6;
    await expect(importFiles([path], flaky, { zone: 'UTC', pause })).rejects.toThrow(LedgerUnavailable);
    expect(await importFiles([path], flaky, { zone: 'UTC', pause })).toMatchObject({ alreadyThere: 1 });
  });

  it.skipIf(!existsSync(shared))('Synthea (needs ../shared/fhir): 25 orders, then none', async () => {
    const files = readdirSync(shared).map((name) => join(shared, name));
    expect(await run(...files)).toMatchObject({
      recorded: 25,
      alreadyThere: 0,
      refused: [],
      patients: { enrolled: 2 },
    });
    const before = await entries();
    expect(before).toBe(27);
    expect(await run(...files.toReversed())).toMatchObject({ recorded: 0, alreadyThere: 25, refused: [] });
    expect(await entries()).toBe(before);
  });
});
