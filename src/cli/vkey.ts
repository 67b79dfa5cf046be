import { CHAIN_HEAD_KEY_FILE, ChainHeadKey } from '../chains/chain-head-key.js';
import { Config } from '../config/config.js';
import { loadKey } from '../ledger/key-files.js';
import { withLog } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal } from './terminal.js';

export interface VkeyOptions extends CommonOptions {
  readonly chainHeads?: boolean;
}

/** `rxledger vkey`: the key that the ledger's own key file gives, so that an edited database cannot answer for it. */
export async function runVkey({ json, chainHeads }: VkeyOptions, terminal: Terminal): Promise<ExitCode> {
  const config = Config.parse(terminal.env);
  return withLog(config, async ({ head, vkey: logVkey }) => {
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
