import { randomUUID } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import { openWitnessed } from '../../src/ledger/core/tlog/policy.js';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { LOG_REF } from '../../src/ledger/log-chain/log-chain.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { LogFiles } from '../../src/log/log-files.js';
import { ServedCheckpoint } from '../../src/log/checkpoints/served.js';
import { bothEngines } from '../support/engines.js';
import { count, testActor } from '../support/ledger.js';
import { until } from '../support/wait.js';
import type { PolicyLine } from '../support/witnesses.js';
import { closers, failureOf, honest, openLog, publish, rowsOf, three, witnessing } from './rounds-support.js';

describe.each(await bothEngines())('rounds on $engine', ({ missing, database }) => {
  it.skipIf(missing)(
    'serve the newest checkpoint at quorum: one witness down changes nothing, two stop it',
    async () => {
      const log = await openLog(await database());
      const witnesses = await three(log);
      const [, w2, w3] = witnesses;
      const { policy, rounds, served, state } = witnessing(log, witnesses, 2);
      expect(await served.newest()).toBeNull();
      const served2 = async () => {
        const newest = (await served.newest())!;
        const { checkpoint, quorum } = openWitnessed(policy, newest.checkpoint);
        expect({ met: quorum.met, size: checkpoint.size }).toEqual({ met: true, size: newest.size });
        return newest.size;
      };
      await publish(log, 3);
      await rounds.run();
      expect(await served2()).toBe(3);
      // The third came after the round was over, and still counts.
      await until(async () => (await rowsOf(log)).length === 3);
      expect(openWitnessed(policy, (await served.newest())!.checkpoint).quorum.witnesses).toHaveLength(3);

      await w3.halt();
      await publish(log, 300);
      await rounds.run();
      expect(await served2()).toBe(303);
      await until(async () => (await failureOf(log, w3)) === 'unreachable');
      expect(await state()).toMatchObject({ up: true, degraded: false, behind: 0, failing: 'w3 unreachable' });

      await w2.halt();
      for (const more of [1, 2]) {
        await publish(log, more);
        await rounds.run();
      }
      expect(await served2()).toBe(303);
      expect(await served.reaches(304)).toBe(false);
      expect(await state()).toMatchObject({
        up: true,
        degraded: true,
        alarm: false,
        behind: 3,
        failing: 'w2 unreachable, w3 unreachable',
      });
      expect((await served.page(1000, 3)).map(({ size, witnessed }) => [size, witnessed])).toEqual([
        [306, false],
        [304, false],
        [303, true],
      ]);

      await w2.start();
      await w3.start();
      await rounds.run();
      expect(await served2()).toBe(306);
      await until(async () => (await state()).failing === '');
      expect(await state()).toMatchObject({ degraded: false, behind: 0, behindSeconds: 0 });
    },
  );

  it.skipIf(missing)('run twice or at once store nothing twice', async () => {
    const log = await openLog(await database());
    const witnesses = await three(log);
    const processes = [witnessing(log, witnesses, 2), witnessing(log, witnesses, 2)];
    await publish(log, 2);
    await Promise.all(processes.map(({ rounds }) => rounds.run()));
    for (const { rounds } of processes) await rounds.run();
    await until(async () => (await rowsOf(log)).length === 3);
    expect(new Set((await rowsOf(log)).map(({ witness }) => witness)).size).toBe(3);
  });
});

