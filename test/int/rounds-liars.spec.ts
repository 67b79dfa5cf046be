import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { cosign, witnessOf } from '../fixtures/witnesses.js';
import { count } from '../support/ledger.js';
import { until } from '../support/wait.js';
import type { Lie } from '../support/witnesses.js';
import {
  failureOf,
  honest,
  liar,
  linesOf,
  noteIn,
  now,
  openLog,
  publish,
  rowsOf,
  three,
  witnessing,
} from './rounds-support.js';

describe('a round', () => {
  it('sends ONE checkpoint, byte for byte, to all', async () => {
    const log = await openLog();
    const liars = [await honest(1), await honest(2)];
    const { rounds } = witnessing(log, liars, 2);
    await publish(log, 5);
    await rounds.run();
    const { checkpoint } = (await log.published.newest())!;
    for (const { submissions } of liars) expect(submissions).toEqual([`old 0\n\n${checkpoint}`]);
    await publish(log, 5);
    await rounds.run();
    expect(liars.map(({ submissions }) => submissions[1]!.split('\n')[0])).toEqual(['old 5', 'old 5']);
    expect(liars[0]!.submissions[1]).toBe(liars[1]!.submissions[1]);
  });

  it('takes up where the witness says that it stands', async () => {
    const log = await openLog();
    const [w1] = await three(log);
    const { rounds } = witnessing(log, [w1], 1);
    await publish(log, 5);
    await rounds.run();
    // What we knew of the witness is lost.
    await log.ledger.writer.side((db) => db.query('DELETE FROM cosignature'));
    await publish(log, 7);
    await rounds.run();
    expect(await rowsOf(log)).toMatchObject([{ size: 12, witness: w1.vkey }]);
  });

  it('raises an alarm when a witness has cosigned a fork by the same key', async () => {
    const log = await openLog();
    const [w1] = await three(log);
    const fork = await openLog({}, log.config.keysDir);
    expect(fork.ledger.writer.vkey).toBe(log.ledger.writer.vkey);
    await publish(fork, 5);
    await witnessing(fork, [w1], 1).rounds.run();
    const { rounds, state } = witnessing(log, [w1], 1);
    await publish(log, 3);
    await rounds.run();
    expect(await failureOf(log, w1)).toBe('ahead');
    await publish(log, 4);
    await rounds.run();
    expect(await failureOf(log, w1)).toBe('inconsistent');
    expect(await state()).toMatchObject({ up: true, degraded: true, alarm: true, failing: 'w1 inconsistent' });
    expect(await rowsOf(log)).toEqual([]);
  });

  it('keeps the alarm of a witness that is away since, until it cosigns', async () => {
    const log = await openLog();
    const witness = await liar(1, ({ response }) => response.writeHead(409).end('70\n'));
    const { rounds, state } = witnessing(log, [witness], 1);
    await publish(log, 5);
    await rounds.run();
    witness.lie = ({ response }) => response.socket!.destroy();
    await rounds.run();
    expect(await state()).toMatchObject({ alarm: true, failing: 'liar1 ahead' });
    witness.lie = ({ body, response }) => response.end(linesOf(noteIn(body), 1));
    await rounds.run();
    expect(await state()).toMatchObject({ alarm: false, failing: '' });
  });

  it('waits for what another process has published since, without an alarm', async () => {
    const log = await openLog();
    const witness = await liar(1, ({ response }) => response.writeHead(409).end('7\n'));
    const { rounds, state } = witnessing(log, [witness], 1);
    await publish(log, 5);
    await Promise.all([1, 2].map(() => log.ledger.writer.commit(count(randomUUID(), 1))));
    await rounds.run();
    expect(await failureOf(log, witness)).toBe('newer');
    expect(await state()).toMatchObject({ alarm: false, degraded: true });
  });

  it.each<[string, string, Lie]>([
    ['somebody else’s cosignature', 'bad-cosignature', ({ body, response }) => response.end(linesOf(noteIn(body), 9))],
    [
      'a cosignature of another checkpoint',
      'bad-cosignature',
      ({ body, response }) => response.end(linesOf(noteIn(body).replace('\n5\n', '\n6\n'), 1)),
    ],
    [
      'a cosignature whose time was changed',
      'bad-cosignature',
      ({ body, response }) => {
        const line = linesOf(noteIn(body), 1);
        const [dash, name, blob] = line.trimEnd().split(' ') as [string, string, string];
        const bytes = Buffer.from(blob, 'base64');
        bytes.writeBigUInt64BE(now() + 5n, 4);
        response.end(`${dash} ${name} ${bytes.toString('base64')}\n`);
      },
    ],
    [
      'a whole note of its own, cosigned',
      'bad-cosignature',
      ({ body, response }) => response.end(`\n${cosign(`${noteIn(body)}\n— x AAAAAAA=\n`, witnessOf(1), now())}`),
    ],
    ['nothing', 'bad-cosignature', ({ response }) => response.end('')],
    ['garbage', 'bad-cosignature', ({ response }) => response.end(Buffer.from([0xe2, 0x80, 0x94, 0x20, 0, 10]))],
    ['what is no UTF-8', 'malformed', ({ response }) => response.end(Buffer.from([0xff, 0xfe]))],
    ['more than any answer', 'malformed', ({ response }) => response.end('x'.repeat(1_000_000))],
    ['another status', 'http-418', ({ response }) => response.writeHead(418).end()],
    ['that it does not know the log', 'http-404', ({ response }) => response.writeHead(404).end('unknown log\n')],
    ['that the signature is bad', 'http-403', ({ response }) => response.writeHead(403).end('signature\n')],
    ['a redirect', 'http-307', ({ response }) => response.writeHead(307, { location: '/x' }).end()],
    ['a conflict without a size', 'malformed', ({ response }) => response.writeHead(409).end('five\n')],
    ['the same size again', 'inconsistent', ({ response }) => response.writeHead(409).end('5\n')],
    ['the size that it was told', 'malformed', ({ response }) => response.writeHead(409).end('0\n')],
    [
      'sizes that go round',
      'malformed',
      ({ body, response }) => response.writeHead(409).end(`${body.startsWith('old 1') ? 2 : 1}\n`),
    ],
    ['what is no HTTP', 'unreachable', ({ response }) => response.socket!.end('nonsense\r\n\r\n')],
    ['that it hangs up', 'unreachable', ({ response }) => response.socket!.destroy()],
  ])('does not count a witness that says %s: %s', async (_, failure, lie) => {
    const log = await openLog();
    const bad = await liar(1, lie);
    const good = await honest(2);
    const { rounds, served } = witnessing(log, [bad, good], 2);
    await publish(log, 5);
    await rounds.run();
    expect(await failureOf(log, bad)).toBe(failure);
    expect(await rowsOf(log)).toMatchObject([{ size: 5, witness: good.vkey }]);
    expect(await served.newest()).toBeNull();
    bad.lie = ({ body, response }) => response.end(`— other AAAAAAAA\n${linesOf(noteIn(body), 1)}`);
    await rounds.run();
    expect(await failureOf(log, bad)).toBeNull();
    expect((await served.newest())?.size).toBe(5);
  });

  it('is over in time though a witness hangs, which is not asked again meanwhile', async () => {
    const log = await openLog();
    const hanging = await liar(1, () => undefined);
    const drips = await liar(2, ({ response }) => response.writeHead(200).write('—'));
    const { rounds } = witnessing(log, [hanging, drips], 1);
    await publish(log, 5);
    const began = Date.now();
    await rounds.run();
    expect(Date.now() - began).toBeLessThan(9500);
    await rounds.run();
    expect([hanging.submissions.length, drips.submissions.length]).toEqual([1, 1]);
    await until(async () => (await failureOf(log, hanging)) === 'timeout');
    await until(async () => (await failureOf(log, drips)) === 'timeout');
  });

  it('ends with the process, whoever hangs', async () => {
    const log = await openLog();
    const hanging = await liar(1, () => undefined);
    const { rounds } = witnessing(log, [hanging], 1);
    await publish(log, 5);
    const round = rounds.run();
    await until(() => hanging.submissions.length === 1);
    const began = Date.now();
    await rounds.stop();
    await round;
    // Sooner than the round's own time is over.
    expect(Date.now() - began).toBeLessThan(4500);
  });
});
