import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { dbOf } from '../../src/database/db.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import type { Receipt } from '../../src/ledger/model.js';
import { readHead } from '../../src/ledger/tip.js';
import type { PublicJwk } from '../../src/ledger/core/public-key.js';
import type { Statement } from '../../src/ledger/core/statement.js';
import { accepted, type Answer, type Api, issue, LISINOPRIL, newOrder, startApi, tablets } from '../support/api.js';
import { enrol, newSigner, postSigned, type Signer } from '../support/signer.js';
import { temporaryFolder } from '../support/ledger.js';
import { submit } from './witness.js';

/** What others got from the honest log and kept, out of the operator's reach. */
export interface Kept {
  /** The log's verifier key, pinned. */
  readonly vkey: string;
  /** The signed checkpoint that the auditor verified last, and the witness cosigned last. */
  readonly checkpoint: string;
  /** Of the target's entries and of the log's last one, as the writes answered them. */
  readonly receipts: readonly Receipt[];
  /** Who signs, and the key as the actor gave it. */
  readonly actor: { readonly account: string; readonly kid: string; readonly jwk: PublicJwk };
  /** Folder of a witness that has cosigned that checkpoint, and no later one. */
  readonly witness: string;
}

/** Log indexes of one order's entries: issued, claimed, dispensed, two doses. */
export type OrderEntries = readonly [issued: number, claimed: number, dispensed: number, dose: number, dose: number];

/** A log that grew honestly, through the running service, and what is attacked in it. */
export interface HonestWorld {
  /** Data folder: database, keys, head file. */
  readonly folder: string;
  /** Its backup from an earlier day, head file included. */
  readonly backup: string;
  /** Data folder of another log of the same operator, under the same keys. */
  readonly other: string;
  readonly kept: Kept;
  /** Number of entries, when the backup was made and at the end. */
  readonly backupSize: number;
  readonly size: number;
  /** The order that the attacks aim at, in the first full tile, and another one like it. */
  readonly target: OrderEntries;
  readonly neighbour: OrderEntries;
  /** Log index at which the actor who signs enrolled their key, and those of two reports that they signed. */
  readonly enrolment: number;
  readonly signed: readonly [report: number, other: number];
  /** Two of the target's entries that stand under one node of the tree. */
  readonly siblings: readonly [left: number, right: number];
  /** A copy of the log's data folder to attack. */
  copy(): string;
  remove(): void;
}

export const ORIGIN = 'ledger.example/attacked';
/** The clock moves on after each order, so that entries have times to tell apart. */
const BETWEEN_ORDERS_MS = 2 * 60_000;
/** Orders of five entries each: the first full tile is closed before the backup is made. */
const ORDERS = { beforeBackup: 55, beforeCheckpoint: 8, afterCheckpoint: 2 };
const TARGET = 20;

