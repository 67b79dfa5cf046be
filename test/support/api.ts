/** The real service in this process, on a free port and a data folder of its own, and the people of the demo. */
import { ReadDb } from '../../src/ledger/read/read-db.js';
import supertest from 'supertest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { SettableClock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { DEMO_ORGANISATIONS, type DemoSignIn } from '../../src/seed/demo-accounts.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { serve } from '../../src/main.js';
import { IMPLIED } from '../../src/http/openapi/operations.js';
import { REFUSALS } from '../../src/refusals/refusals.js';
import { type ApiDocument, type Met, undocumented } from './documented.js';
import { temporaryFolder } from './ledger.js';

/** Refusals that the document lists once for all operations. */
const GENERAL = new Set(
  IMPLIED.flatMap(({ when, codes }) => (when === 'Any request' ? codes : [])).map(
    (code) => `${REFUSALS[code].status} ${code}`,
  ),
);

const PASSWORD = 'correct horse battery';

export type Answer = supertest.Response;

/** A signed-in person. */
export interface Caller {
  get(path: string): Promise<Answer>;
  /** @param key `Idempotency-Key` */
  post(path: string, body?: object, key?: string): Promise<Answer>;
}

export interface Api {
  /** Its address, `http://127.0.0.1:<port>`. */
  readonly address: string;
  /** Without a token. */
  readonly request: ReturnType<typeof supertest>;
  /** Stays at the instant of the start until a test moves it. */
  readonly clock: SettableClock;
  readonly reader: LedgerReader;
  readonly db: ReadDb;
  /** The log's verifier key. */
  readonly vkey: string;
  readonly orgs: { practice: string; practice2: string; pharmacy: string; pharmacy2: string };
  readonly patients: { patient: string; patient2: string };
  /** Password of every demo account. */
  readonly password: string;
  /** @returns an access token of the demo account */
  signIn(username: string): Promise<string>;
  /** Makes requests as this demo account. The token is renewed when the clock has passed its end. */
  as(username: string): Caller;
  /** Verifies the whole ledger, as an auditor with the database would (SQLite only). */
  verify(): Promise<VerifyReport>;
  /** Stops the service. Fails when a refusal had a code that the API's document does not list for that operation. */
  close(): Promise<void>;
}

/** @param env settings besides a data folder, a free port and quiet logs; without `REDIS_URL` nothing is reconciled */
export async function startApi(env: Record<string, string> = {}): Promise<Api> {
  const folder = temporaryFolder();
  const config = Config.parse({
    DATA_DIR: folder.path,
    PORT: '0',
    DEMO_PASSWORD: PASSWORD,
    LOG_LEVEL: 'silent',
    SIGN_IN_PER_MINUTE: '100000',
    ...env,
  });
  const clock = new SettableClock(Date.now());
  const service = await serve(config, clock);
  const address = service.address ?? '';
  const request = supertest(address);
  const reader = service.app.get(LedgerReader);
  const { vkey } = service.app.get(LedgerWriter);
  const { practice, practice2, pharmacy, pharmacy2 } = DEMO_ORGANISATIONS;
  const tokens = new Map<string, { token: string; until: number }>();

  async function signIn(username: string): Promise<string> {
    const { body } = await request.post('/api/auth/sign-in').send({ username, password: PASSWORD }).expect(200);
    tokens.set(username, { token: body.accessToken, until: clock.now() + body.expiresIn * 1000 });
    return body.accessToken;
  }

  async function tokenOf(username: string): Promise<string> {
    const known = tokens.get(username);
    return known && known.until > clock.now() ? known.token : signIn(username);
  }

  const met = new Map<string, Met>();
  function noted(method: Met['method'], url: string, answer: Answer): Answer {
    const [path = ''] = url.split('?');
    if (answer.type === 'application/problem+json')
      met.set(`${method} ${path} ${refusalOf(answer)}`, { method, path, refusal: refusalOf(answer) });
    return answer;
  }

  return {
    address,
    request,
    clock,
    reader,
    db: service.app.get(ReadDb),
    vkey,
    orgs: { practice: practice.id, practice2: practice2.id, pharmacy: pharmacy.id, pharmacy2: pharmacy2.id },
    patients: { patient: patientOf(service.signIns, 'patient'), patient2: patientOf(service.signIns, 'patient2') },
    password: PASSWORD,
    signIn,
    as: (username) => ({
      get: async (path) =>
        noted('GET', path, await request.get(path).auth(await tokenOf(username), { type: 'bearer' })),
      post: async (path, body, key) => {
        const call = request.post(path).auth(await tokenOf(username), { type: 'bearer' });
        if (key !== undefined) void call.set('Idempotency-Key', key);
        return noted('POST', path, await (body === undefined ? call : call.send(body)));
      },
    }),
    async verify() {
      const source = await openSqliteReadOnly(config.sqliteFile);
      try {
        return await verifyDatabase({
          source,
          vkey,
          vault: Vault.openExisting(config.keysDir, reader.origin),
          remembered: await readHeadFile(config.headFile),
          models: CHAIN_MODELS,
        });
      } finally {
        await source.destroy();
      }
    },
    async close() {
      const document = met.size > 0 ? ((await request.get('/api/openapi.json')).body as ApiDocument) : null;
      await service.close();
      folder.remove();
      const unnamed = document ? undocumented(document, [...met.values()], GENERAL) : [];
      if (unnamed.length > 0) throw new Error(`not named in /api/openapi.json:\n${unnamed.join('\n')}`);
    },
  };
}

