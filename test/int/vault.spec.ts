import { decrypt, encrypt, freshKey, VaultError } from '../../src/ledger/crypto/aes-gcm.js';
import { createCipheriv, createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runRotateEncryption } from '../../src/cli/keys/rotate-encryption.js';
import { testTerminal } from '../support/terminal.js';
import type { Config } from '../../src/config/config.js';
import type { Db } from '../../src/database/db.js';
import { createKey, KeyFileError, loadKey, loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import type { ChainModel, Command } from '../../src/ledger/model.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { decideEnrol } from '../../src/patient/decide.js';
import { Clock } from '../../src/time/clock.js';
import { DOCTOR } from '../support/domain.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verified } from '../faults/verified.js';
import { bothEngines } from '../support/engines.js';
import {
  COUNTING,
  count,
  type Counter,
  counterModel,
  counterRef,
  openTestLedger,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { startNode } from '../support/process.js';
import { until } from '../support/wait.js';

const folder = temporaryFolder();
const keys = join(folder.path, 'keys');
afterAll(() => folder.remove());
beforeEach(() => {
  rmSync(folder.path, { recursive: true, force: true });
  mkdirSync(folder.path);
});

describe('a sealed field', () => {
  const row = randomUUID();

  it('opens in its own place and nowhere else', () => {
    const vault = new Vault(keys, 'test.example/log');
    const [subject, other] = [vault.freshSubject(1, randomUUID()), vault.freshSubject(2, randomUUID())];
    const sealed = vault.seal(subject, row, 'name', 'Ann Example');
    expect(vault.open(subject, row, 'name', sealed)).toBe('Ann Example');
    expect(() => vault.open(subject, randomUUID(), 'name', sealed)).toThrow(VaultError);
    expect(() => vault.open(subject, row, 'address', sealed)).toThrow(VaultError);
    expect(() => vault.open(other, row, 'name', sealed)).toThrow(VaultError);
    const elsewhere = new Vault(keys, 'other.example/log');
    expect(() => elsewhere.open(subject, row, 'name', sealed)).toThrow(VaultError);
  });

  it('never looks the same twice, and any flipped bit is noticed', () => {
    const vault = new Vault(keys, 'test.example/log');
    const subject = vault.freshSubject(1, randomUUID());
    const sealed = vault.seal(subject, row, 'name', 'Ann');
    expect(vault.seal(subject, row, 'name', 'Ann').equals(sealed)).toBe(false);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => vault.open(subject, row, 'name', flipped)).toThrow(VaultError);
    }
    for (const length of [0, 11, 12, 27, sealed.length - 1]) {
      expect(() => vault.open(subject, row, 'name', sealed.subarray(0, length))).toThrow(VaultError);
    }
  });

  it('takes no tag of four bytes', () => {
    const key = freshKey();
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 4 });
    cipher.setAAD(Buffer.from('place'));
    const sealed = Buffer.concat([nonce, cipher.update('Ann Example, 1 Sample Road'), cipher.final()]);
    expect(() => decrypt(key, 'place', Buffer.concat([sealed, cipher.getAuthTag()]))).toThrow(VaultError);
    expect(decrypt(key, 'place', encrypt(key, 'place', Buffer.from('Ann'))).toString()).toBe('Ann');
    expect(() => decrypt(key, 'place 2', encrypt(key, 'place', Buffer.from('Ann')))).toThrow(VaultError);
  });
});

describe('blind indexes and MACs', () => {
  it('differ by domain, by log and by part, and parts do not run together', () => {
    const vault = new Vault(keys, 'test.example/log');
    const other = new Vault(keys, 'other.example/log');
    const all = [
      vault.index.of('order', ['practice', '1']),
      vault.index.of('patient-identifier', ['practice', '1']),
      vault.index.of('order', ['practice1', '']),
      vault.index.of('order', ['', 'practice1']),
      vault.index.of('order', ['practice', '1', '']),
      vault.index.of('order', ['practice1']),
      vault.index.of('order', ['8:practice1:1']),
      vault.index.of('order', ['1', 'practice']),
      vault.index.mac('order', 'practice', '1'),
      other.index.of('order', ['practice', '1']),
    ];
    expect(new Set(all.map((index) => index.toString('hex'))).size).toBe(all.length);
    expect(all.every((index) => index.length === 32)).toBe(true);
    const again = new Vault(keys, 'test.example/log');
    expect(again.index.of('order', ['practice', '1'])).toEqual(all[0]);
    expect(again.index.of('order', ['prä', '1'])).not.toEqual(again.index.of('order', ['pr', 'ä1']));
  });
});

