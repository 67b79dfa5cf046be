import { z } from 'zod';

/** One password for all demo accounts of a server under test. */
export const PASSWORD = 'correct horse battery';

/** An answer whose body was read whole. */
export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Calls a server over HTTP as somebody who is signed in. */
export interface HttpClient {
  /** @throws {TypeError} when the connection breaks before the answer is there */
  post(path: string, body: object, key?: string): Promise<Answered>;
  get(path: string): Promise<Answered>;
}

/** Signs a demo account in. @param address `http://127.0.0.1:<port>` */
export function signIn(address: string, username: string): Promise<HttpClient> {
  return signInAs(address, username, PASSWORD);
}

/** @throws {Error} with the status when it is refused */
export async function signInAs(address: string, username: string, password: string): Promise<HttpClient> {
  const call = async (method: string, path: string, headers: Record<string, string>, body?: object) => {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(address + path, { method, headers: { ...type, ...headers }, ...json });
    return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
  };
  const { status, body } = await call('POST', '/api/auth/sign-in', {}, { username, password });
  if (status !== 200) throw new Error(`sign-in of ${username}: ${status}`);
  const authorization = `Bearer ${z.string().parse(body['accessToken'])}`;
  return {
    post: (path, data, key) =>
      call('POST', path, { authorization, ...(key === undefined ? {} : { 'idempotency-key': key }) }, data),
    get: (path) => call('GET', path, { authorization }),
  };
}

/** @returns id of the patient whose account this is */
export async function patientOf(patient: HttpClient): Promise<string> {
  return z.string().parse((await patient.get('/api/self')).body['patient']);
}

/** Body of `POST /api/prescriptions`. */
export function order(patient: string, number: string): object {
  return {
    number,
    patient,
    medication: { code: '314076', display: 'lisinopril 10 MG Oral Tablet' },
    directions: 'one in the morning',
    quantity: { value: '30', unit: '{tablet}' },
    daysSupply: 30,
  };
}

/** What an issued prescription's answer holds that tests need. */
export const Issued = z.object({
  prescription: z.object({ id: z.string() }),
  token: z.string(),
  receipt: z.object({ index: z.int(), entry: z.string() }),
});

/** Runs the jobs, so many at once. */
export async function inFlights<T>(jobs: readonly (() => Promise<T>)[], flights: number): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: flights }, async () => {
      for (let at = next++; at < jobs.length; at = next++) results[at] = await (jobs[at] as () => Promise<T>)();
    }),
  );
  return results;
}
