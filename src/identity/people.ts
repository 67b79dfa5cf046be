/** Organisations and accounts in requests and answers. The schemas are their only description. */
import { z } from 'zod';
import { DEMO_IDS } from '../http/openapi/demo-ids.js';
import { isZone } from '../time/legal-days.js';
import { hasNpiChecksum } from './npi.js';

/** RFC 9562 accepts either case; here, and in the log's entries, an id has only one spelling. */
export const uuid = z.uuid({ version: 'v4' }).toLowerCase();

/** The id of an enrolled patient. In development mode the document's own example is one. */
export const patientId = uuid.meta({ example: DEMO_IDS.patient });

/** An organisation keeps the UUID that it was imported with, of any version. */
export const organisationId = z.guid().toLowerCase();

export const name = z.string().trim().min(1).max(200);

export const newOrganisation = z
  .strictObject({
    kind: z.enum(['practice', 'pharmacy']),
    name,
    zone: z
      .string()
      .max(64)
      .refine(isZone, 'must be an IANA time zone, for example America/New_York')
      .describe('IANA time zone in which its days count, for example America/New_York'),
    npi: z
      .string()
      .refine(hasNpiChecksum, 'must be an NPI: ten digits, the last of which is its check digit')
      .nullable()
      .default(null),
  })
  .meta({
    id: 'NewOrganisation',
    title: 'NewOrganisation',
    example: { kind: 'pharmacy', name: 'Riverside Pharmacy', zone: 'America/Chicago' },
  });
export type NewOrganisation = z.output<typeof newOrganisation>;

export const organisation = newOrganisation
  .extend({ id: organisationId, npi: z.string().nullable() })
  .meta({ id: 'Organisation', title: 'Organisation' });
export type Organisation = z.output<typeof organisation>;

/** Names an account; compared in lower case. */
export const username = z
  .string()
  .toLowerCase()
  .regex(/^[a-z0-9][a-z0-9._@-]{2,63}$/, 'must be 3 to 64 letters, digits or . _ @ - and begin with a letter or digit');

const person = {
  username,
  name: name.describe('as others see it; stored encrypted'),
  password: z.string().min(12).max(200).describe('at least 12 characters'),
};

export const newAccount = z
  .discriminatedUnion('role', [
    z.strictObject({ ...person, role: z.literal('prescriber'), org: organisationId.describe('a practice') }),
    z.strictObject({ ...person, role: z.literal('pharmacist'), org: organisationId.describe('a pharmacy') }),
    z.strictObject({ ...person, role: z.literal('patient'), patient: uuid.describe('an enrolled patient') }),
    z.strictObject({ ...person, role: z.literal('auditor') }),
    z.strictObject({ ...person, role: z.literal('administrator') }),
  ])
  .meta({
    id: 'NewAccount',
    title: 'NewAccount',
    example: {
      role: 'pharmacist',
      org: DEMO_IDS.pharmacy,
      username: 'n.example',
      name: 'Noor Example',
      password: 'four words make one',
    },
  });
export type NewAccount = z.output<typeof newAccount>;

/** An account without its password, which not every account has. */
export type Holder = NewAccount extends infer Each ? (Each extends unknown ? Omit<Each, 'password'> : never) : never;

export const account = z
  .object({
    id: uuid,
    username: z.string(),
    name: z.string(),
    role: z.enum(['prescriber', 'pharmacist', 'patient', 'auditor', 'administrator']),
    org: organisationId.nullable(),
    patient: uuid.nullable(),
    disabled: z.boolean(),
  })
  .meta({ id: 'Account', title: 'Account' });
export type Account = z.output<typeof account>;

/** An actor, as answers show it. */
export const actorShape = z
  .object({ id: z.string(), role: z.string(), org: z.string().nullable().describe('id of their organisation') })
  .meta({ id: 'Actor', title: 'Actor' });
