import { CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { NoteError, parseVerifierKey } from '../../ledger/core/tlog/note.js';
import { logsOnly, parsePolicy, type Policy, PolicyError } from '../../ledger/core/tlog/policy.js';
import { type CommonOptions, UsageError } from '../terminal.js';
import { contentOf } from '../files.js';

export interface TrustOptions extends CommonOptions {
  readonly vkey: readonly string[];
  /** A file in the form of C2SP tlog-policy. */
  readonly policy?: string;
}

/** The trust policy from the command line. @throws {UsageError}; {EnvironmentError} for a file that cannot be read */
export async function policyOf({ vkey, policy }: TrustOptions): Promise<Policy> {
  if ((vkey.length === 0) === (policy === undefined))
    throw new UsageError('say whom to trust: either --vkey <vkey> or --policy <file>');
  try {
    if (policy === undefined) return logsOf(vkey);
    const parsed = parsePolicy(await contentOf(policy));
    if (parsed.logs.length === 0) throw new UsageError('--policy: it names no log');
    return parsed;
  } catch (error) {
    if (error instanceof PolicyError) throw new UsageError(`--policy: ${error.message}`);
    throw error;
  }
}

/** Trust in these logs alone. @param vkeys what `--vkey` gave; @throws {UsageError} when one is no log's key */
export function logsOf(vkeys: readonly string[]): Policy {
  try {
    return logsOnly(vkeys.map(parseVerifierKey));
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError)
      throw new UsageError("--vkey: not a log's verifier key (`rxledger log vkey` prints one)");
    throw error;
  }
}

/** @throws {UsageError} when it is not the URL of a service */
export function checkUrl(url: string): void {
  const { protocol, username, password, search, hash } = URL.canParse(url) ? new URL(url) : ({} as Partial<URL>);
  if (!protocol || !/^https?:$/.test(protocol) || username || password || search || hash)
    throw new UsageError('the URL of a service looks like https://host, without user, query or fragment');
}
