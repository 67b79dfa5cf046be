/** The people of the demo: the accounts of development mode, and patients that the practices enrol. */
import type { Clock } from '../time/clock.js';
import { DEMO_ORGANISATIONS, type DemoSignIn } from '../seed/demo-accounts.js';
import { Client } from './client.js';

/** Somebody who signs in. */
export interface Person {
  /** Name in the transcript: the organisation's, or the patient's. */
  readonly name: string;
  readonly client: Client;
  /** Organisation id. */
  readonly org: string | null;
  /** Patient id. */
  readonly patient: string | null;
}

export interface PatientRef {
  readonly id: string;
  readonly name: string;
}

/** A patient with an account, for their own doses and data. */
export type PatientPerson = Person & PatientRef;

export interface Cast {
  /** Prescriber of Elm Street Practice. */
  readonly elm: Person;
  /** Prescriber of Harbor Clinic. */
  readonly harbor: Person;
  /** Pharmacist of Corner Pharmacy. */
  readonly corner: Person;
  /** Pharmacist of Mill Lane Pharmacy. */
  readonly mill: Person;
  readonly pat: PatientPerson;
  readonly sam: PatientPerson;
  readonly auditor: Person;
}

/** Zone of legal days and of times in the transcript. All four organisations are in it. */
export const ZONE = DEMO_ORGANISATIONS.practice.zone;

export function castOf(signIns: readonly DemoSignIn[], address: string, clock: Clock): Cast {
  const { practice, practice2, pharmacy, pharmacy2 } = DEMO_ORGANISATIONS;
  const person = (username: string, name: string): Person => {
    const account = signIns.find((one) => one.username === username);
    if (!account) throw new Error(`there is no demo account ${username}`);
    return { name, client: new Client(address, clock, account), org: account.org, patient: account.patient };
  };
  const patient = (username: string, name: string): PatientPerson => {
    const one = person(username, name);
    if (one.patient === null) throw new Error(`${username} is no patient`);
    return { ...one, id: one.patient };
  };
  return {
    elm: person('prescriber', practice.name),
    harbor: person('prescriber2', practice2.name),
    corner: person('pharmacist', pharmacy.name),
    mill: person('pharmacist2', pharmacy2.name),
    pat: patient('patient', 'Pat Example'),
    sam: patient('patient2', 'Sam Specimen'),
    auditor: person('auditor', 'auditor'),
  };
}
