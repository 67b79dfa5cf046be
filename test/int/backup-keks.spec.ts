import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { runRotateEncryption } from '../../src/cli/keys/rotate-encryption.js';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { RestartRefused, restartLog } from '../../src/ledger/upkeep/restart.js';
import { restoreLog } from '../../src/ledger/upkeep/restore.js';
import { RestoreRefused } from '../../src/ledger/upkeep/lost-part.js';
import { openLedger, StartRefused } from '../../src/ledger/start/open-ledger.js';
import { bothEngines } from '../support/engines.js';
import { count, COUNTING, temporaryFolder, testConfig } from '../support/ledger.js';
import { AGREED, backup, verified } from '../support/set-back.js';
import { testTerminal } from '../support/terminal.js';

const MODELS = COUNTING;
const LACKS = /the keys folder lacks kek-0001, .*from before `keys rotate-encryption --destroy-old`/;
async function write(config: Config, times: number): Promise<void> {
  const ledger = await openLedger(config, new Clock(), MODELS);
  for (let n = 0; n < times; n++) await ledger.writer.commit(count(randomUUID(), 1));
  await ledger.close();
}

describe.each(await bothEngines())(
  'a backup from before its key-encryption key was destroyed, on $engine',
  ({ missing, database }) => {
    const closers: (() => unknown)[] = [];
    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    });

    it.skipIf(missing)('is refused by whatever would open it, with that reason', async () => {
      const folder = temporaryFolder();
      closers.push(() => folder.remove());
      const more = await database();
      const config = testConfig(folder.path, more);
      await write(config, 3);
      const setBack = await backup(config, closers);
      const { terminal } = testTerminal({ env: { DATA_DIR: folder.path, LOG_LEVEL: 'silent', ...more } });
      expect(await runRotateEncryption({ destroyOld: true }, terminal)).toBe(0);
      await write(config, 2);
      await setBack();

      await expect(openLedger(config, new Clock(), MODELS)).rejects.toThrow(LACKS);
      await expect(openLedger(config, new Clock(), MODELS)).rejects.toThrow(StartRefused);
      const goOn = () => restartLog(config, new Clock(), MODELS, null, AGREED);
      await expect(goOn()).rejects.toThrow(LACKS);
      await expect(goOn()).rejects.toThrow(RestartRefused);
      const payloads = Readable.from([]);
      const restore = () =>
        restoreLog(config, new Clock(), MODELS, { replica: null, payloads }, { report: () => undefined });
      await expect(restore()).rejects.toThrow(LACKS);
      await expect(restore()).rejects.toThrow(RestoreRefused);
      const report = await verified(config, MODELS);
      expect(report).toMatchObject({ ok: false, tampered: 0, entries: 3 });
      expect(report.findings).toContainEqual({
        kind: 'missing',
        table: 'subject',
        where: { kek: '0001' },
        what: 'the keys folder lacks this key-encryption key: nothing under it opens',
      });
      expect(report.findings.filter(({ table }) => table === 'chain').map(({ what }) => what)).toEqual(
        Array.from({ length: 3 }, () => 'the keys folder lacks key-encryption key 0001'),
      );
    });
  },
);
