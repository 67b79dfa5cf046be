import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, encounter, order, organisation, patient, practitioner } from '../import/bundle.fixture.js';
import { Config } from '../config/config.js';
import { newJwks } from '../identity/machines/client-keys.js';
import { migrate, openWriter } from '../database/data-source.js';
import { failureOf } from './failures.js';
import { buildProgram, commandsOf } from './program.js';
import { runRotateEncryption } from './keys/rotate-encryption.js';
import { runCommand, testTerminal } from '../../test/support/terminal.js';
import { ProgressLine } from './terminal.js';

const COMMANDS = [
  'rebuild',
  'serve',
  'demo',
  'import',
  'admin first',
  'admin create',
  'admin list',
  'admin reset',
  'admin disable',
  'admin enable',
  'log verify',
  'log export',
  'log vkey',
  'log rotate-key',
  'log restore',
  'log restart',
  'keys sign',
  'keys rotate-encryption',
  'keys new machine',
  'keys new person',
  'audit follow',
  'audit proof',
  'audit evidence',
  'witness run',
];
/** These make a ledger, or need none. */
const NEEDS_NO_LEDGER = /^(serve|demo|import|admin first|keys (sign|new .*)|audit .*|witness .*)$/;
/** Arguments without which a command ends before it looks for the ledger. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  'admin create': ['ada', '--role', 'auditor'],
  'admin reset': ['ada'],
  'admin disable': ['ada'],
  'admin enable': ['ada'],
  'log restart': ['--yes'],
  'keys rotate-encryption': ['--destroy-old'],
};
const NONE = '/nowhere/none';
const SELF = fileURLToPath(import.meta.url);
/** Placeholder for a writable folder. */
const DIR = '<folder>';
/** The example of the signed note's specification. */
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const NO_LEDGER = /there is no ledger in .*rxledger\.sqlite/;
const ALL = commandsOf(buildProgram(testTerminal().terminal, () => undefined)).map(({ words }) => words);