const mode = (path: string): number => statSync(path).mode & 0o777;

describe('key files', () => {
  it('are made 0600 in a folder of 0700, and refused when others may read them or when they are cut', () => {
    loadOrCreateKey(keys, 'a.key');
    expect(mode(keys) & 0o077).toBe(0);
    expect(mode(join(keys, 'a.key'))).toBe(0o600);
    for (const wrong of [0o640, 0o604, 0o660, 0o644]) {
      chmodSync(join(keys, 'a.key'), wrong);
      expect(() => loadKey(keys, 'a.key')).toThrow(KeyFileError);
      expect(() => loadOrCreateKey(keys, 'a.key')).toThrow('0600');
    }
    chmodSync(join(keys, 'a.key'), 0o600);
    writeFileSync(join(keys, 'a.key'), randomBytes(31));
    expect(() => loadOrCreateKey(keys, 'a.key')).toThrow('does not hold 32 bytes');
  });

  it('are never overwritten, and leave no drafts', () => {
    const first = createKey(keys, 'a.key');
    expect(() => createKey(keys, 'a.key')).toThrow(KeyFileError);
    expect(loadKey(keys, 'a.key')).toEqual(first);
    expect(readdirSync(keys)).toEqual(['a.key']);
  });

  it('are the same for all processes that start at the same moment', async () => {
    const script = join(folder.path, 'make-key.mjs');
    writeFileSync(
      script,
      `import { loadOrCreateKey } from ${JSON.stringify(join(process.cwd(), 'dist/src/ledger/crypto/key-files.js'))};
       console.log('ready');
       const until = Number(process.argv[2]);
       while (Date.now() < until);
       console.log('key ' + loadOrCreateKey(process.argv[3], 'log.key').toString('hex'));`,
    );
    const start = String(Date.now() + 1500);
    const makers = Array.from({ length: 6 }, () => startNode(script, [start, keys]));
    const made = await Promise.all(makers.map(async (maker) => (await maker.line(/^key ([0-9a-f]{64})$/))[1]));
    expect(new Set(made).size).toBe(1);
    expect(readdirSync(keys)).toEqual(['log.key']);
  });
});

