/** Patient chains as the ledger sees them: evolve, read-model rows, outside names. */
import type { ChainModel, OutsideName } from '../ledger/model.js';
import { evolvePatient } from './evolve.js';
import { disclosureRow, discrepancyOrg, discrepancyRow, patientRow } from './read-models.js';
import type { Identifier, Patient } from './state.js';

/** A patient's identifier in the outside world, found through a blind index. */
export function patientIdentifier({ system, value }: Identifier): OutsideName {
  return { domain: 'patient-identifier', parts: [system, value] };
}

export const patientModel: ChainModel<Patient> = {
  kind: 'patient',
  // 2: discrepancies have reporters. 3: holds. 4: recent reads. 5: resolved discrepancies leave. 6: disclosures.
  stateVersion: 6,
  // 2: an index for counting open discrepancies. 4: disclosures to auditors.
  rowsVersion: 4,
  readModels: [patientRow, discrepancyRow, discrepancyOrg, disclosureRow],
  evolve: evolvePatient,
  rows: (patient, { chain }) => [
    ...(patient.enrolledAt === null
      ? []
      : [{ table: 'patient_row', values: { chain, enrolled_at: Date.parse(patient.enrolledAt) } }]),
    ...patient.discrepancies.flatMap(
      ({ id, chain: about, class: kind, side, status, seq, openedAt, resolvedAt, ...told }) => {
        const { resolution } = told;
        const opened_at = Date.parse(openedAt);
        const resolved_at = resolvedAt === null ? null : Date.parse(resolvedAt);
        return [
          {
            table: 'discrepancy_row',
            values: { chain, id, about, class: kind, status, side, opened_at, resolved_at, resolution },
          },
          // All organisations that have it in their list. The state and the event decide how much each sees.
          ...[...told.orgs, ...told.reporters.map(({ org }) => org)].map((org) => ({
            table: 'discrepancy_org',
            values: { chain, id, org, status, seq, opened_at, resolved_at, resolution },
          })),
        ];
      },
    ),
    ...patient.disclosures.map(({ seq, auditor, at }) => ({
      table: 'disclosure_row',
      values: { chain, seq, auditor, disclosed_at: Date.parse(at) },
    })),
  ],
  names: (patient) => patient.identifiers.map(patientIdentifier),
  subject: (_patient, { chain }) => ({ subject: chain }),
  // A discrepancy is recorded on the chain of the subject in whose book it was found.
  subjectOfOther: ({ type, data, chain }) =>
    type === 'discrepancy.opened/1' && typeof data['chain'] === 'string'
      ? { chain: data['chain'], subject: chain }
      : null,
};