describe('rxledger', () => {
  let folder = '';
  let source = '';
  let data = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rxledger-cli-'));
    data = join(folder, 'data');
    source = join(folder, 'source.json');
    await writeFile(source, bundle(patient, organisation, practitioner, encounter, order()));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Runs a command line on a ledger of its own. */
  const rx = (args: string[], env: Record<string, string> = {}) => runCommand(args, { DATA_DIR: data, ...env });

  it('has these commands', () => {
    expect(ALL.toSorted()).toEqual(COMMANDS.toSorted());
  });

  it.each(ALL)('%s --help has examples, --json and the exit codes', async (command) => {
    const { code, out, err } = await rx([...command.split(' '), '--help']);
    expect(code).toBe(0);
    expect(err).toBe('');
    for (const text of ['Examples:', `$ rxledger ${command}`, '--json', 'Exit codes:']) expect(out).toContain(text);
  });

  it.each(['admin', 'log', 'keys', 'audit', 'witness'])('%s --help has examples and the exit codes', async (group) => {
    const { out } = await rx([group, '--help']);
    for (const text of ['Examples:', `$ rxledger ${group}`, 'Exit codes:']) expect(out).toContain(text);
  });

  it('prints the version of package.json', async () => {
    const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as object;
    expect(await rx(['--version'])).toMatchObject({ code: 0, out: (manifest as { version: string }).version, err: '' });
  });

  it.each(['verify', 'export', 'vkey'])(
    'names the command that was meant, where only its group is missing: %s',
    async (typed) => {
      const { code, err } = await rx([typed, 'x.sqlite']);
      expect(code).toBe(2);
      expect(err).toContain(`unknown command '${typed}'`);
      expect(err.match(/did you mean.*/gi)).toEqual([`Did you mean \`rxledger log ${typed}\`?`]);
    },
  );

  it.each([
    ['no command', []],
    ['a group alone', ['keys']],
    ['an unknown command of a group', ['log', 'nonsense']],
    ['an unknown command', ['nonsense']],
    ['an unknown option', ['log', 'vkey', '--nonsense']],
    ['a missing argument', ['import']],
    ['one argument too many', ['log', 'vkey', 'x']],
    ['a zone that does not exist', ['import', '--zone', 'Mars/Olympus', 'x.json']],
    ['a file that is no export', ['log', 'verify', fileURLToPath(import.meta.url)]],
  ])('says 2 to %s, in words and without a stack', async (_, args) => {
    const { code, out, err } = await rx(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).not.toBe('');
    expect(err).not.toMatch(/^\s+at /m);
  });

  it.each([
    ['log', 'verify', '--vkey', 'x'],
    ['audit', 'proof', SELF, '--vkey', 'x'],
    ['audit', 'evidence', SELF, '--vkey', 'x'],
    ['audit', 'follow', 'http://127.0.0.1:1', '--dir', DIR, '--vkey', 'x'],
    ['witness', 'run', '--dir', DIR, '--log', 'x'],
    ['audit', 'proof', SELF, '--chain-head-vkey', 'x'],
  ])('says 2 to a verifier key that is none, and which command prints one: %s %s %s', async (...args) => {
    const { code, out, err } = await rx(args.map((arg) => (arg === DIR ? join(folder, 'auditor') : arg)));
    expect({ code, out, err }).toEqual({
      code: 2,
      out: '',
      err: expect.stringMatching(/not .*verifier key .*`rxledger log vkey/),
    });
  });

  it.each([
    ['a path that does not exist', ['log', 'verify', '/nowhere'], {}, /there is no \/nowhere/],
    ['no ledger', ['log', 'vkey'], { DATA_DIR: '/nowhere' }, /no ledger in .*nowhere/],
    ['no ledger to verify', ['log', 'verify'], { DATA_DIR: '/nowhere' }, /no ledger/],
    ['a setting that does not fit', ['log', 'vkey'], { DATABASE_URL: 'mysql://x' }, /DATABASE_URL/],
    [
      'a host that is not there',
      ['rebuild'],
      { DATABASE_URL: 'postgres://me:secret@db.invalid/x' },
      /DATABASE_URL \(db\.invalid\/x\) does not answer/,
    ],
    ['a data folder that is a file', ['admin', 'first', 'ada'], { DATA_DIR: SELF }, /program\.spec\.ts/],
    [
      'a file that is no database',
      ['log', 'vkey'],
      { DATABASE_URL: `sqlite:${SELF}` },
      /program\.spec\.ts|SQLITE_NOTADB/,
    ],
  ])('says 3 to %s, in one line', async (_, args, env, expected) => {
    const { code, out, err } = await rx(args, env);
    expect(code).toBe(3);
    expect(out).toBe('');
    expect(err).toMatch(expected);
    expect(err.split('\n')).toHaveLength(1);
  });

  it.each(ALL.filter((words) => !NEEDS_NO_LEDGER.test(words)))(
    '%s makes no ledger where there is none',
    async (words) => {
      const empty = await mkdtemp(join(folder, 'empty-'));
      for (const env of [{ DATA_DIR: empty }, { DATA_DIR: join(empty, 'typo') }]) {
        const { code, out, err } = await rx([...words.split(' '), ...(ARGUMENTS[words] ?? [])], env);
        expect({ code, out, err }).toEqual({
          code: 3,
          out: '',
          err: expect.stringMatching(/there is no ledger in .*DATA_DIR/),
        });
      }
      expect(await readdir(empty)).toEqual([]);
    },
  );

  it('log verify tells a database that never held a ledger from one that lost its head', async () => {
    const there = { DATA_DIR: join(folder, 'never') };
    const database = await openWriter(Config.parse(there));
    await migrate(database);
    await database.destroy();
    expect(await rx(['log', 'verify'], there)).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringMatching(NO_LEDGER),
    });
    expect(await rx(['log', 'verify', there.DATA_DIR])).toMatchObject({
      code: 3,
      err: expect.stringMatching(NO_LEDGER),
    });
    expect(await rx(['log', 'vkey'], there)).toMatchObject({ code: 3, err: expect.stringMatching(NO_LEDGER) });

    // One trace of a former ledger is enough: rows, the head file or the log's key.
    const real = join(folder, 'real');
    await rx(['import', source], { DATA_DIR: real });
    const rows = join(folder, 'rows');
    const [headFile, key] = [join(folder, 'head-file'), join(folder, 'log-key')];
    await cp(join(real, 'rxledger.sqlite'), join(rows, 'rxledger.sqlite'));
    for (const traced of [headFile, key]) await cp(there.DATA_DIR, traced, { recursive: true });
    await cp(join(real, 'head'), join(headFile, 'head'));
    await cp(join(real, 'keys', 'log.key'), join(key, 'keys', 'log.key'));
    const beheaded = await openWriter(Config.parse({ DATA_DIR: rows }));
    await beheaded.query('DELETE FROM log_head');
    await beheaded.destroy();
    for (const traced of [rows, headFile, key]) {
      const { code, out } = await rx(['log', 'verify', traced]);
      expect({ traced, code, out }).toMatchObject({
        traced,
        code: 1,
        out: expect.stringMatching(/there is no log head\nNOT VERIFIED/),
      });
      expect(out).not.toMatch(/^ +(root|key)|: $/m);
    }
    expect((await rx(['log', 'vkey'], { DATA_DIR: headFile })).err).toMatch(/its head file remembers 2 entries/);
  });

  it.each([['log', 'export'], ['log', 'verify'], ['rebuild'], ['admin', 'first', 'ada']])(
    'names the database that is away, and never its password: %s %s',
    async (...args) => {
      expect(await rx(args, { DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/x' })).toMatchObject({
        code: 3,
        out: '',
        err: 'rxledger: the database of DATABASE_URL (127.0.0.1:1/x) does not answer (ECONNREFUSED): is it running?',
      });
    },
  );

  it.each([
    ['import', NONE],
    ['import', SELF, NONE],
    ['log', 'verify', NONE],
    ['log', 'export', '--out', join(NONE, 'log.ndjson')],
    ['log', 'restore', '--payloads', NONE],
    ['log', 'restore', '--replica', NONE],
    ['log', 'restore', '--replica', 'http://127.0.0.1:1', '--token', NONE],
    ['keys', 'sign', NONE, '--key', NONE],
    ['keys', 'sign', SELF, '--key', NONE],
    ['audit', 'proof', NONE, '--vkey', VKEY],
    ['audit', 'proof', SELF, '--policy', NONE],
    ['audit', 'proof', SELF, '--vkey', VKEY, '--rotations', NONE],
    ['audit', 'proof', SELF, '--vkey', VKEY, '--continued', NONE],
    ['audit', 'proof', SELF, '--vkey', VKEY, '--actor-key', NONE],
    ['audit', 'evidence', NONE, '--vkey', VKEY],
    ['audit', 'evidence', SELF, '--policy', NONE],
    ['audit', 'follow', 'http://127.0.0.1:1', '--dir', DIR, '--once', '--policy', NONE],
    [
      'audit',
      'follow',
      'http://127.0.0.1:1',
      '--dir',
      DIR,
      '--once',
      '--vkey',
      VKEY,
      '--client-id',
      'x',
      '--key',
      NONE,
    ],
    ['witness', 'run', '--dir', DIR, '--name', 'w1.example', '--logs', NONE],
  ])('says 3 to a file that is missing: %s %s %s %s %s %s', async (...args) => {
    const there = { DATA_DIR: join(folder, 'there') };
    await rx(['import', source], there);
    const { code, err } = await rx(
      args.map((arg) => (arg === DIR ? join(folder, 'auditor') : arg)),
      there,
    );
    expect({ code, err }).toEqual({ code: 3, err: expect.stringMatching(/^rxledger: there is no \/nowhere\/none/) });
    expect(err.split('\n')).toHaveLength(1);
  });

  it('imports, once, and tells what it refused', async () => {
    expect(await rx(['import', '--json', source])).toMatchObject({
      code: 0,
      out: '{"recorded":1,"alreadyThere":0,"refused":[]}',
      err: '',
    });
    expect(await rx(['import', '--progress', source])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^0 orders recorded, 1 already there, 0 refused\n0 patients enrolled, 1 known/),
      err: expect.stringContaining('reading: '),
    });
    const letter = join(folder, 'letter.json');
    await writeFile(letter, 'Dear all');
    const both = await rx(['import', '--json', source, letter]);
    expect(both.code).toBe(1);
    expect(JSON.parse(both.out)).toEqual({
      recorded: 0,
      alreadyThere: 1,
      refused: [{ source: letter, reason: 'import.bad-json' }],
    });
    expect((await rx(['import', letter])).out).toContain(`refused  ${letter}  import.bad-json: It is not JSON.`);
  });

  it('--dry-run reports as the import does, and records nothing', async () => {
    const letter = join(folder, 'no-order.json');
    await writeFile(letter, 'Dear all');
    const other = join(folder, 'more.json');
    const second = { ...order(), id: 'second', identifier: [{ value: 'second' }] };
    // The same order twice: the second one counts as already there, as in a real import.
    await writeFile(other, bundle(patient, organisation, practitioner, encounter, order(), second, second));
    const there = { DATA_DIR: join(folder, 'dry') };
    const imported = (...args: string[]) => rx(['import', other, letter, ...args], there);
    const report = { code: 1, out: (await imported('--dry-run', '--json')).out };
    await expect(stat(there.DATA_DIR)).rejects.toThrow('ENOENT');

    await rx(['import', source], there);
    const state = async () => [
      (await rx(['log', 'export', '--with-payloads'], there)).piped,
      (await rx(['log', 'verify', '--json'], there)).out,
      await tablesOf(there.DATA_DIR),
    ];
    const before = await state();
    const dry = await imported('--dry-run', '--json');
    expect(dry).toMatchObject({ code: 1, err: '' });
    const words = await imported('--dry-run');
    expect(words.out).toMatch(/^1 order would be recorded, 2 already there, 1 refused$/m);
    expect(words.out).toMatch(/^0 patients would be enrolled, 1 known/m);
    expect(words.out).toMatch(/^nothing was recorded \(--dry-run\)$/m);
    expect(await state()).toEqual(before);
    const { dryRun, ...same } = JSON.parse(dry.out) as Record<string, unknown>;
    const really = await imported('--json');
    expect({ dryRun, code: really.code, out: JSON.parse(really.out) }).toEqual({
      dryRun: true,
      code: dry.code,
      out: same,
    });
    expect((await state())[0]).not.toBe(before[0]);
    // On a new installation both orders are new.
    expect(JSON.parse(report.out)).toMatchObject({ recorded: 2, alreadyThere: 1, refused: [{ source: letter }] });
  });

  it('prints the key, exports, and verifies ledger and exports', async () => {
    await rx(['import', source]);
    const { out: vkey } = await rx(['log', 'vkey']);
    expect(vkey).toMatch(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/);
    expect(JSON.parse((await rx(['log', 'vkey', '--json'])).out)).toEqual({ log: vkey.split('+')[0], vkey });

    const file = join(folder, 'log.ndjson');
    expect(await rx(['log', 'export', '--out', file])).toMatchObject({ code: 0, err: '' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await rx(['log', 'export'])).piped).toBe(await readFile(file, 'utf8'));
    expect(await readFile(file, 'utf8')).not.toContain('payload');
    const full = join(folder, 'full.ndjson');
    expect((await rx(['log', 'export', '--with-payloads', '--out', full])).err).toContain('in the clear');

    for (const args of [[], [data], [join(data, 'rxledger.sqlite')], [full], [file, '--vkey', vkey]]) {
      const { code, out } = await rx(['log', 'verify', '--json', ...args]);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ ok: true, vkey, size: 2, entries: 2, chains: 2, findings: [] });
    }
    expect((await rx(['log', 'verify'])).out).toMatch(/^verified: /);
    expect((await rx(['log', 'verify', '--json', full])).out).toContain('"payloads":2');
    expect((await rx(['log', 'verify', full])).err).toContain('Without --vkey');
  });

  it('says 1 and where, when something was changed', async () => {
    await rx(['import', source]);
    const file = join(folder, 'changed.ndjson');
    await rx(['log', 'export', '--out', file]);
    const lines = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, [lines[0], lines[2], lines[1], ''].join('\n'));
    const swapped = await rx(['log', 'verify', file]);
    expect(swapped.code).toBe(1);
    expect(swapped.out).toMatch(/^(tampered|missing) {2}export, index 0: /);
    expect(swapped.out).toContain('NOT VERIFIED');

    const other = join(folder, 'other');
    await rx(['import', source], { DATA_DIR: other });
    const { out: foreign } = await rx(['log', 'vkey'], { DATA_DIR: other });
    expect((await rx(['log', 'verify', '--vkey', foreign])).code).toBe(1);
  });

  it('verifies a database without its keys as far as that goes, and makes none', async () => {
    await rx(['import', source]);
    const copy = join(folder, 'copy');
    await cp(data, copy, { recursive: true });
    await rm(join(copy, 'keys'), { recursive: true });
    const { code, out, err } = await rx(['log', 'verify', copy]);
    expect(code).toBe(3);
    expect(out).toContain('0 payloads, 0 chains checked');
    expect(out).toContain('ENTRIES ONLY');
    expect(out).toContain('NAMED BY THE DATABASE ITSELF');
    expect(err).toContain(`the keys folder ${join(copy, 'keys')} lacks index.key, kek-0001`);
    const meant = await rx(['log', 'verify', copy, '--entries-only', '--json']);
    expect(meant).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(meant.out)).toMatchObject({ ok: true, payloadsChecked: false, vkeyFrom: 'database' });
    const pinned = await rx(['log', 'verify', copy, '--entries-only', '--json', '--vkey', JSON.parse(meant.out).vkey]);
    expect(JSON.parse(pinned.out)).toMatchObject({ ok: true, payloadsChecked: false, vkeyFrom: 'option' });
    const whole = await rx(['log', 'verify', data, '--json']);
    expect(JSON.parse(whole.out)).toMatchObject({ ok: true, payloadsChecked: true, vkeyFrom: 'keys' });
    await expect(stat(join(copy, 'keys'))).rejects.toThrow('ENOENT');
    expect((await rx(['log', 'verify', copy, '--keys', join(data, 'keys')])).out).toContain(
      '2 payloads, 2 chains checked',
    );
    expect((await rx(['log', 'export', '--with-payloads'], { DATA_DIR: copy })).code).toBe(3);
  });

  it('has a report whatever the log head holds', async () => {
    await rx(['import', source]);
    const edited = join(folder, 'edited');
    await cp(data, edited, { recursive: true });
    const database = await openWriter(Config.parse({ DATA_DIR: edited }));
    for (const column of ['origin', 'vkey', 'checkpoint', 'size', 'root', 'time']) {
      const [kept] = await database.query<Record<string, unknown>[]>(`SELECT ${column} FROM log_head`);
      for (const value of ["''", "'a b'", "'x'", "x'00'", '1e300', '-1']) {
        await database.query(`UPDATE log_head SET ${column} = ${value}`);
        const { code, out } = await rx(['log', 'verify', '--json', edited]);
        expect({ column, value, code, ok: (JSON.parse(out) as { ok: boolean }).ok }).toMatchObject({
          code: 1,
          ok: false,
        });
      }
      await database.query(`UPDATE log_head SET ${column} = ?`, [kept?.[column]]);
    }
    await database.destroy();
    expect(await rx(['log', 'verify', edited])).toMatchObject({ code: 0 });
  });

  it('rotates the key-encryption key, and verifies after it', async () => {
    await rx(['import', source]);
    const first = await rx(['keys', 'rotate-encryption', '--json']);
    expect(first.code).toBe(0);
    const { kek, rewrapped, destroyed } = JSON.parse(first.out) as { kek: string; rewrapped: number; destroyed: [] };
    expect({ kek, destroyed }).toEqual({ kek: '0002', destroyed: [] });
    expect(rewrapped).toBeGreaterThan(1);
    expect((await rx(['keys', 'rotate-encryption'])).out).toContain('no erasure is complete before');
    expect((await readdir(join(data, 'keys'))).filter((name) => name.startsWith('kek-'))).toHaveLength(3);
    const { terminal, said } = testTerminal({ env: { DATA_DIR: data } });
    expect(await runRotateEncryption({ json: true, destroyOld: true }, terminal)).toBe(0);
    expect(JSON.parse(said.out.join(''))).toEqual({
      kek: '0004',
      rewrapped,
      emptied: true,
      destroyed: ['0001', '0002', '0003'],
    });
    expect((await readdir(join(data, 'keys'))).filter((name) => name.startsWith('kek-'))).toEqual(['kek-0004']);
    expect(await rx(['log', 'verify'])).toMatchObject({ code: 0 });
  });

  it('makes a key file once, and prints its public key alone', async () => {
    const file = join(folder, 'made', 'follower.key');
    const made = await rx(['keys', 'new', 'machine', '--json', file]);
    expect(made).toMatchObject({ code: 0, err: '' });
    const jwks = newJwks.parse(JSON.parse(made.out));
    expect(jwks.keys).toMatchObject([{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' }]);
    const seed = await readFile(file);
    expect({ length: seed.length, mode: (await stat(file)).mode & 0o777 }).toEqual({ length: 32, mode: 0o600 });
    expect(made.out).not.toContain(seed.toString('base64url'));
    expect(JSON.parse((await rx(['keys', 'new', 'machine', file])).out)).toEqual(jwks);
    expect(await readFile(file)).toEqual(seed);
    await chmod(file, 0o644);
    expect(await rx(['keys', 'new', 'machine', file])).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringContaining('0600'),
    });
    await chmod(file, 0o600);
    await writeFile(file, 'not a key');
    expect(await rx(['keys', 'new', 'machine', file])).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringContaining('32 bytes'),
    });
  });

  it('tells nothing of an unexpected error but its name', () => {
    expect(failureOf(new TypeError('Ada Sample'))).toEqual({
      exitCode: 3,
      message: 'internal error (TypeError); LOG_LEVEL=debug shows where',
    });
  });

  it('bin says what to do before the first build', async () => {
    const bin = join(folder, 'clone', 'bin', 'rxledger.js');
    await cp(fileURLToPath(new URL('../../bin/rxledger.js', import.meta.url)), bin);
    await writeFile(join(folder, 'clone', 'package.json'), '{"type":"module"}');
    const { status, stdout, stderr } = spawnSync(bin, ['log', 'vkey'], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    expect(stderr).toBe('RxLedger is not built yet: run `npm run build` first.\n');
  });
});

/** Every table of a ledger, row by row. */
async function tablesOf(dataDir: string): Promise<Record<string, unknown>> {
  const database = await openWriter(Config.parse({ DATA_DIR: dataDir }));
  try {
    const names = await database.query<{ name: string }[]>("SELECT name FROM sqlite_schema WHERE type = 'table'");
    const rows = await Promise.all(names.map(({ name }) => database.query<object[]>(`SELECT * FROM "${name}"`)));
    return Object.fromEntries(names.map(({ name }, at) => [name, rows[at]]));
  } finally {
    await database.destroy();
  }
}

function shown(watched: boolean, options: { json?: boolean; progress?: boolean }): string[] {
  const { terminal, said } = testTerminal({ watched });
  let now = 0;
  const line = new ProgressLine(terminal, options, () => now);
  for (now = 1; now < 5000; now += 50) line.show(() => String(now));
  line.done();
  return said.err;
}

describe('ProgressLine', () => {
  it('speaks on a terminal or when asked, not into JSON unasked, and not too often', () => {
    expect(shown(true, {}).length).toBeGreaterThan(40);
    expect(shown(true, {}).at(-1)).toBe('');
    expect(shown(false, {})).toEqual([]);
    expect(shown(true, { json: true })).toEqual([]);
    expect(shown(false, { progress: true, json: true })).toEqual(['1', '2001', '4001', '']);
  });
});
