import type { Receipt } from '../../src/ledger/core/record/receipt.js';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { ChainHeadKey, CHAIN_HEAD_KEY_FILE } from '../../src/log/chains/chain-head-key.js';
import { SettableClock } from '../../src/time/clock.js';
import { dbOf } from '../../src/database/db.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import type { Statement } from '../../src/ledger/core/record/statement.js';
import { loadKey } from '../../src/ledger/crypto/key-files.js';
import { prepareKey, settleKey } from '../../src/ledger/keys/log-key-files.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { readHead } from '../../src/ledger/store/tip.js';
import type { Answer as WitnessAnswer } from '../../src/audit/witness/witness.js';
import { accepted, type Answer, type Api, issue, LISINOPRIL, newOrder, startApi, tablets } from '../support/api.js';
import { enrol, newSigner, postSigned, type Signer } from '../support/signer.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { look } from './followers.js';
import type { Kept } from './kept.js';
import { show } from './shown.js';
import { rotationsIn } from './trust.js';
import { withWitness } from './witness.js';
import { askToCosign, withLines } from './witnesses.js';

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
  /** The checkpoint of the backup, published and cosigned by all witnesses when it was the newest. */
  readonly oldCheckpoint: string;
  /** Folder of a follower who has looked at the time of the backup, and not since. */
  readonly earlyFollower: string;
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

interface Growth {
  /** Orders of five entries each. */
  readonly orders: {
    readonly beforeBackup: number;
    readonly beforeCheckpoint: number;
    readonly afterCheckpoint: number;
  };
  /** Which of them the attacks aim at; the next one is its neighbour. */
  readonly target: number;
  /** Whether the log's key is replaced behind the backup. */
  readonly replacesKey: boolean;
}

/** The first full tile is closed before the backup is made. */
const GROWN: Growth = {
  orders: { beforeBackup: 55, beforeCheckpoint: 8, afterCheckpoint: 2 },
  target: 20,
  replacesKey: false,
};
/** A short one is enough to see who follows the key. */
export const WITH_ANOTHER_KEY: Growth = {
  orders: { beforeBackup: 4, beforeCheckpoint: 2, afterCheckpoint: 1 },
  target: 1,
  replacesKey: true,
};

export async function honestWorld({ orders: many, target: at, replacesKey }: Growth = GROWN): Promise<HonestWorld> {
  const root = temporaryFolder();
  const path = (name: string): string => join(root.path, name);
  const [folder, backup, other, follower, earlyFollower] = ['log', 'backup', 'other', 'follower', 'early'].map(
    path,
  ) as [string, string, string, string, string];
  const witnesses = ['one', 'two', 'three'].map(path);
  const orders: Receipt[][] = [];
  let vkey = '';
  let patient = '';
  await serving(folder, ORIGIN, async (api) => {
    ({ vkey } = api);
    patient = api.patients.patient;
    for (let n = 0; n < many.beforeBackup; n++) orders.push(await wholeOrder(api));
  });
  const { cosigned: oldCheckpoint } = await everybodyLooks(folder, { vkey, rotations: [], witnesses }, [
    follower,
    earlyFollower,
  ]);
  cpSync(folder, backup, { recursive: true });
  const rotations = replacesKey ? [await replaceKey(folder)] : [];

  const signer = newSigner();
  let enrolled: { account: string; receipt: Receipt } | undefined;
  const reports: number[] = [];
  await serving(folder, ORIGIN, async (api) => {
    for (let n = 0; n < many.beforeCheckpoint; n++) orders.push(await wholeOrder(api));
    enrolled = accepted(await enrol(api.as('pharmacist2'), signer)).body;
    for (let n = 0; n < 2; n++) reports.push(await signedReport(api, signer));
  });
  const { checkpoint } = await everybodyLooks(folder, { vkey, rotations, witnesses }, [follower]);
  await serving(folder, ORIGIN, async (api) => {
    for (let n = 0; n < many.afterCheckpoint; n++) orders.push(await wholeOrder(api));
  });

  mkdirSync(other);
  cpSync(join(folder, 'keys'), join(other, 'keys'), { recursive: true });
  // Not as long as the log: what is longer is refused for its size alone.
  await serving(other, 'ledger.example/other', async (api) => {
    for (let n = 0; n < 3; n++) await wholeOrder(api);
  });

  const entriesOf = (n: number): OrderEntries => orders[n]?.map(({ index }) => index) as unknown as OrderEntries;
  const last = orders.at(-1)?.at(-1);
  if (!last) throw new Error('the honest log is empty');
  const target = entriesOf(at);
  const left = target[1] + (target[1] % 2);
  let copies = 0;
  const { account, receipt } = enrolled as unknown as { account: string; receipt: Receipt };
  return {
    folder,
    backup,
    other,
    kept: {
      vkey,
      rotations,
      chainHeads: new ChainHeadKey(ORIGIN, keyIn(folder, CHAIN_HEAD_KEY_FILE)).vkey,
      checkpoint,
      receipts: [...(orders[at] ?? []), last],
      patient,
      actor: { account, kid: signer.kid, jwk: signer.jwk },
      follower,
      witnesses,
      policy: policyFile(vkey, witnesses),
    },
    oldCheckpoint,
    earlyFollower,
    enrolment: receipt.index,
    signed: reports as unknown as HonestWorld['signed'],
    backupSize: await sizeOf(backup),
    size: await sizeOf(folder),
    target,
    siblings: [left, left + 1],
    neighbour: entriesOf(at + 1),
    copy() {
      const copy = path(`copy-${copies++}`);
      cpSync(folder, copy, { recursive: true });
      return copy;
    },
    remove: () => root.remove(),
  };
}

