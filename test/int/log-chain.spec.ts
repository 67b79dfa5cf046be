import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clock } from '../../src/config/clock.js';
import type { Config } from '../../src/config/config.js';
import { openWriter } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { LOG_CHAIN } from '../../src/ledger/core/entry.js';
import { exportLog } from '../../src/ledger/export.js';
import { LOG_REF, type LogChain, logModel } from '../../src/ledger/log-chain.js';
import type { Command, NewEvent } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/open-ledger.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import { verified } from '../faults/verified.js';
import { sharedPostgres } from '../support/engines.js';
import { count, counterModel, counterRef, temporaryFolder, testActor, testConfig } from '../support/ledger.js';

const MODELS = [counterModel, logModel];
const postgres = await sharedPostgres();

const column = (name: string) => `UPDATE chain SET ${name} = ? WHERE id = '${LOG_CHAIN}'`;
const enrolled = (kid: string, account = testActor.id): NewEvent => ({
  chain: LOG_CHAIN,
  type: 'actor-key.enrolled/1',
  data: { account, jwk: { kty: 'OKP', crv: 'Ed25519', x: 'x' }, kid },
  derived: {},
});
const enrol = (kid: string, more: Partial<Command> = {}): Command => ({
  actor: testActor,
  chains: [LOG_REF],
  decide: () => ({ events: [enrolled(kid)] }),
  ...more,
});

