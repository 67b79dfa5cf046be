import { randomBytes } from 'node:crypto';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { Accounts } from '../../identity/accounts/accounts.js';
import { newAccount } from '../../identity/people.js';
import { openLedger } from '../../ledger/start/open-ledger.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

export interface FirstOptions extends CommonOptions {
  readonly name?: string;
}

/** `rxledger admin first <username>`: the first account of a new installation, with a random password said once. */
export async function runFirst(
  username: string,
  { name = username, json }: FirstOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const password = randomBytes(18).toString('base64url');
  const account = newAccount.safeParse({ username, name, password, role: 'administrator' });
  if (!account.success) throw new UsageError(`username ${account.error.issues[0]?.message ?? 'does not fit'}`);
  const clock = new Clock();
  const ledger = await openLedger(Config.parse(terminal.env), clock, CHAIN_MODELS);
  try {
    const made = await new Accounts(ledger.writer, ledger.reader, ledger.vault, clock).create(account.data);
    if ('refusal' in made) {
      terminal.err(`rxledger: ${made.refusal.code}`);
      return EXIT.finding;
    }
    if (json) terminal.out(JSON.stringify({ id: made.ref, username: account.data.username, password }));
    else terminal.out(`${account.data.username}  ${password}`);
    return EXIT.ok;
  } finally {
    await ledger.close();
  }
}