/** Everybody looks at what is published now: witnesses cosign it, followers go on to it. */
async function everybodyLooks(
  folder: string,
  { vkey, rotations, witnesses }: Pick<Kept, 'vkey' | 'rotations' | 'witnesses'>,
  followers: readonly string[],
): Promise<{ checkpoint: string; cosigned: string }> {
  const { shown, close } = await show(folder);
  try {
    const keys = [vkey, ...rotationsIn(rotations).map(({ to }) => to)];
    const answers: WitnessAnswer[] = [];
    for (const witness of witnesses) {
      const name = `${basename(witness)}.example/witness`;
      answers.push(await withWitness(witness, keys, (ask) => askToCosign(ask, shown), name));
    }
    if (answers.some(({ status }) => status !== 200)) throw new Error('a witness refuses the honest log');
    for (const follower of followers) {
      const { alarm, outage } = await look(follower, vkey, shown.files);
      if (alarm || outage) throw new Error(`the honest log alarms: ${alarm ?? outage}`);
    }
    return { checkpoint: shown.checkpoint, cosigned: withLines(shown.checkpoint, answers) };
  } finally {
    await close();
  }
}

export function keyIn(folder: string, file: string): Uint8Array {
  const seed = loadKey(join(folder, 'keys'), file);
  if (!seed) throw new Error(`there is no ${file}`);
  return seed;
}

/** By the writer, while nothing else runs. @returns the event's receipt, by both keys */
export async function replaceKey(folder: string): Promise<Receipt> {
  const config = testConfig(folder, { LOG_ORIGIN: ORIGIN });
  const keys = join(folder, 'keys');
  const clock = new SettableClock(Date.now());
  const ledger = await openLedger(config, clock, CHAIN_MODELS);
  try {
    clock.set(((await readHead(ledger.db))?.time ?? 0) + BETWEEN_ORDERS_MS);
    const next = prepareKey(keys, ORIGIN);
    const receipt = await ledger.writer.replaceKey(next);
    settleKey(keys, next, null, true);
    if (!receipt) throw new Error('the key was not replaced');
    return receipt;
  } finally {
    await ledger.close();
  }
}

/** The service runs on the folder, and people write so many orders. */
export function grow(folder: string, orders: number): Promise<void> {
  return serving(folder, ORIGIN, async (api) => {
    for (let n = 0; n < orders; n++) await wholeOrder(api);
  });
}

/** C2SP tlog-policy. */
function policyFile(vkey: string, witnesses: readonly string[]): string {
  const lines = witnesses.map((folder, n) => `witness w${n + 1} ${readFileSync(join(folder, 'vkey'), 'utf8').trim()}`);
  return [`log ${vkey}`, ...lines, 'group two-of-three 2 w1 w2 w3', 'quorum two-of-three', ''].join('\n');
}

/** Runs the service on that data folder while `work` goes on; afterwards the folder is whole and nobody's. */
async function serving(folder: string, origin: string, work: (api: Api) => Promise<void>): Promise<void> {
  const api = await startApi({ DATA_DIR: folder, LOG_ORIGIN: origin, PUBLISH_SECONDS: '0.3' });
  try {
    const { time } = (await readHead(api.db)) ?? { time: 0 };
    api.clock.set(Math.max(api.clock.now(), time) + BETWEEN_ORDERS_MS);
    await work(api);
    // Who read what is written down before that is answered; at the end it would come after what is published.
    accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`));
    await untilPublished(api);
  } finally {
    await api.close();
  }
}

/** What is published is the newest: whoever looks now sees all of the log. */
async function untilPublished({ db }: Api): Promise<void> {
  for (const until = Date.now() + 10_000; Date.now() < until; await setTimeout(20)) {
    const [row] = await db.query<{ size: number }>('SELECT max(size) AS size FROM published');
    if (row?.size === (await readHead(db))?.size) return;
  }
  throw new Error('nothing is published');
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
