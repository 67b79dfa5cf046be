import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openWriter } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import { LOG_REF, type LogChain, logModel } from '../../src/ledger/log-chain/log-chain.js';
import type { Actor, ChainModel, Command, NewEvent, Outcome } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { verifyExport } from '../../src/ledger/verify/export-file.js';
import { verified } from '../faults/verified.js';
import { bothEngines } from '../support/engines.js';
import {
  count,
  type Counter,
  counterModel,
  counterRef,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { newSigner, type Signer } from '../support/signer.js';

const LOG = 'test.example/log';
/** A counter whose moves are signed by who signs. */
const signedCounter: ChainModel<Counter> = { ...counterModel, signable: ['counter.moved/1'] };
const MODELS = [signedCounter, logModel];
const column = (name: string) => `UPDATE chain SET ${name} = ? WHERE id = '${LOG_CHAIN}'`;
const actorOf = (account: string): Actor => ({ id: account, role: 'prescriber', org: null, patient: null });
const admin: Actor = { ...actorOf(randomUUID()), role: 'administrator' };

/** A command as its actor signs it. */
function signedBy(signer: Signer, command: Command, event: NewEvent): Command {
  const { id, org, role } = command.actor;
  const key = randomUUID();
  const occurredAt = new Date().toISOString();
  const jws = signer.sign({ log: LOG, ...event, actor: { id, org, role }, occurredAt, commandId: key });
  return { ...command, idempotency: { client: id, key, request: '' }, signature: { jws, occurredAt } };
}

function enrol(account: string = randomUUID(), signer = newSigner(), more: Partial<Command> = {}): Command {
  const data = { account, jwk: signer.jwk, kid: signer.kid };
  const event: NewEvent = { chain: LOG_CHAIN, type: 'actor-key.enrolled/1', data, derived: {} };
  const command = { actor: actorOf(account), chains: [LOG_REF], decide: () => ({ events: [event] }) };
  return { ...signedBy(signer, command, event), ...more };
}
const revoke = (account: string, { kid }: Signer): Command => ({
  actor: admin,
  chains: [LOG_REF],
  decide: () => ({
    events: [
      {
        chain: LOG_CHAIN,
        type: 'actor-key.revoked/1',
        data: { account, kid, reason: 'lost' },
        derived: { by: 'administrator' },
      },
    ],
  }),
});
/** A move of a counter of its own. */
function move(account: string, signer: Signer | null): Command {
  const id = randomUUID();
  const command = count(id, 1, {
    actor: actorOf(account),
    chains: [{ ...counterRef(id), model: signedCounter }],
    idempotency: { client: account, key: randomUUID(), request: '' },
  });
  const event = { chain: id, type: 'counter.moved/1', data: { by: 1, label: id }, derived: {} };
  return signer ? signedBy(signer, command, event) : command;
}
const codeOf = (outcome: Outcome): string => (outcome.ok ? 'ok' : outcome.refusal.code);

describe.each(await bothEngines())('the log chain on $engine', ({ missing, database }) => {
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
    if (missing !== null) return;
    config = testConfig(folder.path, await database());
    ledger = await open();
  });
  afterAll(async () => {
    await ledger?.close();
    folder.remove();
  });

  it.skipIf(missing)('is opened by its first event, also beside another chain', async () => {
    const chain = randomUUID();
    const enrols = enrol();
    const both: Command = {
      ...enrols,
      chains: [{ ...counterRef(chain), model: signedCounter }, LOG_REF],
      decide: (view) => {
        const { events } = enrols.decide(view) as { events: NewEvent[] };
        return { events: [{ chain, type: 'counter.noted/1', data: { by: 1, label: chain }, derived: {} }, ...events] };
      },
    };
    const outcome = await ledger.writer.commit(both);
    expect(outcome).toMatchObject({ ok: true, replayed: false, ids: [chain, LOG_CHAIN] });
    // The answer is rebuilt from the payload in the clear.
    const again = await ledger.writer.commit(both);
    expect(again).toMatchObject({ ok: true, replayed: true, states: [{ total: 1 }, { actorKeys: { keys: {} } }] });
    expect((await kids()).length).toBe(1);
    expect(await ledger.reader.receipt(1)).toMatchObject({ index: 1 });
  });

  it.skipIf(missing)('is written by two processes in turn', async () => {
    const other = await open();
    try {
      const many = Array.from({ length: 10 }, (_unused, n) => (n % 2 ? ledger : other).writer.commit(enrol()));
      expect((await Promise.all(many)).every(({ ok }) => ok)).toBe(true);
      expect((await kids()).length).toBe(11);
    } finally {
      await other.close();
    }
  });

  it.skipIf(missing)('binds the other process at once', async () => {
    const other = await open();
    const account = randomUUID();
    const signer = newSigner('P-256');
    try {
      // Both have their idea of the end of the log, and of who signs.
      expect(codeOf(await other.writer.commit(move(account, null)))).toBe('ok');
      expect(codeOf(await ledger.writer.commit(enrol(account, signer)))).toBe('ok');
      expect(codeOf(await other.writer.commit(move(account, null)))).toBe('signature.required');
      expect(codeOf(await other.writer.commit(move(account, signer)))).toBe('ok');
      expect(codeOf(await ledger.writer.commit(move(account, signer)))).toBe('ok');
      expect(codeOf(await ledger.writer.commit(revoke(account, signer)))).toBe('ok');
      expect(codeOf(await other.writer.commit(move(account, signer)))).toBe('signature.key-revoked');
      expect(codeOf(await other.writer.commit(move(account, null)))).toBe('ok');
    } finally {
      await other.close();
    }
  });

  it.skipIf(missing)('orders use and revocation, however they race', async () => {
    const other = await open();
    const account = randomUUID();
    const signer = newSigner();
    try {
      await ledger.writer.commit(enrol(account, signer));
      const uses = Array.from({ length: 40 }, async (_unused, n) => {
        const outcome = await (n % 2 ? ledger : other).writer.commit(move(account, n % 4 < 2 ? signer : null));
        return { index: outcome.ok ? outcome.events[0]!.index : null, signed: n % 4 < 2, code: codeOf(outcome) };
      });
      const revoked = await other.writer.commit(revoke(account, signer));
      const end = revoked.ok ? revoked.events[0]!.index : Number.NaN;
      for (const { index, signed, code } of await Promise.all(uses)) {
        if (signed) expect(index === null ? code : index < end).toBe(index === null ? 'signature.key-revoked' : true);
        else expect(index === null ? code : index > end).toBe(index === null ? 'signature.required' : true);
      }
    } finally {
      await other.close();
    }
    expect((await verified(config, MODELS)).findings).toEqual([]);
  });

  it.skipIf(missing)('is never erased, adopted or taken', async () => {
    await expect(ledger.writer.erase(LOG_CHAIN, testActor)).rejects.toThrow(TypeError);
    for (const mode of ['new', 'either'] as const) {
      const taken = count(LOG_CHAIN, 1, { chains: [counterRef(LOG_CHAIN, mode)] });
      expect(await ledger.writer.commit(taken)).toMatchObject({ ok: false, refusal: { code: 'ledger.chain-taken' } });
    }
    const existing = count(LOG_CHAIN, 1, { chains: [counterRef(LOG_CHAIN, 'existing')] });
    expect(await ledger.writer.commit(existing)).toMatchObject({ refusal: { code: 'ledger.chain-unknown' } });
    const id = randomUUID();
    await ledger.writer.commit(count(id, 1));
    const thief = newSigner();
    const adopt = { subject: { subject: id }, adopt: true } as const;
    const adopted = enrol(id, thief, { chains: [{ ...LOG_REF, ...adopt }] });
    await expect(ledger.writer.commit(adopted)).rejects.toThrow('its own subject');
    const into = { ...counterRef(id), subject: { subject: LOG_CHAIN }, adopt: true } as const;
    await expect(ledger.writer.commit(count(id, 1, { chains: [into] }))).rejects.toThrow('its own subject');
    expect(await kids()).not.toContain(thief.kid);
    await ledger.writer.erase(id, testActor);
    expect((await verified(config, MODELS)).erased).toBe(1);
  });

  it.skipIf(missing)('outlives a rotation of the KEK and a restart', async () => {
    ledger.vault.keks.add();
    await ledger.writer.side((db) => ledger.vault.keks.retireOld(db));
    while ((await ledger.writer.side((db) => ledger.vault.rewrapSubjects(db, 100))) > 0);
    await ledger.writer.side((db) => ledger.vault.keks.destroyOld(db));
    await ledger.close();
    ledger = await open();
    const later = newSigner();
    expect(await ledger.writer.commit(enrol(randomUUID(), later))).toMatchObject({ ok: true });
    expect(await kids()).toContain(later.kid);
    expect((await verified(config, MODELS)).findings).toEqual([]);
  });

  it.skipIf(missing)('is in every export with its payloads', async () => {
    const file = join(folder.path, 'export');
    const lines: string[] = [];
    for await (const line of exportLog(ledger.source, null)) lines.push(line);
    const check = async (text: readonly string[]): Promise<string[]> => {
      writeFileSync(file, text.join('\n'));
      const { findings } = await verifyExport(file, ledger.writer.vkey, MODELS);
      return findings.map(({ what }) => what);
    };
    expect(await check(lines)).toEqual([]);
    const at = lines.findIndex((line) => line.startsWith('{"index":1,'));
    const { payload, ...bare } = JSON.parse(lines[at]!) as { index: number; entry: string; payload: string };
    expect(Buffer.from(payload, 'base64').toString()).toContain('"type":"actor-key.enrolled/1"');
    expect(await check(lines.with(at, JSON.stringify(bare)))).toEqual(['an event of the log chain has no payload']);
    rmSync(file);
  });

  it.skipIf(missing)('shows what somebody with the database did to it', async () => {
    const [row] = await ledger.db.query<{ body: Buffer }>('SELECT body FROM payload WHERE idx = 1');
    const { body } = row!;
    const edited = Buffer.from(body.toString('latin1').replace('"crv":"Ed25519"', '"crv":"Ed25510"'), 'latin1');
    const edit = 'UPDATE payload SET body = ? WHERE idx = 1';
    expect(await tampered(edit, [edited], edit, [body])).toContain('payload is not what its entry commits to');
    const [chain] = await ledger.db.query<{ data_key: Buffer }>('SELECT data_key FROM chain WHERE id = ?', [LOG_CHAIN]);
    const key = [chain!.data_key];
    expect(await tampered(column('data_key'), [Buffer.alloc(0)], column('data_key'), key)).toContain(
      'chain the log chain is never erased',
    );
    expect(await tampered(column('kind'), ['patient'], column('kind'), ['log'])).toContain(
      'chain kind is not that of its id',
    );
    expect((await verified(config, MODELS)).findings).toEqual([]);
  });
});
