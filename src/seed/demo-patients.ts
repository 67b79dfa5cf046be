import { randomUUID } from 'node:crypto';
import type { LedgerReader } from '../ledger/ledger.reader.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import { SYSTEM } from '../ledger/model.js';
import { decideEnrol } from '../patient/decide.js';
import { patientIdentifier, patientModel } from '../patient/chain-model.js';
import type { Patient } from '../patient/state.js';
import type { DemoPatient } from './demo-accounts.js';

/** Enrols a demo patient, by the service itself. @returns the patient's id; the known one when there is one */
export async function enrolDemoPatient(
  writer: LedgerWriter,
  reader: LedgerReader,
  patient: DemoPatient,
): Promise<string> {
  const [identifier] = patient.identifiers;
  if (!identifier) throw new Error('a demo patient needs an identifier');
  const name = patientIdentifier(identifier);
  const known = await reader.byName(name);
  if (known) return known;
  const id = randomUUID();
  const outcome = await writer.commit({
    actor: SYSTEM,
    chains: [{ name, otherwise: { id, model: patientModel, mode: 'new', subject: { newSubject: id } } }],
    decide: ({ states, ids, now }) =>
      decideEnrol(
        states[0] as Patient | null,
        { ...patient, source: null },
        { chain: ids[0] ?? id, now, actor: SYSTEM },
      ),
  });
  if (outcome.ok) return outcome.ids[0] ?? id;
  // Another process that starts at the same moment was first.
  const theirs = await reader.byName(name);
  if (theirs) return theirs;
  throw new Error(`a demo patient was refused: ${outcome.refusal.code}`);
}
