/** Cancels: one that crosses a claim, one that a pharmacy did not see, one that comes before its order. */
import type { PrescriptionView } from '../../prescription/views/prescription-view.js';
import type { PatientRef } from '../cast.js';
import { scene, type Story } from '../play.js';
import {
  cancel,
  cancelByNumber,
  claim,
  type Claimed,
  count,
  type Issued,
  product,
  release,
  report,
} from '../requests.js';
import { enrols, prescribes } from './prescribing.js';

const effectOf = ({ cancel: asked }: PrescriptionView) => asked?.effect ?? 'lost';

/** The pharmacy holds the prescription when the practice cancels: the cancel waits until it is given back. */
export const crossing: Story = (stage) => {
  const { harbor, corner, mill } = stage.cast;
  const what = product('835603');
  let patient: PatientRef;
  let issued: Issued;
  let claimed: Claimed;
  return [
    scene(5, '09:05', async () => {
      patient = await enrols(stage, harbor, {
        name: 'Theo Muster',
        birthDate: '1971-09-30',
        address: '4 Sample Road, Springfield',
        number: 'demo-patient-4',
      });
      const directions = 'One tablet every six hours as needed for pain';
      const order = { patient, product: what, quantity: 20, daysSupply: 5, directions, refills: 1 };
      issued = await prescribes(stage, harbor, order);
    }),
    scene(5, '10:30', async () => {
      const words = `claimed ${what.words} for ${patient.name}`;
      claimed = stage.did(corner, words, await claim(corner, issued.prescription, issued.token));
    }),
    scene(5, '10:42', async () => {
      const { prescription: rx, token } = issued;
      stage.did(
        harbor,
        ({ prescription }) =>
          `cancelled it (adverse-reaction) while ${corner.name} holds it: ${effectOf(prescription)}`,
        await cancel(harbor, rx, { reason: 'adverse-reaction' }),
      );
      stage.refused(mill, 'tried to claim it', 'prescription.cancel-pending', await claim(mill, rx, token));
    }),
    scene(5, '11:15', async () => {
      const { prescription: rx, token } = issued;
      stage.did(
        corner,
        ({ prescription }) => `released it: the cancel is ${effectOf(prescription)}, the order ${prescription.status}`,
        await release(corner, claimed, 'cannot-serve'),
      );
      stage.refused(mill, 'tried to claim it', 'prescription.cancelled', await claim(mill, rx, token));
    }),
  ];
};

/** A pharmacy that was offline hands over a prescription cancelled the day before, and reports it. */
export const afterCancel: Story = (stage) => {
  const { elm, mill } = stage.cast;
  const what = product('617310');
  let patient: PatientRef;
  let issued: Issued;
  return [
    scene(7, '09:20', async () => {
      patient = await enrols(stage, elm, {
        name: 'Omar Placeholder',
        birthDate: '1963-12-05',
        address: '5 Sample Road, Springfield',
        number: 'demo-patient-5',
      });
      const order = { patient, product: what, quantity: 30, daysSupply: 30, directions: 'One tablet every evening' };
      issued = await prescribes(stage, elm, order);
    }),
    scene(8, '16:00', async () => {
      const words = `cancelled ${what.words} for ${patient.name} (clinical-change)`;
      stage.did(elm, words, await cancel(elm, issued.prescription, { reason: 'clinical-change' }));
    }),
    scene(10, '08:40', async () => {
      const { prescription: rx } = issued;
      const reported = await report(mill, {
        product: what,
        quantity: 30,
        daysSupply: 30,
        order: { issuer: elm, number: rx.number },
        whenHandedOver: new Date(stage.calendar.instant(9, '12:15')).toISOString(),
        reason: 'outage',
      });
      stage.did(mill, `reported ${count(30, what)} ${what.words}, handed over yesterday (outage)`, reported);
      const found = await stage.found('D03', rx.id, elm, `${what.words}, ${patient.name}`);
      const body = { resolution: 'corrected', note: 'The patient was called and brought the tablets back.' };
      await stage.resolve(found, elm, body, 'resolved: the patient brought the tablets back (corrected)');
    }),
  ];
};

/** Messages cross: the cancel arrives before the order that it cancels. */
export const beforeItsOrder: Story = (stage) => {
  const { harbor, corner, sam } = stage.cast;
  const what = product('312941');
  const number = 'HC-3007';
  return [
    scene(21, '15:30', async () => {
      stage.did(
        harbor,
        ({ prescription }) =>
          `cancelled order ${number} (duplicate), which is not known yet: ${effectOf(prescription)}`,
        await cancelByNumber(harbor, { number, reason: 'duplicate' }),
      );
    }),
    scene(22, '09:00', async () => {
      const directions = 'One tablet every morning';
      const order = { patient: sam, product: what, quantity: 30, daysSupply: 30, directions, number };
      const { prescription: rx, token } = await prescribes(stage, harbor, order);
      stage.say(harbor.name, `that was order ${number}: ${rx.status} on arrival`);
      stage.refused(corner, 'tried to claim it', 'prescription.cancelled', await claim(corner, rx, token));
    }),
  ];
};

export const cancelling: readonly Story[] = [crossing, afterCancel, beforeItsOrder];
