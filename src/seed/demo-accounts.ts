/** The people of development mode (design 7): two practices, two pharmacies and eight accounts. */
import { randomBytes } from 'node:crypto';
import { DEMO_ACCOUNT_IDS, DEMO_IDENTIFIERS, DEMO_IDS } from '../http/openapi/demo-ids.js';
import type { Clock } from '../time/clock.js';
import { type Db, DbError } from '../database/db.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Vault } from '../ledger/keys/vault.js';
import { insertAccount, usernameIndex } from '../identity/accounts/accounts.js';
import { forgetAttempts } from '../identity/accounts/sign-in-attempts.js';
import { sideJob } from '../identity/once.js';
import { insertOrganisation } from '../identity/organisations.js';
import { hashPassword } from '../identity/accounts/passwords.js';
import type { NewAccount, Organisation } from '../identity/people.js';

const zone = 'America/New_York';

/** Their ids are fixed: examples work, and processes that start together on one database make them once. */
export const DEMO_ORGANISATIONS = {
  practice: {
    id: DEMO_IDS.practice,
    kind: 'practice',
    name: 'Elm Street Practice',
    zone,
    npi: '1234567893',
  },
  practice2: { id: DEMO_IDS.practice2, kind: 'practice', name: 'Harbor Clinic', zone, npi: null },
  pharmacy: { id: DEMO_IDS.pharmacy, kind: 'pharmacy', name: 'Corner Pharmacy', zone, npi: null },
  pharmacy2: {
    id: DEMO_IDS.pharmacy2,
    kind: 'pharmacy',
    name: 'Mill Lane Pharmacy',
    zone,
    npi: null,
  },
} as const satisfies Record<string, Organisation>;

/** A made-up patient, as the patient module enrols them. */
export interface DemoPatient {
  /** The id that the patient gets unless it is in use; undefined: a random one. */
  readonly id?: string;
  readonly name: string;
  readonly birthDate: string;
  readonly address: string;
  readonly identifiers: readonly { readonly system: string; readonly value: string }[];
}

const PATIENTS = {
  patient: {
    id: DEMO_IDS.patient,
    name: 'Pat Example',
    birthDate: '1958-04-12',
    address: '1 Sample Road, Springfield',
    identifiers: [DEMO_IDENTIFIERS.patient],
  },
  patient2: {
    id: DEMO_IDS.patient2,
    name: 'Sam Specimen',
    birthDate: '1990-11-03',
    address: '2 Sample Road, Springfield',
    identifiers: [DEMO_IDENTIFIERS.patient2],
  },
} satisfies Record<string, DemoPatient>;

export interface DemoSignIn {
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly role: NewAccount['role'];
  readonly org: string | null;
  readonly patient: string | null;
}

export interface DemoSeed {
  readonly writer: LedgerWriter;
  readonly vault: Vault;
  readonly clock: Clock;
  /** One password for all (`DEMO_PASSWORD`); undefined: a random one for each. */
  readonly password: string | undefined;
  /** Enrols a patient, or finds the one enrolled under the same identifier. @returns the patient's id */
  readonly enrol: (patient: DemoPatient) => Promise<string>;
}

/**
 * Makes what is missing of the demo's organisations, patients and accounts. Every account gets a new password, so that
 * what is printed is what holds.
 * @returns user names and passwords for printing, in the order of design 7
 */
export async function seedDemo({ writer, vault, clock, password, enrol }: DemoSeed): Promise<DemoSignIn[]> {
  await sideJob(writer, async (db) => {
    for (const organisation of Object.values(DEMO_ORGANISATIONS)) {
      const [known] = await db.query('SELECT id FROM organisation WHERE id = ?', [organisation.id]);
      if (!known) await insertOrganisation(db, vault, organisation);
    }
  });
  const patient = await enrol(PATIENTS.patient);
  const patient2 = await enrol(PATIENTS.patient2);
  const { practice, practice2, pharmacy, pharmacy2 } = DEMO_ORGANISATIONS;
  const person = (username: keyof typeof DEMO_ACCOUNT_IDS, name: string) => ({
    username,
    name,
    password: password ?? randomPassword(),
  });
  const accounts: (NewAccount & { username: keyof typeof DEMO_ACCOUNT_IDS })[] = [
    { ...person('prescriber', 'Dr. Alex Prescriber'), role: 'prescriber', org: practice.id },
    { ...person('prescriber2', 'Dr. Robin Prescriber'), role: 'prescriber', org: practice2.id },
    { ...person('pharmacist', 'Kim Pharmacist'), role: 'pharmacist', org: pharmacy.id },
    { ...person('pharmacist2', 'Lee Pharmacist'), role: 'pharmacist', org: pharmacy2.id },
    { ...person('patient', PATIENTS.patient.name), role: 'patient', patient },
    { ...person('patient2', PATIENTS.patient2.name), role: 'patient', patient: patient2 },
    { ...person('auditor', 'Chris Auditor'), role: 'auditor' },
    { ...person('admin', 'Jo Administrator'), role: 'administrator' },
  ];
  return Promise.all(
    accounts.map(async (account) => {
      const hashed = await hashPassword(account.password);
      const id = await sideJob(writer, (db) =>
        upsert(db, vault, DEMO_ACCOUNT_IDS[account.username], account, hashed, clock.now()),
      );
      return {
        id,
        username: account.username,
        password: account.password,
        role: account.role,
        org: 'org' in account ? account.org : null,
        patient: 'patient' in account ? account.patient : null,
      };
    }),
  );
}

/** @throws when the name belongs to an account that is not of the demo */
async function upsert(
  db: Db,
  vault: Vault,
  id: string,
  account: NewAccount,
  password: string,
  now: number,
): Promise<string> {
  const index = usernameIndex(vault, account.username);
  const [known] = await db.query<{ id: string; demo: number }>(
    'SELECT id, demo FROM account WHERE username_index = ?',
    [index],
  );
  if (known?.demo === 0) throw new Error(`the demo's user name "${account.username}" belongs to a real account`);
  if (known) {
    await db.query('UPDATE account SET password = ?, disabled = 0 WHERE id = ?', [password, known.id]);
    await forgetAttempts(db, index);
    return known.id;
  }
  const made = await insertAccount(db, vault, { id, account, password, demo: true }, now);
  // Another process that starts at the same moment was first: looked at again, it is known.
  if ('refusal' in made && made.refusal.code === 'identity.username-taken') throw new DbError('conflict', 'taken');
  if ('refusal' in made) throw new Error(`a demo account was refused: ${made.refusal.code}`);
  return made.ref;
}

function randomPassword(): string {
  return randomBytes(12).toString('base64url');
}
