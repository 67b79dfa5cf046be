/** The first steps of nearly every story. */
import type { PatientRef, Person } from '../cast.js';
import { count, enrol, type Issued, type NewOrder, type NewPatient, prescribe } from '../requests.js';
import type { Stage } from '../stage.js';

/** Enrols a patient and prints it. */
export async function enrols(stage: Stage, by: Person, patient: NewPatient): Promise<PatientRef> {
  return stage.did(by, `enrolled ${patient.name}`, await enrol(by, patient)).patient;
}

/** Issues a prescription and prints its content. */
export async function prescribes(stage: Stage, by: Person, order: NewOrder): Promise<Issued> {
  const issued = await prescribe(by, order);
  const schedule = issued.ok ? issued.body.prescription.schedule : null;
  const { refills = 0, earliestFillOn, nominated } = order;
  const parts = [
    `prescribed ${count(order.quantity, order.product)} ${order.product.words} for ${order.patient.name}`,
    ...(schedule ? [`C-${schedule}`] : []),
    ...(refills > 0 ? [`${refills} ${refills === 1 ? 'refill' : 'refills'}`] : []),
    ...(earliestFillOn ? [`not before ${stage.calendar.words(earliestFillOn)}`] : []),
    ...(nominated ? [`to ${nominated.name.replace(' Pharmacy', '')}`] : []),
  ];
  return stage.did(by, parts.join(', '), issued);
}
