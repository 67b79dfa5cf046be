/**
 * `npm run bench:verify [-- --json] [--entries n] [--pairs n]`
 *
 * What `rxledger log verify --entries-only` does for each entry (tree, links, times), on a database and on an export.
 * It is held against the bare SHA-256 of the same runtime over the same bytes: one hash of each entry and one of each node. Node has
 * a usual way to hash, `createHash`, and since version 20 a far cheaper one for short inputs, `crypto.hash` to a string.
 */
import { createHash, hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { type Terminal } from '../../src/cli/terminal.js';
import { runVerify } from '../../src/cli/ledger/verify.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { makeBulkLog } from './bulk-log.js';
import { median } from './measure.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    entries: { type: 'string', default: '200000' },
    pairs: { type: 'string', default: '7' },
  },
});
const entries = Number(options.entries);
const pairs = Number(options.pairs);
const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`);

interface Compared {
  /** Medians. */
  readonly entriesPerSecond: number;
  readonly hashedPerSecond: Readonly<Record<Way, number>>;
  /** Medians over the pairs of what the hashes alone take / what verify takes. */
  readonly ratio: Readonly<Record<Way, number>>;
  readonly ratios: Readonly<Record<Way, readonly number[]>>;
}

/** One SHA-256. */
const WAYS = {
  createHash: (input: Uint8Array): unknown => createHash('sha256').update(input).digest(),
  oneShot: (input: Uint8Array): unknown => hash('sha256', input, 'base64'),
};
type Way = keyof typeof WAYS;

const folder = await mkdtemp(join(tmpdir(), 'rxledger-bench-verify-'));
try {
  const config = await makeBulkLog(join(folder, 'data'), entries);
  const file = join(folder, 'log.ndjson');
  const source = await openReader(config);
  const lines = async function* () {
    for await (const line of exportLog(source, null)) yield `${line}\n`;
  };
  await pipeline(Readable.from(lines()), createWriteStream(file));
  const rows = await dbOf(source).query<{ entry: Buffer }>('SELECT entry FROM entry ORDER BY idx LIMIT 1000');
  await source.destroy();
  const sample = rows.map(({ entry }) => Buffer.concat([Buffer.of(0), entry]));

  const results = {
    database: await compare(config.env.DATA_DIR, sample),
    export: await compare(file, sample),
  };
  if (options.json) process.stdout.write(`${JSON.stringify({ entries, ...results })}\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** One run of each in turn, after one that warms up; the order within a pair alternates. */
async function compare(path: string, sample: readonly Buffer[]): Promise<Compared> {
  const verified: number[] = [];
  const hashed: Record<Way, number[]> = { createHash: [], oneShot: [] };
  for (let pair = -1; pair < pairs; pair++) {
    const before = pair % 2 === 0;
    const alone = (): void => {
      for (const way of ['createHash', 'oneShot'] as const) hashed[way].push(bare(sample, way));
    };
    if (before) alone();
    verified.push(await verify(path));
    if (!before) alone();
  }
  for (const all of [verified, hashed.createHash, hashed.oneShot]) all.shift();
  const ratiosOf = (way: Way): number[] =>
    verified.map((milliseconds, pair) => (hashed[way][pair] ?? Number.NaN) / milliseconds);
  const ratios = { createHash: ratiosOf('createHash'), oneShot: ratiosOf('oneShot') };
  const result = {
    entriesPerSecond: perSecond(verified),
    hashedPerSecond: { createHash: perSecond(hashed.createHash), oneShot: perSecond(hashed.oneShot) },
    ratio: { createHash: median(ratios.createHash), oneShot: median(ratios.oneShot) },
    ratios,
  };
  say(`${path.endsWith('.ndjson') ? 'export' : 'database'}: ${round(result.entriesPerSecond)} entries/s verified`);
  for (const way of ['createHash', 'oneShot'] as const) {
    const [least, most] = [Math.min(...ratios[way]), Math.max(...ratios[way])].map((ratio) => ratio.toFixed(2));
    const { hashedPerSecond, ratio } = result;
    say(`  of ${round(hashedPerSecond[way])}/s hashed alone (${way}): ${ratio[way].toFixed(2)} (${least} to ${most})`);
  }
  return result;
}

/** @param all ms of a run */
function perSecond(all: readonly number[]): number {
  return (entries / median(all)) * 1000;
}

/** @returns ms. @throws {Error} when the log does not verify: a bench of refusals says nothing */
async function verify(path: string): Promise<number> {
  let printed = '';
  const quiet = { err: () => undefined, status: () => undefined, watched: false, env: {}, stdout: process.stdout };
  const terminal: Terminal = { ...quiet, out: (line: string) => void (printed += line) };
  const began = performance.now();
  const exit = await runVerify(path, { json: true, progress: false, entriesOnly: true }, terminal);
  const took = performance.now() - began;
  const report = JSON.parse(printed) as VerifyReport;
  if (exit !== 0 || report.entries !== entries) throw new Error(`verify ended with ${exit}: ${printed}`);
  return took;
}

/** As many leaf hashes, of inputs as long, and as many node hashes as the tree has. @returns ms */
function bare(sample: readonly Buffer[], way: Way): number {
  const sha256 = WAYS[way];
  const node = Buffer.alloc(65, 1);
  const began = performance.now();
  for (let at = 0; at < entries; at++) {
    sha256(sample[at % sample.length] as Buffer);
    if (at > 0) sha256(node);
  }
  return performance.now() - began;
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en');
}
