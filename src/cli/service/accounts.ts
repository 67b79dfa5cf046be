import { randomBytes } from 'node:crypto';
import { Config } from '../../config/config.js';
import { Accounts } from '../../identity/accounts/accounts.js';
import type { Made } from '../../identity/once.js';
import { type Account, newAccount, type NewAccount } from '../../identity/people.js';
import { REFUSALS } from '../../refusals/refusals.js';
import { Clock } from '../../time/clock.js';
import { existingLedger, withLedger } from '../ledger/open-log.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

export interface FirstOptions extends CommonOptions {
  readonly name?: string;
}

export interface CreateOptions extends FirstOptions {
  readonly role: NewAccount['role'];
  /** Id of an organisation, for a prescriber or a pharmacist. */
  readonly org?: string;
  /** Id of a patient, for a patient. */
  readonly patient?: string;
}

/** Accounts that are read at a time. */
const PAGE = 200;

/** `rxledger admin first <username>`: the first account of a new installation, with a random password shown once. */
export function runFirst(username: string, options: FirstOptions, terminal: Terminal): Promise<ExitCode> {
  return create(Config.parse(terminal.env), username, { ...options, role: 'administrator' }, terminal);
}

/** `rxledger admin create <username>`: an account of a person, with a random password shown once. */
export async function runCreate(username: string, options: CreateOptions, terminal: Terminal): Promise<ExitCode> {
  return create(await existingLedger(terminal), username, options, terminal);
}

async function create(
  config: Config,
  username: string,
  { name = username, role, org, patient, json }: CreateOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const password = newPassword();
  const place = { ...(org !== undefined && { org }), ...(patient !== undefined && { patient }) };
  const account = newAccount.safeParse({ username, name, password, role, ...place });
  if (!account.success) {
    const { path, message } = account.error.issues[0] ?? { path: [], message: 'it does not fit' };
    const which = path[0] === 'org' || path[0] === 'patient' ? `--${path[0]}` : path.join('.');
    throw new UsageError(`${which === '' ? 'account' : which}: ${message}`);
  }
  return withAccounts(config, terminal, async (accounts) => {
    const made = await accounts.create(account.data);
    if ('refusal' in made) return refused(made, terminal);
    shown({ id: made.ref, username: account.data.username, password }, json, terminal);
    return EXIT.ok;
  });
}

/** `rxledger admin list`: people's accounts; never machines, and never a patient's name. */
export async function runList({ json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  return withAccounts(await existingLedger(terminal), terminal, async (accounts) => {
    const told: object[] = [];
    let after: string | null = null;
    for (;;) {
      const page: Account[] = await accounts.list(after, PAGE);
      for (const { name, ...account } of page) {
        if (json) told.push({ ...account, name: account.patient === null ? name : null });
        else terminal.out(inWords({ name, ...account }));
      }
      after = page.at(-1)?.id ?? null;
      if (page.length < PAGE) break;
    }
    if (json) terminal.out(JSON.stringify({ accounts: told }));
    return EXIT.ok;
  });
}

function inWords({ id, username, name, role, org, patient, disabled }: Account): string {
  const place = org === null ? '' : `  organisation ${org}`;
  const who = patient === null ? `  ${JSON.stringify(name)}` : `  patient ${patient}`;
  return `${username.padEnd(24)}${role.padEnd(15)}${id}${who}${place}${disabled ? '  DISABLED' : ''}`;
}

/** `rxledger admin reset <username>`: sets a new random password, shown once, and ends a lock after failed sign-ins. */
export function runReset(username: string, { json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  const password = newPassword();
  return change(username, terminal, async (accounts, { id, username: known }) => {
    const made = await accounts.resetPassword(id, password);
    if ('ref' in made) shown({ id, username: known, password }, json, terminal);
    return made;
  });
}

/** `rxledger admin disable|enable <username>`: disables or enables an account. */
export function runSwitch(
  how: 'disable' | 'enable',
  username: string,
  { json }: CommonOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  return change(username, terminal, async (accounts, { id, username: known }) => {
    const made = await (how === 'disable' ? accounts.disable(id) : accounts.enable(id));
    const disabled = how === 'disable';
    if ('ref' in made) {
      if (json) terminal.out(JSON.stringify({ id, username: known, disabled }));
      else terminal.out(`${known} is ${disabled ? 'disabled; its tokens stop within half a minute' : 'enabled'}`);
    }
    return made;
  });
}

async function change(
  username: string,
  terminal: Terminal,
  work: (accounts: Accounts, account: Account) => Promise<Made>,
): Promise<ExitCode> {
  return withAccounts(await existingLedger(terminal), terminal, async (accounts) => {
    const account = await accounts.byUsername(username);
    if (!account) {
      terminal.err(
        'rxledger: There is no account with this user name. Nothing was changed; `rxledger admin list` shows all.',
      );
      return EXIT.finding;
    }
    const made = await work(accounts, account);
    return 'refusal' in made ? refused(made, terminal) : EXIT.ok;
  });
}

const newPassword = (): string => randomBytes(18).toString('base64url');

function shown(
  account: { readonly id: string; readonly username: string; readonly password: string },
  json: boolean | undefined,
  terminal: Terminal,
): void {
  terminal.out(json ? JSON.stringify(account) : `${account.username}  ${account.password}`);
}

function refused({ refusal: { code } }: Extract<Made, { refusal: unknown }>, terminal: Terminal): ExitCode {
  const titles: Readonly<Record<string, { title: string }>> = REFUSALS;
  terminal.err(`rxledger: ${titles[code]?.title ?? 'Refused'} (${code})`);
  return EXIT.finding;
}

function withAccounts(
  config: Config,
  terminal: Terminal,
  work: (accounts: Accounts) => Promise<ExitCode>,
): Promise<ExitCode> {
  return withLedger(config, terminal, ({ writer, db, vault }) => work(new Accounts(writer, db, vault, new Clock())));
}
