import { Config } from '../config/config.js';
import { withLog } from './open-log.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from './terminal.js';

/** `rxledger vkey`: the key that the ledger's own key file gives, so that an edited database cannot answer for it. */
export async function runVkey({ json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  return withLog(Config.parse(terminal.env), async ({ head, vkey }) => {
    terminal.out(json ? JSON.stringify({ log: head.origin, vkey }) : vkey);
    return EXIT.ok;
  });
}