describe('rows of the ledger', () => {
  let config: Config;
  let ledger: Ledger;

  beforeEach(async () => {
    config = testConfig(folder.path);
    ledger = await openTestLedger(config);
  });
  afterEach(() => ledger.close());

  const rewrite = (sql: string, params: readonly unknown[] = []) => ledger.writer.side((db) => db.query(sql, params));
  const tables = async (): Promise<string[]> => (await verified(config, COUNTING)).findings.map(({ table }) => table);

  it('moved to another chain, seq or column do not open', async () => {
    const [a, b] = [randomUUID(), randomUUID()];
    for (const id of [a, b, a, b]) await ledger.writer.commit(count(id, 1));
    expect(await tables()).toEqual([]);
    const body = async (index: number) =>
      (await ledger.db.query<{ body: Buffer }>('SELECT body FROM payload WHERE idx = ?', [index]))[0]?.body;
    const own = await body(0);
    for (const from of [1, 2]) {
      await rewrite('UPDATE payload SET body = (SELECT body FROM payload WHERE idx = ?) WHERE idx = 0', [from]);
      await expect(ledger.reader.events(a)).rejects.toThrow(VaultError);
      expect(await tables()).toContain('payload');
      await rewrite('UPDATE payload SET body = ? WHERE idx = 0', [own]);
    }
    const [{ state, data_key: dataKey }] = (await ledger.db.query<{ state: Buffer; data_key: Buffer }>(
      'SELECT state, data_key FROM chain WHERE num = 0',
    )) as [{ state: Buffer; data_key: Buffer }];
    for (const [column, kept] of [
      ['state', state],
      ['data_key', dataKey],
    ] as const) {
      await rewrite(`UPDATE chain SET ${column} = (SELECT ${column} FROM chain WHERE num = 1) WHERE num = 0`);
      await expect(ledger.reader.chain(a, counterModel)).rejects.toThrow(VaultError);
      expect(await tables()).toContain('chain');
      await rewrite(`UPDATE chain SET ${column} = ? WHERE num = 0`, [kept]);
    }
    // The state sealed for one seq does not open at another.
    await rewrite('UPDATE chain SET seq = seq + 1 WHERE num = 0');
    await expect(ledger.reader.chain(a, counterModel)).rejects.toThrow(VaultError);
    await rewrite('UPDATE chain SET seq = seq - 1 WHERE num = 0');
    // A payload put where the state stands.
    await rewrite('UPDATE chain SET state = ? WHERE num = 0', [own]);
    await expect(ledger.reader.chain(a, counterModel)).rejects.toThrow(VaultError);
    await rewrite('UPDATE chain SET state = ? WHERE num = 0', [state]);
    expect(await tables()).toEqual([]);
  });

  it('of a chain of one entry hold no snapshot: its payload says the state, and nothing else is believed', async () => {
    const [one, more, other] = [randomUUID(), randomUUID(), randomUUID()];
    for (const id of [one, more, other, more]) await ledger.writer.commit(count(id, id === one ? 7 : 1));
    const { db } = ledger;
    const stored = (num: number) =>
      db.query('SELECT seq, state_version, length(state) AS n FROM chain WHERE num = ?', [num]);
    expect(await stored(0)).toEqual([{ seq: 0, state_version: 0, n: 0 }]);
    expect(await stored(1)).toEqual([
      { seq: 1, state_version: counterModel.stateVersion, n: expect.any(Number) as number },
    ]);
    const total = async (id: string) => (await ledger.reader.chain(id, counterModel))?.state.total;
    expect(await Promise.all([one, more, other].map(total))).toEqual([7, 2, 1]);

    const kept = await db.query('SELECT num, seq, leaf, state_version, state FROM chain WHERE num IN (0, 1)');
    const bodies = await db.query('SELECT idx, body FROM payload WHERE idx IN (0, 1, 2)');
    const restore = async () => {
      for (const { num, seq, leaf, state_version: version, state } of kept)
        await rewrite('UPDATE chain SET seq = ?, leaf = ?, state_version = ?, state = ? WHERE num = ?', [
          seq,
          leaf,
          version,
          state,
          num,
        ]);
      for (const { idx, body } of bodies)
        await rewrite(
          'INSERT INTO payload (idx, body) VALUES (?, ?) ON CONFLICT (idx) DO UPDATE SET body = excluded.body',
          [idx, body],
        );
    };
    for (const [id, table, statement] of [
      [more, 'chain', "UPDATE chain SET state = x'' WHERE num = 1"],
      [more, 'chain', "UPDATE chain SET state = x'', state_version = 0 WHERE num = 1"],
      [
        more,
        'chain',
        "UPDATE chain SET seq = 0, state = x'', state_version = 0, leaf = (SELECT leaf FROM chain WHERE num = 0) WHERE num = 1",
      ],
      [one, 'chain', 'UPDATE chain SET seq = 1 WHERE num = 0'],
      [one, 'payload', 'DELETE FROM payload WHERE idx = 0'],
      [one, 'payload', 'UPDATE payload SET body = (SELECT body FROM payload WHERE idx = 2) WHERE idx = 0'],
    ] as const) {
      await rewrite(statement);
      await expect(ledger.reader.chain(id, counterModel)).rejects.toThrow(VaultError);
      expect(await tables()).toContain(table);
      await restore();
    }
    // A snapshot of another version is not read; that nothing belongs there, verify says.
    for (const column of ['state_version = 1', "state = x'00'"]) {
      await rewrite(`UPDATE chain SET ${column} WHERE num = 0`);
      expect(await total(one)).toBe(7);
      expect(await tables()).toContain('chain');
      await restore();
    }
    expect(await tables()).toEqual([]);
  });

  it('of many chains are read in one query, with snapshots and without', async () => {
    const ids = Array.from({ length: 6 }, () => randomUUID());
    for (const id of [...ids, ...ids.slice(0, 3)]) await ledger.writer.commit(count(id, 1));
    const { db } = ledger;
    const { origin } = ledger.reader;
    let queries = 0;
    const counted: Db = {
      dialect: db.dialect,
      query: (sql, params) => {
        queries++;
        return db.query(sql, params);
      },
      table: (schema, ask) => db.table(schema, ask),
    };
    const reader = new LedgerReader(counted, ledger.vault, origin);
    const read = await reader.chains([0, 1, 2, 3, 4, 5], counterModel);
    expect(read.map(({ state }) => state.total)).toEqual([2, 2, 2, 1, 1, 1]);
    expect(queries).toBe(1);
  });

  it('stay readable through a change of the key-encryption key', async () => {
    const ids = Array.from({ length: 25 }, () => randomUUID());
    for (const id of ids) await ledger.writer.commit(count(id, 1));
    const staff = await ledger.writer.side((db) => ledger.vault.newSubject(db, randomUUID()));
    const sealed = ledger.vault.seal(staff, staff.id, 'name', 'Ann Example');
    expect(ledger.vault.keks.add()).toBe('0002');
    const late = randomUUID();
    await ledger.writer.commit(count(late, 1));
    await expect(ledger.writer.side((db) => ledger.vault.keks.destroyOld(db))).rejects.toThrow(
      /may still wrap.*run it again/,
    );
    await ledger.writer.side((db) => ledger.vault.keks.retireOld(db));
    await expect(ledger.writer.side((db) => ledger.vault.keks.destroyOld(db))).rejects.toThrow(
      /still wrapped.*run it again/,
    );
    const chunks: number[] = [];
    while (chunks.at(-1) !== 0) {
      chunks.push(await ledger.writer.side((db) => ledger.vault.rewrapSubjects(db, 10)));
      // Writes go on between the chunks.
      await ledger.writer.commit(count(late, 1));
    }
    expect(chunks).toEqual([10, 10, 6, 0]);
    expect(await ledger.writer.side((db) => ledger.vault.keks.destroyOld(db))).toEqual(['0001']);
    expect(existsSync(join(config.keysDir, 'kek-0001'))).toBe(false);
    await ledger.close();
    ledger = await openTestLedger(config);
    for (const id of ids) expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(1);
    expect((await ledger.reader.events(late)).length).toBe(5);
    const again = await ledger.vault.subjectKey(ledger.db, staff.id);
    expect(ledger.vault.open(again, staff.id, 'name', sealed)).toBe('Ann Example');
    await ledger.writer.commit(count(ids[0] as string, 1));
    expect(await tables()).toEqual([]);
  });

  it('are lost with the only key-encryption key that wrapped them, and nothing starts without it', async () => {
    const id = randomUUID();
    await ledger.writer.commit(count(id, 1));
    ledger.vault.keks.add();
    rmSync(join(config.keysDir, 'kek-0001'));
    const late = new Vault(config.keysDir, ledger.vault.origin);
    await expect(late.subjectKey(ledger.db, id)).rejects.toThrow('key-encryption key 0001 is not here');
    expect(await tables()).toContain('subject');
    await expect(openTestLedger(config)).rejects.toThrow('the keys folder lacks kek-0001');
  });

  it.each(['index.key', 'kek-0001'])(
    'are not written beside by who lacks %s: none is made in its place',
    async (name) => {
      await ledger.writer.commit(count(randomUUID(), 1));
      await ledger.close();
      const aside = join(folder.path, 'aside');
      renameSync(join(config.keysDir, name), aside);
      await expect(openTestLedger(config)).rejects.toThrow(`the keys folder lacks ${name}`);
      expect(existsSync(join(config.keysDir, name))).toBe(false);
      renameSync(aside, join(config.keysDir, name));
      ledger = await openTestLedger(config);
      await ledger.writer.commit(count(randomUUID(), 1));
    },
  );

  it('number no new subject like an erased one', async () => {
    const [erased, next] = [randomUUID(), randomUUID()];
    await ledger.writer.commit(count(erased, 1));
    expect(await ledger.writer.erase(erased, testActor)).toMatchObject({ chains: 1 });
    await ledger.close();
    ledger = await openTestLedger(config);
    await ledger.writer.commit(count(next, 1));
    const rows = await ledger.db.query<{ subject: number }>('SELECT subject FROM chain ORDER BY num');
    expect(new Set(rows.map(({ subject }) => subject)).size).toBe(2);
    expect(await ledger.writer.erase(next, testActor)).toMatchObject({ chains: 1 });
    expect(await tables()).toEqual([]);
  });

  it('are not written under the key of a subject that another process erased', async () => {
    const other = await openTestLedger(config);
    try {
      const [subject, chain] = [randomUUID(), randomUUID()];
      await ledger.writer.commit(count(subject, 1));
      // The other process holds the key in memory now.
      await other.writer.commit(count(subject, 1));
      await ledger.writer.erase(subject, testActor);
      const late = { ...count(chain, 1), chains: [{ ...counterRef(chain), subject: { subject } }] };
      await expect(other.writer.commit(late)).rejects.toThrow('does not exist');
      await ledger.writer.commit(count(randomUUID(), 1));
      expect(await tables()).toEqual([]);
    } finally {
      await other.close();
    }
  });

  it('hold no state in the clear', async () => {
    const id = randomUUID();
    await ledger.writer.commit(count(id, 1, { label: 'Distinctive Label' }));
    expect(((await ledger.reader.chain(id, counterModel))?.state satisfies Counter | undefined)?.label).toBe(
      'Distinctive Label',
    );
    await ledger.close();
    const files = [config.sqliteFile, `${config.sqliteFile}-wal`].filter((file) => existsSync(file));
    for (const file of files) expect(readFileSync(file).includes('Distinctive Label')).toBe(false);
    ledger = await openTestLedger(config);
  });
});

