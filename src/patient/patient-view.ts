/** A patient as the API shows them. */
import { z } from 'zod';
import { uuid } from '../identity/people.js';
import type { Patient } from './state.js';

export const identifier = z
  .strictObject({
    system: z.string().trim().min(1).max(200).describe('URI of the numbering, for example of a hospital'),
    value: z.string().trim().min(1).max(200),
  })
  .meta({ title: 'Identifier' });

export const patientView = z
  .object({
    id: uuid,
    name: z.string(),
    birthDate: z.string().nullable(),
    identifiers: z.array(identifier),
    address: z.string().nullable(),
    enrolledAt: z.string().nullable(),
  })
  .meta({ title: 'Patient' });

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
