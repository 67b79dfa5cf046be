import { z } from 'zod';
import { MARK } from './load.js';

/** @returns the access token of the demo's prescriber */
export async function signIn(address: string, password: string): Promise<string> {
  const response = await fetch(`${address}/api/auth/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'prescriber', password }),
  });
  if (!response.ok) throw new Error(`sign-in: ${response.status}`);
  return z.object({ accessToken: z.string() }).parse(await response.json()).accessToken;
}

/** @returns one body of `POST /api/prescriptions` for each patient; number and note differ in every request */
export function orders(patients: readonly string[]): string[] {
  return patients.map((patient) =>
    JSON.stringify({
      number: MARK,
      patient,
      medication: { code: '314076', display: 'lisinopril 10 MG Oral Tablet' },
      directions: 'Take one tablet by mouth once daily in the morning',
      quantity: { value: '30', unit: '{tablet}' },
      daysSupply: 30,
      refills: 3,
      substitutionAllowed: true,
      note: `order ${MARK}`,
    }),
  );
}
