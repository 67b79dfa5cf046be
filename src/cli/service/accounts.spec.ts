import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../test/support/terminal.js';

const ORG = '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a03';

describe('rxledger admin', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rxledger-admin-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const admin = (...args: string[]) => runCommand(['admin', ...args], { DATA_DIR: dir });

  it.each([['list'], ['reset', 'ada'], ['disable', 'ada'], ['create', 'ada', '--role', 'auditor']])(
    'makes no ledger where there is none: %s',
    async (...args) => {
      const { code, err } = await admin(...args);
      expect({ code, err }).toEqual({ code: 3, err: expect.stringMatching(/there is no ledger in /) });
    },
  );

  it('makes accounts with passwords of its own, and lists them without', async () => {
    const first = await admin('first', 'ada', '--name', 'Ada Root', '--json');
    expect(first).toMatchObject({ code: 0, err: '' });
    const made = JSON.parse(first.out) as { id: string; password: string };
    expect(made.password).toMatch(/^[\w-]{24}$/);
    const auditor = await admin('create', 'Chris', '--role', 'auditor');
    expect(auditor.out).toMatch(/^chris {2}[\w-]{24}$/);
    const { accounts } = JSON.parse((await admin('list', '--json')).out) as { accounts: object[] };
    const common = { org: null, patient: null, disabled: false };
    expect(accounts).toHaveLength(2);
    expect(accounts).toEqual(
      expect.arrayContaining([
        { id: made.id, username: 'ada', name: 'Ada Root', role: 'administrator', ...common },
        { id: expect.any(String), username: 'chris', name: 'Chris', role: 'auditor', ...common },
      ]),
    );
    expect((await admin('list')).out).toMatch(/^ada +administrator +\S+ +"Ada Root"$/m);
  });

  it('disables and enables, as often as one likes', async () => {
    for (const [how, disabled] of [
      ['disable', true],
      ['disable', true],
      ['enable', false],
      ['enable', false],
    ] as const) {
      const { code, out } = await admin(how, 'chris', '--json');
      expect({ code, ...JSON.parse(out) }).toMatchObject({ code: 0, username: 'chris', disabled });
      expect((await admin('list')).out).toMatch(disabled ? /^chris .*DISABLED$/m : /^chris .*"Chris"$/m);
    }
    expect((await admin('disable', 'chris')).out).toBe('chris is disabled; its tokens stop within half a minute');
  });

  it('gives a new password each time it is asked to', async () => {
    const [one, other] = [await admin('reset', 'ada'), await admin('reset', 'ADA')];
    expect(one).toMatchObject({ code: 0, out: expect.stringMatching(/^ada {2}[\w-]{24}$/) });
    expect(other).toMatchObject({ code: 0, out: expect.stringMatching(/^ada {2}[\w-]{24}$/) });
    expect(one.out).not.toBe(other.out);
  });

  it.each([
    [1, ['first', 'ada'], /\(identity\.username-taken\)$/],
    [1, ['create', 'chris', '--role', 'auditor'], /\(identity\.username-taken\)$/],
    [1, ['create', 'kim', '--role', 'pharmacist', '--org', ORG], /\(identity\.organisation-unknown\)$/],
    [1, ['create', 'pat', '--role', 'patient', '--patient', ORG], /\(identity\.patient-unknown\)$/],
    [1, ['reset', 'nobody'], /no account with this user name\. .*`rxledger admin list` shows all/],
    [1, ['disable', 'nobody'], /no account with this user name\. .*`rxledger admin list` shows all/],
    [2, ['create', 'kim'], /--role/],
    [2, ['create', 'kim', '--role', 'boss'], /--role/],
    [2, ['create', 'kim', '--role', 'pharmacist'], /--org/],
    [2, ['create', 'kim', '--role', 'pharmacist', '--org', 'x'], /--org/],
    [2, ['create', 'kim', '--role', 'auditor', '--org', ORG], /org/],
    [2, ['create', 'x', '--role', 'auditor'], /username/],
    [2, ['create', 'kim', '--role', 'auditor', '--password', 'x'], /--password/],
  ])('says %i: %j', async (expected, args, words) => {
    const { code, out, err } = await admin(...args);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(err).toMatch(words);
  });
});
