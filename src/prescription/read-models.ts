/** Lists over prescription and supply chains. `chain`, `patient`: numbers of the chain and of the subject whose it is. */
import { EntitySchema } from 'typeorm';
import { bigint, key, nullable, text } from '../database/declare.js';

/** `order_status`: null for a chain that a report or a cancel opened. `timer_at`: when time changes the state next. */
export const prescriptionRow = new EntitySchema({
  name: 'prescription_row',
  columns: {
    chain: key(bigint),
    patient: bigint,
    issuer: text,
    order_status: nullable(text),
    issue_status: nullable(text),
    nominated: nullable(text),
    drug: nullable(text),
    valid_until: nullable(text),
    timer_at: nullable(bigint),
    recorded_at: bigint,
  },
  indices: [
    { name: 'prescription_row_patient', columns: ['patient', 'chain'] },
    { name: 'prescription_row_issuer', columns: ['issuer', 'chain'] },
    { name: 'prescription_row_nominated', columns: ['nominated', 'chain'], where: 'nominated IS NOT NULL' },
    { name: 'prescription_row_timer', columns: ['timer_at'], where: 'timer_at IS NOT NULL' },
  ],
});

/** Pharmacies that hold or held a prescription under a claim. */
export const custody = new EntitySchema({
  name: 'custody',
  columns: { chain: key(bigint), org: key(text), since: bigint },
  indices: [{ name: 'custody_org', columns: ['org', 'chain'] }],
});

/** `org`: the pharmacy that reported it. `matched`: id of the prescription that it was for. */
export const supplyRow = new EntitySchema({
  name: 'supply_row',
  columns: {
    chain: key(bigint),
    patient: bigint,
    org: nullable(text),
    matched: nullable(text),
    recorded_at: bigint,
  },
  indices: [
    { name: 'supply_row_patient', columns: ['patient', 'chain'] },
    { name: 'supply_row_org', columns: ['org', 'chain'] },
  ],
});
