import { randomUUID } from 'node:crypto';
import type { LedgerReader } from '../ledger/ledger.reader.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import { SYSTEM } from '../ledger/model.js';
import { RefusalException } from '../http/problem/problem.js';
import { record } from '../http/write/record.js';
import { decideEnrol } from '../patient/decide.js';
import { patientIdentifier, patientModel } from '../patient/chain-model.js';
import type { DemoPatient } from './demo-accounts.js';

/**
 * Enrols a demo patient, by the service itself. Whoever was erased is enrolled anew under a random id, since an id that
 * was erased is never used again.
 * @returns the patient's id; the known one when there is one
 */
export async function enrolDemoPatient(
  writer: LedgerWriter,
  reader: LedgerReader,
  { id = randomUUID(), ...patient }: DemoPatient,
): Promise<string> {
  const [identifier] = patient.identifiers;
  if (!identifier) throw new Error('a demo patient needs an identifier');
  const name = patientIdentifier(identifier);
  const known = await reader.byName(name);
  if (known) return known;
  const said = { ...patient, identifiers: [...patient.identifiers], source: null };
  const otherwise = { id, model: patientModel, mode: 'new', subject: { newSubject: id } } as const;
  try {
    const { state } = await record(writer, { actor: SYSTEM }, [{ name, otherwise }], ([before], context) =>
      decideEnrol(before, said, context),
    );
    return state.id;
  } catch (error) {
    if (!(error instanceof RefusalException)) throw error;
    // Another process that starts at the same moment was first.
    const theirs = await reader.byName(name);
    if (theirs) return theirs;
    if (error.refusal.code === 'ledger.chain-taken') return enrolDemoPatient(writer, reader, patient);
    throw error;
  }
}
