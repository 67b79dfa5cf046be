/**
 * Controlled substances: the limits of schedule II, an earliest fill date that the timer watches, and a refill too
 * early.
 */
import type { PatientRef } from '../cast.js';
import { scene, type Story } from '../play.js';
import { claim, count, dispense, type Issued, prescribe, product } from '../requests.js';
import { enrols, prescribes } from './prescribing.js';
import type { PrescriptionView } from '../../prescription/views/prescription-view.js';

/** Schedule II: no refills, and no fill before the earliest date. */
export const scheduleTwo: Story = (stage) => {
  const { elm, corner } = stage.cast;
  const what = product('1049621');
  const full = { product: what, quantity: 40, daysSupply: 10 };
  let patient: PatientRef;
  let issued: Issued;
  return [
    scene(8, '11:10', async () => {
      patient = await enrols(stage, elm, {
        name: 'Maria Sample',
        birthDate: '1949-06-21',
        address: '6 Sample Road, Springfield',
        number: 'demo-patient-6',
      });
      const directions = 'One tablet every six hours';
      const order = { patient, ...full, directions, earliestFillOn: stage.calendar.date(12) };
      const words = `tried ${what.words} with a refill`;
      const withRefill = await prescribe(elm, { ...order, refills: 1 });
      stage.refused(elm, words, 'prescription.too-many-refills', withRefill);
      issued = await prescribes(stage, elm, order);
    }),
    scene(10, '16:20', async () => {
      const { prescription: rx, token } = issued;
      const words = 'tried to claim oxycodone two days early';
      stage.refused(corner, words, 'prescription.not-ready', await claim(corner, rx, token));
    }),
    scene(12, '00:01', async () => {
      const path = `/api/prescriptions/${issued.prescription.id}`;
      const ready = await stage.until(async () => {
        const rx = await elm.client.get<PrescriptionView>(path);
        return rx.issues[0]?.status === 'ready';
      });
      if (ready) stage.say('timer', `${what.words} for ${patient.name} is ready: its first fill day has come`);
      else stage.fail(`the timer did not make ${what.words} ready on its day`);
    }),
    scene(12, '09:25', async () => {
      const claimed = stage.did(corner, null, await claim(corner, issued.prescription, issued.token));
      const words = `claimed and dispensed ${count(40, what)} ${what.words} to ${patient.name}`;
      stage.did(corner, words, await dispense(corner, claimed, full));
    }),
  ];
};

/** Schedule IV with refills: the pharmacy may fill again, and reconciliation notices that it is early. */
export const earlyRefill: Story = (stage) => {
  const { harbor, corner, sam } = stage.cast;
  const what = product('308048');
  const full = { product: what, quantity: 20, daysSupply: 20 };
  let issued: Issued;
  return [
    scene(4, '13:30', async () => {
      const directions = 'One tablet at bedtime';
      issued = await prescribes(stage, harbor, { patient: sam, ...full, directions, refills: 3 });
    }),
    scene(4, '17:05', async () => {
      const claimed = stage.did(corner, null, await claim(corner, issued.prescription, issued.token));
      const words = `claimed and dispensed ${count(20, what)} ${what.words} to ${sam.name}`;
      stage.did(corner, words, await dispense(corner, claimed, full));
    }),
    scene(14, '10:15', async () => {
      const { prescription: rx } = issued;
      const claimed = stage.did(corner, null, await claim(corner, rx));
      const words = `refilled ${count(20, what)} ${what.words} for ${sam.name} (refill 1 of 3)`;
      stage.did(corner, words, await dispense(corner, claimed, full));
      const found = await stage.found('D13', rx.id, harbor, `${what.words}, ${sam.name}`);
      const body = { resolution: 'accepted', note: 'Two weeks abroad.' };
      await stage.resolve(found, harbor, body, 'resolved: the patient travels (accepted)');
    }),
  ];
};

export const controlled: readonly Story[] = [scheduleTwo, earlyRefill];
