/** A patient as the API shows them. */
import { z } from 'zod';
import { DEMO_IDENTIFIERS } from '../http/openapi/demo-ids.js';
import { patientId } from '../identity/people.js';
import type { Patient } from './state.js';

export const identifier = z
  .strictObject({
    system: z.string().trim().min(1).max(200).describe('URI of the numbering, for example of a hospital'),
    value: z.string().trim().min(1).max(200).describe('the whole number'),
  })
  .meta({ id: 'Identifier', title: 'Identifier', example: DEMO_IDENTIFIERS.patient });

export const patientView = z
  .object({
    id: patientId,
    name: z.string(),
    birthDate: z.string().nullable(),
    identifiers: z.array(identifier),
    address: z.string().nullable(),
    enrolledAt: z.string().nullable(),
  })
  .meta({ id: 'Patient', title: 'Patient' });

export const viewOf = ({
  id,
  name,
  birthDate,
  identifiers,
  address,
  enrolledAt,
}: Patient): z.output<typeof patientView> => ({
  id,
  name,
  birthDate,
  identifiers,
  address,
  enrolledAt,
});
