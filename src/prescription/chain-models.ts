/** Prescription and supply chains as the ledger sees them: evolve, read-model rows, outside names. */
import type { ChainModel, OutsideName } from '../ledger/model.js';
import type { OrderName } from './events.js';
import { evolvePrescription } from './evolve.js';
import { evolveSupply } from './evolve-supply.js';
import type { Prescription, Supply } from './state.js';
import { currentIssue, nextTimer } from './queries.js';
import { custody, prescriptionRow, supplyRow } from './read-models.js';
import { SIGNABLE_ON_PRESCRIPTION, SIGNABLE_ON_SUPPLY } from './signable.js';

/** How the world outside names an order; found again through a blind index. */
export function orderName({ issuer, number }: OrderName): OutsideName {
  return { domain: 'order', parts: [issuer, number] };
}

export const prescriptionModel: ChainModel<Prescription> = {
  kind: 'prescription',
  // 2: a report no longer makes its pharmacy a custodian.
  stateVersion: 2,
  rowsVersion: 1,
  readModels: [prescriptionRow, custody],
  signable: SIGNABLE_ON_PRESCRIPTION,
  consequences: {
    'order.cancelled/1': [
      'order.issued/1',
      'dispense.released/1',
      'dispense.recorded/1',
      'dispense.not-dispensed/1',
      'dispense.reversed/1',
    ],
    'issue.readied/1': ['dispense.claimed/1'],
    'issue.expired/1': ['dispense.reversed/1'],
  },
  evolve: evolvePrescription,
  rows: (rx, { chain, subject }) => [
    {
      table: 'prescription_row',
      values: {
        chain,
        patient: subject,
        issuer: rx.name.issuer,
        order_status: rx.status,
        issue_status: currentIssue(rx)?.status ?? null,
        nominated: rx.order?.nominatedPharmacy ?? null,
        drug: rx.order?.medication.code ?? null,
        valid_until: rx.order?.validUntil ?? null,
        timer_at: nextTimer(rx),
        recorded_at: Date.parse(rx.order?.recordedAt ?? rx.recordedAt),
      },
    },
    ...rx.pharmacies.map(({ org, since }) => ({
      table: 'custody',
      values: { chain, org, since: Date.parse(since) },
    })),
  ],
  names: (rx) => [orderName(rx.name)],
  subject: (rx, event) => {
    // A report that comes before its order is its patient's where the pharmacy named one; later ones change nothing.
    const patient = rx.order?.patient ?? (event.seq === 0 ? event.data['patient'] : null);
    return typeof patient === 'string' ? { subject: patient } : null;
  },
};

export const supplyModel: ChainModel<Supply> = {
  kind: 'supply',
  stateVersion: 1,
  rowsVersion: 1,
  readModels: [supplyRow],
  signable: SIGNABLE_ON_SUPPLY,
  evolve: evolveSupply,
  rows: (supply, { chain, subject }) => [
    {
      table: 'supply_row',
      values: {
        chain,
        patient: subject,
        org: supply.pharmacy,
        matched: supply.matchedTo,
        recorded_at: Date.parse(supply.recordedAt),
      },
    },
  ],
  names: () => [],
  subject: ({ patient, matchedTo }) => {
    if (patient !== null) return { subject: patient };
    return matchedTo === null ? null : { subjectOf: matchedTo };
  },
};
