import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Db, placeholders } from '../../src/database/db.js';

/** Bytes of a piece that is looked for: more than chance gives, less than a page cuts off. */
const PIECE = 24;
const STEP = 64;

/**
 * Everything that the tables hold of a patient and the entries do not keep, sealed or not, in pieces: what must be
 * nowhere once they are erased. By what it is.
 */
export async function remainsOf(db: Db, patient: string, keysDir: string): Promise<Map<string, Buffer[]>> {
  const chains = await db.query<{ num: number; subject: number; data_key: Buffer; state: Buffer; wrapped_key: Buffer }>(
    `SELECT c.num, c.subject, c.data_key, c.state, s.wrapped_key FROM chain c JOIN subject s ON s.num = c.subject WHERE s.id = ?`,
    [patient],
  );
  const nums = chains.map(({ num }) => num);
  const entries = `SELECT idx FROM entry WHERE chain IN ${placeholders(nums)}`;
  const bytesIn = async (sql: string, params: readonly unknown[]): Promise<Buffer[]> =>
    (await db.query<Record<string, Buffer | string>>(sql, params))
      .flatMap((row) => Object.values(row))
      .map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(value)));
  const keys = readdirSync(keysDir).filter((name) => name.startsWith('kek-'));
  return new Map([
    ['payload', pieces(await bytesIn(`SELECT body FROM payload WHERE idx IN (${entries})`, nums))],
    ['snapshot', pieces(chains.map(({ state }) => state))],
    ['data key', pieces(chains.map((chain) => chain.data_key))],
    ['subject key', pieces(chains.map((chain) => chain.wrapped_key))],
    ['key-encryption key', pieces(keys.map((name) => readFileSync(join(keysDir, name))))],
    ['blind index', pieces(await bytesIn(`SELECT blind FROM name WHERE chain IN ${placeholders(nums)}`, nums))],
    [
      'account',
      pieces(
        await bytesIn(
          'SELECT id, username_index, username, name, substr(password, 40) AS hash FROM account WHERE patient = ?',
          [patient],
        ),
      ),
    ],
    [
      'request',
      pieces([
        ...(await bytesIn(`SELECT substr(request, 1, 32) AS mac FROM idempotency WHERE first IN (${entries})`, nums)),
        ...(await bytesIn(
          'SELECT request FROM idempotent_request WHERE ref IN (SELECT id FROM account WHERE patient = ?)',
          [patient],
        )),
      ]),
    ],
    ['discrepancy', pieces(await bytesIn(`SELECT id FROM discrepancy_row WHERE chain IN ${placeholders(nums)}`, nums))],
  ]);
}

function pieces(values: readonly Buffer[]): Buffer[] {
  return values.flatMap((value) => {
    const starts = Array.from({ length: Math.ceil(value.length / STEP) }, (_, at) => at * STEP);
    return starts
      .map((at) => value.subarray(at, at + PIECE))
      .filter(({ length }) => length >= PIECE || length === value.length);
  });
}

/** @returns `file: what` for each kind of remains of which a piece is found */
export function found(remains: ReadonlyMap<string, readonly Buffer[]>, places: ReadonlyMap<string, Buffer>): string[] {
  return [...remains].flatMap(([what, bytes]) =>
    [...places]
      .filter(([, content]) => bytes.some((piece) => content.includes(piece)))
      .map(([name]) => `${name}: ${what}`),
  );
}
