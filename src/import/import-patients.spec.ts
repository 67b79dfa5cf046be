import { afterEach, beforeEach, expect, it } from 'vitest';
import { temporaryFolder, testConfig } from '../../test/support/ledger.js';
import { CHAIN_MODELS } from '../chain-models.js';
import { Clock } from '../time/clock.js';
import { type Ledger, openLedger } from '../ledger/start/open-ledger.js';
import { patientIdentifier } from '../patient/chain-model.js';
import { patient } from './bundle.fixture.js';
import { ImportPatients } from './import-patients.js';
import type { Item } from './parse.js';
import type { ImportTarget } from './target.js';

const folder = temporaryFolder();
let ledger: Ledger;
beforeEach(async () => {
  ledger = await openLedger(testConfig(folder.path), new Clock(), CHAIN_MODELS);
});
afterEach(async () => {
  await ledger.close();
  folder.remove();
});

const item = (values: readonly string[]): Item => ({
  source: 'test',
  file: 'test',
  fullUrl: null,
  type: 'Patient',
  resource: { ...patient, identifier: values.map((value) => ({ system: 'urn:mrn', value })) },
});

it('a patient whom somebody else enrols meanwhile under a further identifier is that patient', async () => {
  let first = true;
  const raced: ImportTarget = {
    ...ledger,
    writer: {
      side: (job) => ledger.writer.side(job),
      async commit(command) {
        if (first) {
          first = false;
          expect(await new ImportPatients(ledger).take(item(['shared', 'other']))).toBeNull();
        }
        return ledger.writer.commit(command);
      },
    },
  };
  const patients = new ImportPatients(raced);
  expect(await patients.take(item(['own', 'shared']))).toBeNull();
  expect({ enrolled: patients.enrolled, alreadyThere: patients.alreadyThere }).toEqual({
    enrolled: 0,
    alreadyThere: 1,
  });
  expect(await ledger.reader.byName(patientIdentifier({ system: 'urn:mrn', value: 'own' }))).toBeNull();
  // Later patients are not affected.
  expect(await patients.take(item(['somebody', 'else']))).toBeNull();
  expect(patients.enrolled).toBe(1);
});
