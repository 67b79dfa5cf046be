import { CHAIN_HEAD_KEY_FILE, ChainHeadKey } from '../../log/chains/chain-head-key.js';
import { Config } from '../../config/config.js';
import { dbOf } from '../../database/db.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { readKeyHistory } from '../../ledger/read/key-history.js';
import { withLog } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

export interface VkeyOptions extends CommonOptions {
  readonly chainHeads?: boolean;
  readonly all?: boolean;
}

/** `rxledger log vkey`: prints the key from the key file, not from the database, which may have been edited. */
export async function runVkey({ json, chainHeads, all }: VkeyOptions, terminal: Terminal): Promise<ExitCode> {
  if (chainHeads && all) throw new UsageError('--all is about the keys of the log: not with --chain-heads');
  const config = Config.parse(terminal.env);
  return withLog(config, async ({ source, head, vkey: logVkey }) => {
    if (all) {
      const { vkeysNow: vkeys } = await readKeyHistory(dbOf(source), head.origin);
      const keys = vkeys.length === 0 ? [logVkey] : vkeys;
      if (json) terminal.out(JSON.stringify({ log: head.origin, vkeys: keys }));
      else for (const key of keys) terminal.out(key);
      return EXIT.ok;
    }
    const vkey = chainHeads ? chainHeadVkey(config, head.origin) : logVkey;
    terminal.out(json ? JSON.stringify({ log: head.origin, vkey }) : vkey);
    return EXIT.ok;
  });
}

function chainHeadVkey({ keysDir }: Config, origin: string): string {
  const seed = loadKey(keysDir, CHAIN_HEAD_KEY_FILE);
  if (!seed) throw new EnvironmentError('there is no key of chain heads yet: serve makes one');
  return new ChainHeadKey(origin, seed).vkey;
}