describe.each([
  ['SQLite', false],
  ['PostgreSQL', true],
])('the log chain on %s', (_, onPostgres) => {
  const folder = temporaryFolder();
  let config: Config;
  let ledger: Ledger;
  const open = (): Promise<Ledger> => openLedger(config, new Clock(), MODELS);
  const kids = async (): Promise<string[]> => {
    const chain = await ledger.reader.chain<LogChain>(LOG_CHAIN, logModel);
    return Object.keys(chain?.state.actorKeys.keys ?? {}).toSorted();
  };
  /** Runs a statement as somebody with the database would, and what `verify` says then; then undoes it. */
  async function tampered(sql: string, values: unknown[], undo: string, before: unknown[]): Promise<string[]> {
    const source = await openWriter(config);
    try {
      await dbOf(source).query(sql, values);
      const { findings } = await verified(config, MODELS);
      await dbOf(source).query(undo, before);
      return findings.map(({ table, what }) => `${table} ${what}`);
    } finally {
      await source.destroy();
    }
  }

  beforeAll(async () => {
    if (onPostgres && postgres.missing) return;
    config = testConfig(folder.path, onPostgres ? { DATABASE_URL: await postgres.createDatabase() } : {});
    ledger = await open();
  });
  afterAll(async () => {
    await ledger?.close();
    folder.remove();
  });

  it.skipIf(onPostgres && postgres.missing)('is opened by its first event, also beside another chain', async () => {
    const chain = randomUUID();
    const idempotency = { client: testActor.id, key: 'k1', request: 'r' };
    const both: Command = {
      actor: testActor,
      chains: [counterRef(chain), LOG_REF],
      idempotency,
      decide: ({ states }) => ({
        events: [
          { chain, type: 'counter.moved/1', data: { by: 1, label: chain }, derived: {} },
          ...(states[1] === null ? [enrolled('first')] : []),
        ],
      }),
    };
    const outcome = await ledger.writer.commit(both);
    expect(outcome).toMatchObject({ ok: true, replayed: false, ids: [chain, LOG_CHAIN] });
    // The answer is rebuilt from the payload in the clear.
    const again = await ledger.writer.commit(both);
    expect(again).toMatchObject({ ok: true, replayed: true, states: [{ total: 1 }, { actorKeys: { keys: {} } }] });
    expect(await kids()).toEqual(['first']);
    expect(await ledger.reader.receipt(1)).toMatchObject({ index: 1 });
  });

  it.skipIf(onPostgres && postgres.missing)('is written by two processes in turn', async () => {
    const other = await open();
    try {
      const many = Array.from({ length: 10 }, (_unused, n) => (n % 2 ? ledger : other).writer.commit(enrol(`k${n}`)));
      expect((await Promise.all(many)).every(({ ok }) => ok)).toBe(true);
      expect((await kids()).length).toBe(11);
    } finally {
      await other.close();
    }
  });

  it.skipIf(onPostgres && postgres.missing)('is never erased, adopted or taken', async () => {
    await expect(ledger.writer.erase(LOG_CHAIN, testActor)).rejects.toThrow(TypeError);
    for (const mode of ['new', 'either'] as const) {
      const taken = count(LOG_CHAIN, 1, { chains: [counterRef(LOG_CHAIN, mode)] });
      expect(await ledger.writer.commit(taken)).toMatchObject({ ok: false, refusal: { code: 'ledger.chain-taken' } });
    }
    const existing = count(LOG_CHAIN, 1, { chains: [counterRef(LOG_CHAIN, 'existing')] });
    expect(await ledger.writer.commit(existing)).toMatchObject({ refusal: { code: 'ledger.chain-unknown' } });
    const id = randomUUID();
    await ledger.writer.commit(count(id, 1));
    const adopt = { subject: { subject: id }, adopt: true } as const;
    await expect(ledger.writer.commit(enrol('adopted', { chains: [{ ...LOG_REF, ...adopt }] }))).rejects.toThrow(
      'its own subject',
    );
    const into = { ...counterRef(id), subject: { subject: LOG_CHAIN }, adopt: true } as const;
    await expect(ledger.writer.commit(count(id, 1, { chains: [into] }))).rejects.toThrow('its own subject');
    expect(await kids()).not.toContain('adopted');
    await ledger.writer.erase(id, testActor);
  });

  it.skipIf(onPostgres && postgres.missing)('outlives a rotation of the KEK and a restart', async () => {
    ledger.vault.addKek();
    await ledger.writer.side((db) => ledger.vault.retireOldKeks(db));
    while ((await ledger.writer.side((db) => ledger.vault.rewrapSubjects(db, 100))) > 0);
    await ledger.writer.side((db) => ledger.vault.destroyOldKeks(db));
    await ledger.close();
    ledger = await open();
    expect(await ledger.writer.commit(enrol('later'))).toMatchObject({ ok: true });
    expect(await kids()).toContain('later');
    expect((await verified(config, MODELS)).findings).toEqual([]);
  });

  it.skipIf(onPostgres && postgres.missing)('is in every export with its payloads', async () => {
    const file = join(folder.path, 'export');
    const lines: string[] = [];
    for await (const line of exportLog(ledger.source, null)) lines.push(line);
    const check = async (text: readonly string[]): Promise<string[]> => {
      writeFileSync(file, text.join('\n'));
      const { findings } = await verifyExport(file, ledger.writer.vkey);
      return findings.map(({ what }) => what);
    };
    expect(await check(lines)).toEqual([]);
    const at = lines.findIndex((line) => line.startsWith('{"index":1,'));
    const { payload, ...bare } = JSON.parse(lines[at]!) as { index: number; entry: string; payload: string };
    expect(Buffer.from(payload, 'base64').toString()).toContain('"type":"actor-key.enrolled/1"');
    expect(await check(lines.with(at, JSON.stringify(bare)))).toEqual(['an event of the log chain has no payload']);
    rmSync(file);
  });

  it.skipIf(onPostgres && postgres.missing)('shows what somebody with the database did to it', async () => {
    const [row] = await ledger.reader.db.query<{ body: Buffer }>('SELECT body FROM payload WHERE idx = 1');
    const { body } = row!;
    const edited = Buffer.from(body.toString('latin1').replace('"first"', '"thief"'), 'latin1');
    const edit = 'UPDATE payload SET body = ? WHERE idx = 1';
    expect(await tampered(edit, [edited], edit, [body])).toEqual(['payload is not what its entry commits to']);
    const [chain] = await ledger.reader.db.query<{ data_key: Buffer }>('SELECT data_key FROM chain WHERE id = ?', [
      LOG_CHAIN,
    ]);
    expect(await tampered(column('data_key'), [Buffer.alloc(0)], column('data_key'), [chain!.data_key])).toEqual([
      'chain the log chain is never erased',
    ]);
    expect(await tampered(column('kind'), ['patient'], column('kind'), ['log'])).toEqual([
      'chain kind is not that of its id',
    ]);
    expect((await verified(config, MODELS)).findings).toEqual([]);
  });
});
