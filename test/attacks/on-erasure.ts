/** Attacks about erasure: one that is claimed and was not, one that nobody asked for, one that is undone. */
import { encrypt } from '../../src/ledger/crypto/aes-gcm.js';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { SettableClock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { CHAIN_COLUMNS, type ChainRow, openState } from '../../src/ledger/store/chain-row.js';
import { dataKeyOf } from '../../src/ledger/read/chain-events.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { tableName } from '../../src/database/declare.js';
import { readModelsOf } from '../../src/ledger/store/tables.js';
import { readHead } from '../../src/ledger/store/tip.js';
import type { Attack } from './attack.js';
import { asOperator } from './forging.js';
import type { Operator } from './operator.js';
import type { HonestWorld } from './world.js';

/** Tables besides the entries, as they come back from a backup. */
const BESIDE = ['payload', 'subject', 'account', 'name', ...readModelsOf(CHAIN_MODELS).map(tableName)];

/** Whose order the target is. */
async function patientOf(op: Operator, { target: [num] }: HonestWorld): Promise<string> {
  const row = (await op.chains()).find((each) => each.num === num);
  if (!row?.subject_id) throw new Error('the target has no subject');
  return row.subject_id;
}

/** By the writer itself, which asks nobody: in the name of an administrator whom the operator invents. */
async function erase(folder: string, world: HonestWorld): Promise<void> {
  let patient = '';
  let time = 0;
  await asOperator(folder, async (op) => {
    patient = await patientOf(op, world);
    time = (await readHead(op.db))?.time ?? 0;
  });
  const config = Config.parse({ DATA_DIR: folder, LOG_LEVEL: 'silent' });
  const ledger = await openLedger(config, new SettableClock(time + 60_000), CHAIN_MODELS);
  try {
    const administrator = { id: randomUUID(), role: 'administrator', org: null, patient: null } as const;
    const erased = await ledger.writer.erase(patient, administrator, { reason: 'request' });
    if (!erased.ok || erased.chains < 2) throw new Error('the patient was not erased');
  } finally {
    await ledger.close();
  }
}

/** Erases, and puts back what an older copy holds. */
const undone =
  (finish: (op: Operator) => Promise<void>): Attack['mutate'] =>
  async (folder, world) => {
    const older = world.copy();
    await erase(folder, world);
    await asOperator(folder, async (op) => {
      await op.run(
        `ATTACH DATABASE '${join(older, 'rxledger.sqlite')}' AS older`,
        ...BESIDE.map((table) => `INSERT OR IGNORE INTO ${table} SELECT * FROM older.${table}`),
      );
      await finish(op);
      await op.run('DETACH DATABASE older');
    });
  };

/** Chains stand as if nothing had happened, but for an event more, whose payload is under their key like the others. */
async function unerase(op: Operator): Promise<void> {
  const rows = await op.db.query<ChainRow & { now: number }>(
    `SELECT ${CHAIN_COLUMNS}, n.seq AS now FROM older.chain c JOIN older.subject s ON s.num = c.subject
     JOIN chain n ON n.num = c.num WHERE length(n.data_key) = 0`,
  );
  for (const { now, ...row } of rows) {
    const dataKey = dataKeyOf(op.vault, row);
    const state = Buffer.from(JSON.stringify(openState(op.vault, row, dataKey)));
    const aad = op.vault.aad('state', row.id, now, `${row.kind}/${row.state_version}`);
    await op.db.query('UPDATE chain SET data_key = ?, state_version = ?, state = ? WHERE num = ?', [
      row.data_key,
      row.state_version,
      encrypt(dataKey, aad, state),
      row.num,
    ]);
    const [last] = await op.db.query<{ idx: number; body: Buffer }>(
      'SELECT p.idx, p.body FROM entry e JOIN payload p ON p.idx = e.idx WHERE e.chain = ? AND e.seq = ?',
      [row.num, now],
    );
    if (!last) throw new Error('the chain does not end with its erasure');
    await op.db.query('UPDATE payload SET body = ? WHERE idx = ?', [
      encrypt(dataKey, op.vault.aad('payload', row.id, now, 'payload'), last.body),
      last.idx,
    ]);
  }
  await op.run('DELETE FROM erasure');
}

export const ON_ERASURE: readonly Attack[] = [
  {
    name: 'claim an erasure falsely, without its event',
    form: 'naive',
    line: 'false erasure',
    mutate: (folder, world) =>
      asOperator(folder, async (op) => {
        const patient = await patientOf(op, world);
        const chains = `(SELECT c.num FROM chain c JOIN subject s ON s.num = c.subject WHERE s.id = '${patient}')`;
        await op.run(
          `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain IN ${chains})`,
          `DELETE FROM subject WHERE id = '${patient}'`,
        );
      }),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target: [num] }) => ({ table: 'chain', where: { num } }),
  },
  {
    name: 'claim an erasure falsely, with an event that nobody asked for',
    form: 'clever',
    line: null,
    mutate: erase,
    caughtBy: [],
    waitsFor: 'whoever reads the event: each chain ends with it in the clear, with an account that can be asked',
  },
  {
    name: 'bring an erased patient back from a backup',
    form: 'naive',
    line: 'undone erasure',
    mutate: undone(() => Promise.resolve()),
    caughtBy: ['verify', 'commitment'],
    blames: ({ target }) => ({ table: 'payload', where: { index: target[2] } }),
  },
  {
    name: 'bring an erased patient back from a backup, as if never erased',
    form: 'clever',
    line: 'undone erasure',
    mutate: undone(unerase),
    caughtBy: ['verify'],
    blames: ({ target: [num] }) => ({ table: 'chain', where: { num } }),
  },
];