/** What a ledger with the service's own models records: a command opens it with these. */
function enrolment(id: string): Command {
  const patient = {
    name: 'Pat',
    birthDate: '1970-02-28',
    address: null,
    identifiers: [{ system: 'x', value: id }],
    source: null,
  };
  return {
    actor: DOCTOR,
    chains: [{ id, model: patientModel, mode: 'new', subject: { newSubject: id } }],
    decide: ({ now }) => decideEnrol(null, patient, { chain: id, now, actor: DOCTOR }),
  };
}
const WAITING = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;

describe.each(await bothEngines())('rotation beside another process on $engine', ({ missing, database }) => {
  const open: Ledger[] = [];
  afterEach(async () => {
    for (const ledger of open.splice(0)) await ledger.close();
  });
  /** A ledger of its own memory, as another process has. */
  async function start(config: Config, models: readonly ChainModel[] = COUNTING): Promise<Ledger> {
    const ledger = await openLedger(config, new Clock(), models);
    open.push(ledger);
    return ledger;
  }
  const settings = async (): Promise<Config> => testConfig(folder.path, await database());

  it.skipIf(missing)('the other reads, writes and makes subjects before, meanwhile and after', async () => {
    const config = await settings();
    const [rotating, other] = [await start(config), await start(config)];
    const [warm, cold, late, after] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
    await other.writer.commit(count(warm, 1));
    await rotating.writer.commit(count(cold, 1));
    expect(rotating.vault.keks.add()).toBe('0002');
    const rewrap = () => rotating.writer.side((db) => rotating.vault.rewrapSubjects(db, 100));
    expect(await rewrap()).toBe(2);
    // It has never held this subject's key, and knows the new key-encryption key only from the folder.
    await other.writer.commit(count(cold, 1));
    expect((await other.reader.chain(cold, counterModel))?.state.total).toBe(2);
    await other.writer.commit(count(late, 1));
    expect(await rewrap()).toBe(0);
    await rotating.writer.side((db) => rotating.vault.keks.retireOld(db));
    expect(await rotating.writer.side((db) => rotating.vault.keks.destroyOld(db))).toEqual(['0001']);
    await other.writer.commit(count(warm, 1));
    await other.writer.commit(count(after, 1));
    const staff = await other.writer.side((db) => other.vault.newSubject(db, randomUUID()));
    const third = await start(config);
    for (const id of [warm, cold, late, after]) expect(await third.reader.chain(id, counterModel)).not.toBeNull();
    await third.vault.subjectKey(third.db, staff.id);
    const keks = await third.db.query<{ kek: string }>('SELECT DISTINCT kek FROM subject');
    expect(keks).toEqual([{ kek: '0002' }]);
    expect((await verified(config, COUNTING)).findings).toEqual([]);
  });

  it.skipIf(missing)('the command rotates and destroys, and others do not notice', async () => {
    const config = await settings();
    const other = await start(config, CHAIN_MODELS);
    const ids = Array.from({ length: 30 }, () => randomUUID());
    const writing = (async () => {
      for (const id of ids) await other.writer.commit(enrolment(id));
    })();
    await other.writer.commit(enrolment(randomUUID()));
    const { terminal, said } = testTerminal({
      env: {
        DATA_DIR: folder.path,
        LOG_LEVEL: 'silent',
        ...(config.postgresUrl && { DATABASE_URL: config.postgresUrl }),
      },
    });
    expect(await runRotateEncryption({ json: true, destroyOld: true }, terminal)).toBe(0);
    await writing;
    expect(JSON.parse([...said.out, ...said.err].join(''))).toMatchObject({ kek: '0002', destroyed: ['0001'] });
    const third = await start(config, CHAIN_MODELS);
    for (const id of ids) expect(await third.reader.chain(id, patientModel)).not.toBeNull();
    expect((await verified(config, CHAIN_MODELS)).findings).toEqual([]);
  });

  it.skipIf(missing)('two that rotate at once lose nothing', async () => {
    const config = await settings();
    const [a, b] = [await start(config), await start(config)];
    const id = randomUUID();
    await a.writer.commit(count(id, 1));
    expect([a.vault.keks.add(), b.vault.keks.add()]).toEqual(['0002', '0003']);
    for (const { writer, vault } of [b, a]) await writer.side((db) => vault.rewrapSubjects(db, 100));
    await a.writer.side((db) => a.vault.keks.retireOld(db));
    expect(await a.writer.side((db) => a.vault.keks.destroyOld(db))).toEqual(['0001', '0002']);
    expect(await b.writer.side((db) => b.vault.keks.destroyOld(db))).toEqual([]);
    const third = await start(config);
    expect((await third.reader.chain(id, counterModel))?.state.total).toBe(1);
  });

  it.skipIf(missing)(
    'what was wrapped under a key that is destroyed before it is written is wrapped anew',
    async () => {
      const config = await settings();
      const [rotating, other] = [await start(config), await start(config)];
      await rotating.writer.commit(count(randomUUID(), 1));
      // A process that stood still between wrapping and writing: its keys folder of then.
      const then = join(folder.path, 'keys-of-then');
      cpSync(config.keysDir, then, { recursive: true });
      const stale = new Vault(then, other.vault.origin);
      const wrapping = vi.spyOn(other.vault, 'wrapSubjectKey');
      const id = randomUUID();
      if (config.postgresUrl) {
        // Its statement has reached the server, and waits there.
        const rotation = new Client({ connectionString: config.postgresUrl });
        await rotation.connect();
        await rotation.query("BEGIN; UPDATE log_head SET oldest_kek = '0002'");
        wrapping.mockImplementationOnce((subject) => stale.wrapSubjectKey(subject));
        rotating.vault.keks.add();
        const written = other.writer.commit(count(id, 1));
        await until(async () => (await rotation.query(WAITING)).rows.length === 1, { what: 'the batch waits' });
        await rotation.query('COMMIT');
        await rotation.end();
        expect((await written).ok).toBe(true);
      } else {
        rotating.vault.keks.add();
        await rotating.writer.side((db) => rotating.vault.keks.retireOld(db));
        wrapping.mockImplementationOnce((subject) => stale.wrapSubjectKey(subject));
        expect((await other.writer.commit(count(id, 1))).ok).toBe(true);
      }
      expect(wrapping).toHaveBeenCalledTimes(2);
      wrapping.mockImplementationOnce((subject) => stale.wrapSubjectKey(subject));
      const org = randomUUID();
      await expect(other.writer.side((db) => other.vault.newSubject(db, org))).rejects.toThrow(LedgerUnavailable);
      await other.writer.side((db) => other.vault.newSubject(db, org));
      await rotating.writer.side((db) => rotating.vault.rewrapSubjects(db, 100));
      expect(await rotating.writer.side((db) => rotating.vault.keks.destroyOld(db))).toEqual(['0001']);
      const third = await start(config);
      expect((await third.reader.chain(id, counterModel))?.state.total).toBe(1);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    },
  );

  it.skipIf(missing)('nobody is enrolled under a key that may be destroyed already', async () => {
    const config = await settings();
    const other = await start(config);
    const [known, unknown] = [randomUUID(), randomUUID()];
    await other.writer.commit(count(known, 1));
    renameSync(join(config.keysDir, 'kek-0001'), join(config.keysDir, 'away'));
    await expect(other.writer.commit(count(unknown, 1))).rejects.toThrow('holds no key-encryption key');
    await other.writer.commit(count(known, 1));
    renameSync(join(config.keysDir, 'away'), join(config.keysDir, 'kek-0001'));
    expect((await other.writer.commit(count(unknown, 1))).ok).toBe(true);
  });
});

describe('a vault without keys', () => {
  it('is not made by who only wants to read', () => {
    mkdirSync(keys);
    expect(Vault.openExisting(keys, 'test.example/log')).toBeNull();
    expect(readdirSync(keys)).toEqual([]);
    writeFileSync(join(keys, 'index.key'), randomBytes(32), { mode: 0o600 });
    expect(Vault.openExisting(keys, 'test.example/log')).toBeNull();
    expect(new Vault(keys, 'test.example/log').keks.newest.id).toBe('0001');
    expect(Vault.openExisting(keys, 'test.example/log')).not.toBeNull();
    expect(createSecretKey(readFileSync(join(keys, 'kek-0001'))).symmetricKeySize).toBe(32);
  });
});
