/** The demo's texts before and after the play. */
import { relative } from 'node:path';
import { PAGE_PATH } from '../http/openapi/document.js';
import { DEMO_ORGANISATIONS, type DemoSignIn } from '../seed/demo-accounts.js';
import type { VerifyReport } from '../ledger/verify/report.js';
import { type Calendar, DAYS } from './calendar.js';
import type { Cast } from './cast.js';
import type { Tally } from './tally.js';
import type { Transcript } from './transcript.js';

/** The demo's result, which `--json` prints. */
export interface Summary extends Tally {
  /** The ledger and all receipts are verified, and reconciliation found exactly what it should. */
  readonly ok: boolean;
  readonly verified: boolean;
  readonly log: string;
  readonly vkey: string;
  readonly entries: number;
  readonly chains: number;
  /** Number of receipts of all writes, checked offline; `badReceipts`: those that are invalid. */
  readonly receipts: number;
  readonly badReceipts: number;
  /** Discrepancies that reconciliation missed, or found wrongly. */
  readonly notAsExpected: readonly string[];
  readonly dataDir: string;
}

export function introduce(transcript: Transcript, calendar: Calendar, dataDir: string): void {
  const { practice, practice2, pharmacy, pharmacy2 } = DEMO_ORGANISATIONS;
  const [first, last] = [1, DAYS].map((day) => calendar.words(calendar.date(day)));
  transcript.line();
  transcript.line(`RxLedger demo: ${DAYS} days, ${first} to ${last}, played over HTTP by an injected clock`, 'bold');
  transcript.line(`  practices   ${practice.name}, ${practice2.name}`);
  transcript.line(`  pharmacies  ${pharmacy.name}, ${pharmacy2.name}`);
  transcript.line('  patients    six, all made up');
  transcript.line(`  data        ${shortened(dataDir)}  (service.log: what the service logged meanwhile)`);
  transcript.line();
  transcript.line('  refused     HTTP status and code of what the service did not let happen');
  transcript.line('  !           a disagreement that reconciliation found, and whom it told');
}

export function conclude(transcript: Transcript, summary: Summary, report: VerifyReport): void {
  const classes = Object.entries(summary.discrepancies).toSorted(([a], [b]) => a.localeCompare(b));
  const found = classes.map(([kind, number]) => `${kind} ${number}`).join(', ');
  const rows: [name: string, value: string | number][] = [
    ['prescriptions', summary.prescriptions],
    ['handings-over', summary.dispenses],
    ['doses', summary.doses],
    ['discrepancies', `${found}; ${summary.resolved} resolved`],
    ['ledger entries', summary.entries],
    ['root', report.root],
    ['key', report.vkey],
  ];
  transcript.line();
  for (const [name, value] of rows) transcript.line(`${name.padEnd(16)}${value}`);
  transcript.line();
  for (const what of summary.notAsExpected) transcript.line(`not as expected: ${what}`, 'red');
  if (summary.badReceipts > 0) transcript.line(`${summary.badReceipts} receipts do not hold`, 'red');
  if (report.ok) {
    const { entries, payloads, chains } = report;
    transcript.line(`verified: ${entries} entries, ${payloads} payloads, ${chains} chains`, ['green', 'bold']);
    transcript.line(`  and ${summary.receipts - summary.badReceipts} receipts, offline, with nothing but the key`);
  } else {
    transcript.line(`NOT VERIFIED: ${report.tampered} tampered, ${report.missing} missing`, ['red', 'bold']);
  }
  transcript.line(`  yourself: npx rxledger log verify ${shortened(summary.dataDir)}`);
}

/** @param names of organisations and patients, by id  @returns a head and a line for each sign-in, in columns */
export function signInTable(signIns: readonly DemoSignIn[], names: ReadonlyMap<string, string>): string[] {
  const width = Math.max(...signIns.map(({ password }) => password.length));
  const row = (username: string, password: string, role: string) =>
    `  ${username.padEnd(13)}${password.padEnd(width + 2)}${role}`;
  return [
    row('username', 'password', 'role'),
    ...signIns.map(({ username, password, role, org, patient }) => {
      const name = names.get(org ?? patient ?? '');
      return row(username, password, name ? `${role}, ${name}` : role);
    }),
  ];
}

/** Address, sign-ins and a first request to try. */
export function invite(
  transcript: Transcript,
  address: string,
  signIns: readonly DemoSignIn[],
  { pat, sam }: Cast,
): void {
  const names = new Map([...Object.values(DEMO_ORGANISATIONS), pat, sam].map(({ id, name }) => [id, name]));
  transcript.line();
  transcript.line(`RxLedger serves this ledger on ${address}  (Ctrl-C ends it)`, 'bold');
  transcript.line(`  API page: ${address}${PAGE_PATH}`);
  transcript.line();
  const [head = '', ...rows] = signInTable(signIns, names);
  transcript.line(head, 'dim');
  for (const row of rows) transcript.line(row);
  const pharmacist = signIns.find(({ role }) => role === 'pharmacist');
  const credentials = JSON.stringify({ username: pharmacist?.username, password: pharmacist?.password });
  transcript.line();
  transcript.line('Try it:', 'bold');
  transcript.line(`  TOKEN=$(curl -s ${address}/api/auth/sign-in -H 'content-type: application/json' \\`);
  transcript.line(
    `    -d '${credentials.replaceAll("'", String.raw`'\''`)}' | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`,
  );
  transcript.line(`  curl -s ${address}/api/discrepancies -H "authorization: Bearer $TOKEN"`);
  transcript.line();
}

/** Relative to the working directory if the path is below it. */
function shortened(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
