/** Lists over patient chains. `chain`: number of the patient's chain. */
import { EntitySchema } from 'typeorm';
import { bigint, key, nullable, text } from '../database/declare.js';

/** Enrolled patients; a provisional patient has no row. */
export const patientRow = new EntitySchema({
  name: 'patient_row',
  columns: { chain: key(bigint), enrolled_at: bigint },
});

/** `about`: id of the prescription or supply chain that it is about. */
export const discrepancyRow = new EntitySchema({
  name: 'discrepancy_row',
  columns: {
    chain: key(bigint),
    id: key(text),
    about: text,
    class: text,
    status: text,
    side: text,
    opened_at: bigint,
    resolved_at: nullable(bigint),
    resolution: nullable(text),
  },
  indices: [
    { name: 'discrepancy_row_about', columns: ['about'] },
    // For counting open discrepancies by class.
    { name: 'discrepancy_row_status', columns: ['status', 'class'] },
  ],
});

/**
 * Organisations that have a discrepancy in their list, with the columns to sort and filter by. `seq`: position of the
 * opening event on the patient's chain. Only that event holds the evidence.
 */
export const discrepancyOrg = new EntitySchema({
  name: 'discrepancy_org',
  columns: {
    chain: key(bigint),
    id: key(text),
    org: key(text),
    status: text,
    seq: bigint,
    opened_at: bigint,
    resolved_at: nullable(bigint),
    resolution: nullable(text),
  },
  indices: [
    { name: 'discrepancy_org_opened', columns: ['org', 'opened_at', 'chain', 'id'] },
    { name: 'discrepancy_org_status', columns: ['org', 'status', 'opened_at', 'chain', 'id'] },
  ],
});

/** Disclosures to auditors. `seq`: position of the recording event. */
export const disclosureRow = new EntitySchema({
  name: 'disclosure_row',
  columns: { chain: key(bigint), seq: key(bigint), auditor: text, disclosed_at: bigint },
  indices: [{ name: 'disclosure_row_auditor', columns: ['auditor', 'disclosed_at', 'chain', 'seq'] }],
});