function patientOf(signIns: readonly DemoSignIn[], username: string): string {
  const patient = signIns.find((someone) => someone.username === username)?.patient;
  if (!patient) throw new Error(`no patient is called ${username}`);
  return patient;
}

export const LISINOPRIL = {
  system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  code: '314076',
  display: 'lisinopril 10 MG Oral Tablet',
};
export const tablets = (value: string) => ({ value, unit: '{tablet}' });

/** A complete order for the account `patient`. */
export function newOrder(api: Api, over: object = {}): object {
  return {
    patient: api.patients.patient,
    medication: LISINOPRIL,
    directions: 'one in the morning',
    quantity: tablets('30'),
    daysSupply: 30,
    ...over,
  };
}

export interface Issued {
  readonly id: string;
  readonly number: string;
  readonly token: string;
  /** `/api/prescriptions/{id}` */
  readonly path: string;
}

/** Issues a prescription. @throws {Error} when it is refused */
export async function issue(api: Api, over: object = {}, prescriber = 'prescriber'): Promise<Issued> {
  const { body } = accepted(await api.as(prescriber).post('/api/prescriptions', newOrder(api, over)));
  const { id, number } = body.prescription;
  return { id, number, token: body.token, path: `/api/prescriptions/${id}` };
}

/** Claims with the token. @returns the claim secret; @throws {Error} when it is refused */
export async function claim(api: Api, { path, token }: Issued, pharmacist = 'pharmacist'): Promise<string> {
  return accepted(await api.as(pharmacist).post(`${path}/claim`, { token })).body.claim.secret;
}

/** Hands over. @returns the dispense's id; @throws {Error} when it is refused */
export async function dispense(
  api: Api,
  { path }: Issued,
  secret: string,
  over: object = {},
  pharmacist = 'pharmacist',
): Promise<string> {
  const body = { secret, quantity: tablets('30'), ...over };
  return accepted(await api.as(pharmacist).post(`${path}/dispenses`, body)).body.dispenseId;
}

/** The answer, which must be a success. @throws {Error} when it is a problem */
export function accepted(answer: Answer): Answer {
  if (answer.status >= 300) throw new Error(`refused: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

/** Status and code of a problem in one line, `409 claim.none`; for other answers only the status. */
export function refusalOf({ status, body, type }: Answer): string {
  return type === 'application/problem+json' ? `${status} ${body.code}` : String(status);
}
