/** Tables that hold no events: their repositories work on the writer's connection, in its transaction, on both engines. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DbError, isConflict } from '../../src/database/db.js';
import { findMade, forgetMade, rememberMade } from '../../src/ledger/rows/made-requests.js';
import { firstPublishedAfter, publishBehindNewest, publishedBefore } from '../../src/ledger/rows/published.js';
import { moveCursor, readCursor, resetCursor } from '../../src/ledger/rows/relay-cursors.js';
import { raiseServed, readServed } from '../../src/ledger/rows/served.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { published } from '../../src/database/tables/log-tables.js';
import { readContacts, storeCosignature, storeFailure } from '../../src/log/checkpoints/cosignatures.js';
import { bothEngines } from '../support/engines.js';
import { openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';

const row = (size: number) => ({ size, checkpoint: `checkpoint ${size}` });

describe.each(await bothEngines())('rows that are no events, on $engine', ({ missing, database }) => {
  const folder = temporaryFolder();
  let ledger: Ledger;
  beforeAll(async () => {
    if (missing === null) ledger = await openTestLedger(testConfig(folder.path, await database()));
  });
  afterAll(async () => {
    await ledger?.close();
    folder.remove();
  });

  it.skipIf(missing !== null)('moves a cursor from where it stands only; one without a row stands at 0', async () => {
    const { db, writer } = ledger;
    const move = (from: number, to: number) => writer.side((side) => moveCursor(side, 'one', from, to));
    expect(await readCursor(db, 'one')).toBe(0);
    await move(5, 9);
    expect(await readCursor(db, 'one')).toBe(0);
    await move(0, 7);
    await move(0, 8);
    await move(6, 9);
    expect(await readCursor(db, 'one')).toBe(7);
    await move(7, 2 ** 40);
    expect(await readCursor(db, 'one')).toBe(2 ** 40);
    expect(await readCursor(db, 'other')).toBe(0);
    await writer.side((side) => resetCursor(side, 'one'));
    await move(0, 3);
    expect(await readCursor(db, 'one')).toBe(3);
  });

  it.skipIf(missing !== null)('undoes what a job wrote before it failed', async () => {
    const { db, writer } = ledger;
    const failing = writer.side(async (side) => {
      await moveCursor(side, 'undone', 0, 7);
      expect(await readCursor(side, 'undone')).toBe(7);
      throw new Error('the job failed');
    });
    await expect(failing).rejects.toThrow('the job failed');
    expect(await readCursor(db, 'undone')).toBe(0);
  });

  it.skipIf(missing !== null)('says that a key is taken, and no value', async () => {
    const { db, writer } = ledger;
    for (const size of [2, 7]) await writer.side((side) => publishBehindNewest(side, row(size), 1000 + size));
    const twice = await writer
      .side((side) =>
        side.table(published, (rows) =>
          rows.insert({ size: 9, previous: 2, checkpoint: 'a secret', published_at: 424_242 }),
        ),
      )
      .catch((error: unknown) => error);
    expect(twice).toBeInstanceOf(DbError);
    expect(isConflict(twice)).toBe(true);
    expect(JSON.stringify([twice, String(twice), (twice as Error).stack])).not.toMatch(/a secret|424242/);
    expect(await publishedBefore(db, 100, 10)).toEqual(
      [7, 2].map((size) => ({ ...row(size), publishedAt: 1000 + size })),
    );
    expect(await firstPublishedAfter(db, 2)).toEqual({ ...row(7), publishedAt: 1007 });
    expect(await firstPublishedAfter(db, 7)).toBeNull();
  });

  it.skipIf(missing !== null)('serves never less than before', async () => {
    for (const size of [4, 3]) await ledger.writer.side((side) => raiseServed(side, size));
    expect(await readServed(ledger.db)).toBe(4);
  });

  it.skipIf(missing !== null)(
    'knows a request again, another under its key, and its key alone once erased',
    async () => {
      const { db, writer, vault } = ledger;
      const request = { client: 'somebody', key: 'a key', request: 'POST /one' };
      expect(await findMade(db, vault, request)).toBeNull();
      await writer.side((side) => rememberMade(side, vault, request, 'made', 1));
      expect(await findMade(db, vault, request)).toEqual({ ref: 'made', same: true });
      expect(await findMade(db, vault, { ...request, request: 'POST /two' })).toEqual({ ref: 'made', same: false });
      await writer.side((side) => forgetMade(side, ['other'], 'nobody'));
      await writer.side((side) => forgetMade(side, ['made'], 'patient'));
      expect(await findMade(db, vault, { ...request, request: 'POST /two' })).toEqual({ ref: 'patient', same: true });
    },
  );

  it.skipIf(missing !== null)('keeps when a witness failed last, beside its cosignatures', async () => {
    const { db, writer } = ledger;
    const contact = async () => (await readContacts(db, ['w']))[0];
    await writer.side((side) => storeFailure(side, 'w', 'timeout', 5));
    expect(await contact()).toEqual({ witness: 'w', size: null, contactAt: null, failure: 'timeout', failedAt: 5 });
    for (const now of [6, 7])
      await writer.side((side) => storeCosignature(side, { size: 3, witness: 'w', line: `line ${now}` }, now));
    expect(await contact()).toEqual({ witness: 'w', size: 3, contactAt: 7, failure: null, failedAt: 5 });
    expect(await db.query('SELECT line FROM cosignature')).toEqual([{ line: 'line 6' }]);
  });
});
