import type { Db } from '../../database/db.js';
import type { LedgerEvent } from '../core/record/event.js';
import { REQUEST_LIFE_MS, requestOf, requestSeal } from '../store/remembered-requests.js';
import type { Vault } from '../keys/vault.js';
import { bytes, integer, text } from './cells.js';
import type { Findings } from './report.js';

/** Rows that are read together. */
const PAGE = 2000;

const MARK = { unread: 0, plain: 1, keyed: 2, erased: 3, remembered: 4, old: 5 } as const;

/** What the payloads hold about the requests that they answer: one byte per entry. */
export class RequestMarks {
  private readonly marks: Uint8Array;

  /** @param now ms since 1970; requests older than {@link REQUEST_LIFE_MS} may be forgotten */
  constructor(
    readonly size: number,
    private readonly now: number,
  ) {
    this.marks = new Uint8Array(size);
  }

  /**
   * @param keyed whether the payload names a request
   * @param event content of the payload; signed requests are remembered for ever
   */
  read(index: number, keyed: boolean, { recordedAt, signature }: LedgerEvent): void {
    const mayBeForgotten = signature === undefined && Date.parse(recordedAt) < this.now - REQUEST_LIFE_MS;
    if (!keyed) this.marks[index] = MARK.plain;
    else this.marks[index] = mayBeForgotten ? MARK.old : MARK.keyed;
  }

  /** Marks an entry whose payload was rightly erased, so that its request is unknown. */
  erased(index: number): void {
    this.marks[index] = MARK.erased;
  }

  /**
   * @returns false when the event at that index is not the first of a request, or another row remembers that request
   * already
   */
  remember(index: number): boolean {
    const mark = this.marks[index];
    const known = mark === MARK.keyed || mark === MARK.old;
    if (known) this.marks[index] = MARK.remembered;
    // A payload that could not be opened is already a finding.
    return known || mark === MARK.erased || mark === MARK.unread;
  }

  /** Events whose request no row remembers, though one must. */
  *forgotten(): Generator<number> {
    for (let at = this.marks.indexOf(MARK.keyed); at >= 0; at = this.marks.indexOf(MARK.keyed, at + 1)) yield at;
  }
}

/** Checks that every remembered request is as the writer sealed it, and that no request is missing. */
export async function verifyRequests(db: Db, vault: Vault, marks: RequestMarks, findings: Findings): Promise<void> {
  const wrong = (first: number, what: string): void => findings.add('tampered', 'idempotency', { first }, what);
  // On SQLite every value that is not a blob sorts before the empty blob.
  const odd = await db.query<{ first: unknown }>('SELECT first FROM idempotency WHERE key <= ?', [Buffer.alloc(0)]);
  for (const { first } of odd) wrong(integer(first), 'key is not one');
  let after: Buffer = Buffer.alloc(0);
  for (;;) {
    const rows = await db.query<Record<'key' | 'request' | 'first' | 'count' | 'chains' | 'used_at', unknown>>(
      'SELECT key, request, first, count, chains, used_at FROM idempotency WHERE key > ? ORDER BY key LIMIT ?',
      [after, PAGE],
    );
    for (const row of rows) {
      const key = bytes(row.key);
      const request = bytes(row.request);
      const first = integer(row.first);
      const count = integer(row.count);
      const mac = requestOf(request);
      const sealed = requestSeal(
        vault,
        key,
        { request: mac, first, count, usedAt: row.used_at === null ? null : integer(row.used_at) },
        text(row.chains),
      );
      if (!(first >= 0 && first + count <= marks.size) || !request.subarray(mac.length).equals(sealed))
        wrong(first, 'is not what the writer stored');
      else if (!marks.remember(first)) wrong(first, 'remembers a request that its event does not answer');
      after = key;
    }
    if (rows.length < PAGE) break;
  }
  for (const first of marks.forgotten())
    findings.add('missing', 'idempotency', { first }, 'the request that this event answers is not remembered');
}