describe('what is served', () => {
  it('follows the policy of now, from the cosignatures that are there', async () => {
    const log = await openLog();
    const [one, two, third] = [await honest(1), await honest(2), await honest(3)];
    await publish(log, 5);
    await witnessing(log, [one, two], 2).rounds.run();
    await publish(log, 1);
    await witnessing(log, [one], 1).rounds.run();
    const sizeUnder = async (witnesses: PolicyLine[], threshold: number) =>
      (await witnessing(log, witnesses, threshold).served.newest())?.size;
    expect(await sizeUnder([one, two], 2)).toBe(5);
    expect(await sizeUnder([third], 1)).toBeUndefined();
    expect(await sizeUnder([one, two], 1)).toBe(6);
  });

  it('never goes back, whichever policy comes after which', async () => {
    const log = await openLog();
    const [one, two] = [await honest(1), await honest(2)];
    await publish(log, 5);
    await witnessing(log, [one, two], 2).rounds.run();
    const before = witnessing(log, [one, two], 2);
    expect((await before.served.newest())?.size).toBe(5);
    await publish(log, 1);
    await witnessing(log, [one], 1).rounds.run();
    expect((await witnessing(log, [one, two], 1).served.newest())?.size).toBe(6);
    // Its quorum is there for 5 entries only; the process that has served those does not serve them any more.
    const after = witnessing(log, [one, two], 2);
    for (const { served } of [after, before]) {
      expect(await served.newest()).toBeNull();
      expect(await served.reaches(6)).toBe(true);
      expect(await served.reaches(7)).toBe(false);
    }
    await after.rounds.run();
    for (const { served } of [after, before]) expect((await served.newest())?.size).toBe(6);
    // A log without a policy serves what is published, and that counts as served for the policy after it.
    const { db, writer } = log.ledger;
    await publish(log, 1);
    expect((await new ServedCheckpoint(db, writer, log.published, null).newest())?.size).toBe(7);
    expect(await witnessing(log, [one, two], 2).served.newest()).toBeNull();
  });

  it("shows the log's own chain as far as its files, also before the quorum of another policy", async () => {
    const log = await openLog();
    const [one, two] = [await honest(1), await honest(2)];
    const data = { account: randomUUID(), kid: 'kid', reason: 'lost' };
    const revoked = { chain: LOG_CHAIN, type: 'actor-key.revoked/1', data, derived: { by: 'administrator' } };
    const revoke = async () => {
      const command = { actor: testActor, chains: [LOG_REF], decide: () => ({ events: [revoked] }) };
      expect(await log.ledger.writer.commit(command)).toMatchObject({ ok: true });
    };
    await revoke();
    await publish(log, 2);
    await witnessing(log, [one], 1).rounds.run();
    expect((await witnessing(log, [one], 1).served.newest())?.size).toBe(3);
    await revoke();
    await publish(log, 1);
    const { served, rounds } = witnessing(log, [one, two], 2);
    const files = new LogFiles(log.ledger.reader, log.ledger.db, served);
    const indexes = async (after: number, limit: number) => (await files.chain(after, limit)).map(({ index }) => index);
    expect(await served.newest()).toBeNull();
    // Whoever has the checkpoint of 3 entries is still served its tiles, too.
    expect(await files.bundle(0, 3)).not.toBeNull();
    expect(await indexes(-1, 10)).toEqual([0]);
    expect(await indexes(2, 10)).toEqual([]);
    await rounds.run();
    expect(await indexes(-1, 10)).toEqual([0, 3]);
    expect(await indexes(-1, 1)).toEqual([0]);
    expect(await indexes(0, 1)).toEqual([3]);
  });

  it('is stored once, however many ask at once', async () => {
    const log = await openLog();
    await publish(log, 5);
    const { db, writer } = log.ledger;
    const side = vi.spyOn(writer, 'side');
    const served = new ServedCheckpoint(db, writer, log.published, null);
    const asked = await Promise.all(Array.from({ length: 100 }, () => served.newest()));
    expect(new Set(asked.map((one) => one?.size))).toEqual(new Set([5]));
    expect(side).toHaveBeenCalledTimes(1);
    await publish(log, 1);
    side.mockRejectedValueOnce(new LedgerUnavailable('too many writes are waiting', 2));
    await expect(served.newest()).rejects.toThrow(LedgerUnavailable);
    expect((await served.newest())?.size).toBe(6);
  });

  it('is found below thousands of checkpoints without a quorum', async () => {
    const log = await openLog();
    const [one, two] = [await honest(1), await honest(2)];
    await publish(log, 5);
    await witnessing(log, [one, two], 2).rounds.run();
    await log.ledger.writer.side(async (db) => {
      for (let size = 6; size < 3000; size++)
        await db.query("INSERT INTO cosignature (size, witness, line) VALUES (?, ?, '')", [size, one.vkey]);
    });
    expect((await witnessing(log, [one, two], 2).served.newest())?.size).toBe(5);
  });
});

