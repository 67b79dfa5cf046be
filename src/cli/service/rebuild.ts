import { CHAIN_MODELS } from '../../chain-models.js';
import { existingLedger } from '../ledger/open-log.js';
import { rebuildLedger } from '../../ledger/upkeep/rebuild-ledger.js';
import { type CommonOptions, EXIT, type ExitCode, ProgressLine, type Terminal } from '../terminal.js';

/** `rxledger rebuild`: rebuilds the ledger's lists from its events. The service may run meanwhile. */
export async function runRebuild(options: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  const line = new ProgressLine(terminal, options);
  const rebuilt = await rebuildLedger(await existingLedger(terminal), CHAIN_MODELS, (done, total) =>
    line.show(() => `rebuilding: ${done} of ${total} chains`),
  );
  line.done();
  if (options.json) terminal.out(JSON.stringify(rebuilt));
  else terminal.out(`rebuilt: ${rebuilt.rows} rows from ${rebuilt.chains} chains, version ${rebuilt.version}`);
  return EXIT.ok;
}
