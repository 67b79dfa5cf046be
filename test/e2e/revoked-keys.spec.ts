import { appendFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { Config } from '../../src/config/config.js';
import { LOG_CHAIN } from '../../src/ledger/core/record/entry.js';
import { accepted, type Api, newOrder, refusalOf, startApi } from '../support/api.js';
import { bothEngines } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';
import { backup, verified } from '../support/set-back.js';
import { enrol, newSigner, postSigned, type Signer } from '../support/signer.js';
import { runCommand } from '../support/terminal.js';

describe.each(await bothEngines())('a key that an actor revoked, on $engine', ({ missing, database }) => {
  const closers: (() => unknown)[] = [];
  let api: Api;
  afterEach(async () => {
    await api.close();
    for (const close of closers.splice(0).toReversed()) await close();
  });

  const revoke = ({ kid }: Signer, key: string) =>
    api.as('admin').post(`/api/actor-keys/${kid}/revoke`, { reason: 'compromised' }, key);

  /** A service whose database was set back to before the keys were revoked; the second was not enrolled then. */
  async function past(): Promise<{ env: Record<string, string>; config: Config; before: Signer; since: Signer }> {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    const env = { DATA_DIR: folder.path, ...(await database()) };
    const config = Config.parse(env);
    const [before, since] = [newSigner(), newSigner()];
    api = await startApi(env);
    accepted(await enrol(api.as('prescriber'), before));
    await api.close();
    const setBack = await backup(config, closers);
    api = await startApi(env);
    accepted(await revoke(before, 'revoke-1'));
    accepted(await enrol(api.as('prescriber'), since));
    accepted(await revoke(since, 'revoke-2'));
    await api.close();
    await setBack();
    return { env, config, before, since };
  }

  async function signsNothing(signer: Signer): Promise<void> {
    const { items } = accepted(await api.as('prescriber').get('/api/actor-keys')).body;
    expect(items).toContainEqual({ kid: signer.kid, jwk: null });
    // Nobody's key is in force: what they record is unsigned as before their first.
    accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api), `unsigned-${signer.kid}`));
    expect(refusalOf(await api.as('prescriber').post('/api/actor-keys', { jwk: signer.jwk }, 'again'))).toBe(
      '409 actor-key.revoked',
    );
  }

  it.skipIf(missing)('signs nothing after a loss, when the log goes on under another name', async () => {
    const { env, config, before, since } = await past();
    const { code, out, err } = await runCommand(['log', 'restart', '--yes'], env);
    expect({ code, said: `${out}\n${err}` }).toMatchObject({
      code: 0,
      said: expect.stringMatching(/retention holds.*accounts.*break-glass/),
    });
    api = await startApi(env);
    await signsNothing(before);
    expect((await api.reader.events(LOG_CHAIN)).at(-1)).toMatchObject({
      type: 'actor-key.revoked/1',
      actor: { id: 'system', role: 'system' },
      data: { kid: before.kid },
      derived: { by: 'restored' },
    });
    // It stands in no log that is left.
    const answer = await api.as('prescriber').post('/api/actor-keys', { jwk: since.jwk }, 'stolen');
    expect(refusalOf(answer)).toBe('409 actor-key.revoked');
    accepted(await enrol(api.as('prescriber'), newSigner()));
    expect(await verified(config, CHAIN_MODELS)).toMatchObject({ ok: true, findings: [] });
  });

  it.skipIf(missing)('signs nothing where the head file was lost, too, and is revoked again but once', async () => {
    const { env, config, before } = await past();
    rmSync(config.headFile);
    api = await startApi(env);
    await signsNothing(before);
    await api.close();
    api = await startApi(env);
    expect(await api.reader.events(LOG_CHAIN)).toHaveLength(2);
    expect(await verified(config, CHAIN_MODELS)).toMatchObject({ ok: true, findings: [] });
  });

  it.skipIf(missing)('is not said to be revoked before that is on the disk, and filed at the next start', async () => {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    const env = { DATA_DIR: folder.path, ...(await database()) };
    const { revokedFile } = Config.parse(env);
    api = await startApi(env);
    const [one, two] = [newSigner(), newSigner()];
    accepted(await enrol(api.as('prescriber'), one));
    accepted(await enrol(api.as('pharmacist'), two));
    rmSync(revokedFile, { force: true });
    mkdirSync(revokedFile);
    expect((await revoke(one, 'one')).status).toBe(503);
    expect((await revoke(two, 'two')).status).toBe(503);
    rmdirSync(revokedFile);
    expect(refusalOf(await revoke(one, 'again'))).toBe('409 actor-key.revoked');
    expect(readFileSync(revokedFile, 'utf8')).toBe(`\n${one.kid}\n`);
    accepted(await revoke(one, 'one'));
    expect(readFileSync(revokedFile, 'utf8')).toBe(`\n${one.kid}\n`);
    await api.close();
    appendFileSync(revokedFile, two.kid.slice(0, 9));
    api = await startApi(env);
    expect(readFileSync(revokedFile, 'utf8').split('\n')).toContain(two.kid);
    const own = await postSigned(api.as('pharmacist'), two, '/api/actor-keys', { jwk: newSigner().jwk }, 'next');
    expect(own.status).toBe(403);
    expect(existsSync(join(folder.path, 'head'))).toBe(true);
  });
});