const disclose = (): boolean => true;

describe('a receipt asked for later', () => {
  it('stands in the tree that is asked for, and tells what may be told', async () => {
    const { ledger } = await openLog();
    const subject = randomUUID();
    await ledger.writer.commit(count(subject, 1));
    const { checkpoint } = await ledger.reader.receipt(0);
    const { size } = openCheckpoint(checkpoint, ledger.writer.vkey);
    await ledger.writer.commit(count(randomUUID(), 1));
    const plain = await ledger.reader.receipt(0, { tree: { size, checkpoint } });
    expect(plain).not.toHaveProperty('payload');
    expect(verifyReceipt(plain, ledger.writer.vkey)).toMatchObject({ ok: true, size: 1 });
    const told = await ledger.reader.receipt(0, { disclose });
    expect(verifyReceipt(told, ledger.writer.vkey)).toMatchObject({ ok: true, size: 2, payload: { kind: 'patient' } });
    await ledger.writer.erase(subject, testActor);
    const erased = await ledger.reader.receipt(0, { disclose });
    expect(erased).not.toHaveProperty('payload');
    expect(verifyReceipt(erased, ledger.writer.vkey)).toMatchObject({ ok: true, size: 3 });
    await expect(ledger.reader.receipt(3)).rejects.toThrow(RangeError);
  });
});

describe('verify', () => {
  it.each([
    ['nothing', 'SELECT 1', null],
    [
      'a line of another size',
      'UPDATE cosignature SET line = (SELECT line FROM cosignature WHERE size = 2 AND witness = (SELECT min(witness) FROM cosignature)) WHERE size = 5 AND witness = (SELECT min(witness) FROM cosignature)',
      "is not that witness's of the published checkpoint",
    ],
    [
      'a line twice',
      'UPDATE cosignature SET line = line || char(10) || line WHERE size = 5',
      "is not that witness's of the published checkpoint",
    ],
    [
      'a line that is none',
      "UPDATE cosignature SET line = x'00' WHERE size = 5",
      "is not that witness's of the published checkpoint",
    ],
    ['another size', 'UPDATE cosignature SET size = 3 WHERE size = 2', 'there is no published checkpoint of this size'],
    [
      'another witness',
      "UPDATE cosignature SET witness = 'me' WHERE size = 5 AND witness = (SELECT min(witness) FROM cosignature)",
      'witness is not the verifier key of a witness',
    ],
  ])('names a cosignature that was tampered with: %s', async (_, statement, what) => {
    const log = await openLog();
    const { rounds } = witnessing(log, [await honest(1), await honest(2)], 2);
    for (const more of [2, 3]) {
      await publish(log, more);
      await rounds.run();
    }
    expect(await rowsOf(log)).toHaveLength(4);
    await log.ledger.writer.side((db) => db.query(statement));
    const source = await openSqliteReadOnly(log.config.sqliteFile);
    closers.push(() => source.destroy());
    const { vkey } = log.ledger.writer;
    const { findings } = await verifyDatabase({ source, vkey, vault: null, remembered: null, models: [] });
    expect(findings.filter(({ table }) => table === 'cosignature').map((finding) => finding.what)).toEqual(
      what === null ? [] : expect.arrayContaining([what]),
    );
    expect(findings.length > 0).toBe(what !== null);
  });
});