export async function honestWorld(): Promise<HonestWorld> {
  const root = temporaryFolder();
  const at = (name: string): string => join(root.path, name);
  const [folder, backup, other] = [at('log'), at('backup'), at('other')];

  const orders: Receipt[][] = [];
  await serving(folder, ORIGIN, async (api) => {
    for (let n = 0; n < ORDERS.beforeBackup; n++) orders.push(await wholeOrder(api));
  });
  cpSync(folder, backup, { recursive: true });

  const signer = newSigner();
  let kept = '';
  let vkey = '';
  let enrolled: { account: string; receipt: Receipt } | undefined;
  const reports: number[] = [];
  await serving(folder, ORIGIN, async (api) => {
    vkey = api.vkey;
    for (let n = 0; n < ORDERS.beforeCheckpoint; n++) orders.push(await wholeOrder(api));
    enrolled = accepted(await enrol(api.as('pharmacist2'), signer)).body;
    for (let n = 0; n < 2; n++) reports.push(await signedReport(api, signer));
    kept = (await readHead(api.reader.db))?.checkpoint ?? '';
    for (let n = 0; n < ORDERS.afterCheckpoint; n++) orders.push(await wholeOrder(api));
  });

  const cosigned = await submit(at('witness'), vkey, `old 0\n\n${kept}`);
  if (cosigned.status !== 200) throw new Error('the witness refuses the honest log');

  mkdirSync(other);
  cpSync(join(folder, 'keys'), join(other, 'keys'), { recursive: true });
  // Not as long as the log: what is longer is refused for its size alone.
  await serving(other, 'ledger.example/other', async (api) => {
    for (let n = 0; n < 3; n++) await wholeOrder(api);
  });

  const entriesOf = (n: number): OrderEntries => orders[n]?.map(({ index }) => index) as unknown as OrderEntries;
  const last = orders.at(-1)?.at(-1);
  if (!last) throw new Error('the honest log is empty');
  const target = entriesOf(TARGET);
  const left = target[1] + (target[1] % 2);
  let copies = 0;
  const { account, receipt } = enrolled as unknown as { account: string; receipt: Receipt };
  return {
    folder,
    backup,
    other,
    kept: {
      vkey,
      checkpoint: kept,
      receipts: [...(orders[TARGET] ?? []), last],
      actor: { account, kid: signer.kid, jwk: signer.jwk },
      witness: at('witness'),
    },
    enrolment: receipt.index,
    signed: reports as unknown as HonestWorld['signed'],
    backupSize: await sizeOf(backup),
    size: await sizeOf(folder),
    target,
    siblings: [left, left + 1],
    neighbour: entriesOf(TARGET + 1),
    copy() {
      const copy = at(`copy-${copies++}`);
      cpSync(folder, copy, { recursive: true });
      return copy;
    },
    remove: () => root.remove(),
  };
}

/** Runs the service on that data folder while `work` goes on; afterwards the folder is whole and nobody's. */
async function serving(folder: string, origin: string, work: (api: Api) => Promise<void>): Promise<void> {
  const api = await startApi({ DATA_DIR: folder, LOG_ORIGIN: origin, PUBLISH_SECONDS: '0.1' });
  try {
    const { time } = (await readHead(api.reader.db)) ?? { time: 0 };
    api.clock.set(Math.max(api.clock.now(), time) + BETWEEN_ORDERS_MS);
    await work(api);
  } finally {
    await api.close();
  }
}

/** One order's life as its people write it, each write with an idempotency key. @returns the receipts that they get */
async function wholeOrder(api: Api): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  const write = async (who: string, path: string, body: object): Promise<Answer['body']> => {
    const answer = accepted(await api.as(who).post(path, body, randomUUID()));
    receipts.push(answer.body.receipt);
    return answer.body;
  };
  const { prescription, token } = await write('prescriber', '/api/prescriptions', newOrder(api));
  const path = `/api/prescriptions/${prescription.id}`;
  const { claim } = await write('pharmacist', `${path}/claim`, { token });
  await write('pharmacist', `${path}/dispenses`, { secret: claim.secret, quantity: tablets('30') });
  for (let dose = 0; dose < 2; dose++) await write('patient', `${path}/doses`, { outcome: 'taken' });
  api.clock.advance(BETWEEN_ORDERS_MS);
  return receipts;
}

const ids = ({ data }: Statement) => ({ dispenseId: data['dispenseId'] });

/** An order, and another pharmacy's report of a dispense of it, which its pharmacist signs. @returns the report's index */
async function signedReport(api: Api, signer: Signer): Promise<number> {
  const { number } = await issue(api);
  const report = {
    order: { issuer: api.orgs.practice, number },
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: new Date(api.clock.now()).toISOString(),
    reason: 'outage',
  };
  const answer = await postSigned(api.as('pharmacist2'), signer, '/api/dispense-reports', report, randomUUID(), ids);
  api.clock.advance(BETWEEN_ORDERS_MS);
  return accepted(answer).body.receipt.index as number;
}

async function sizeOf(folder: string): Promise<number> {
  const source = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
  try {
    return (await readHead(dbOf(source)))?.size ?? 0;
  } finally {
    await source.destroy();
  }
}
