import type { Config } from '../../config/config.js';
import { migrate, openWriter } from '../../database/data-source.js';
import { dbOf } from '../../database/db.js';
import { mustHoldKeys } from '../keys/missing-keys.js';
import { Vault } from '../keys/vault.js';
import type { ChainModel } from '../model.js';
import { readKeyHistory } from '../read/key-history.js';
import {
  NewerReadModels,
  type Rebuilt,
  type RebuildOptions,
  rebuildReadModels,
  Unfoldable,
} from '../read-models/rebuild.js';
import { StartRefused } from '../start/open-ledger.js';
import { readModelsOf } from '../store/tables.js';
import { readHead } from '../store/tip.js';

/**
 * Rebuilds the read models of the configured ledger from its chains. The service may run meanwhile.
 * @param progress called with the number of chains read, and of all
 * @throws {StartRefused} {@link LedgerUnavailable}
 */
export async function rebuildLedger(
  config: Config,
  models: readonly ChainModel[],
  progress?: RebuildOptions['progress'],
): Promise<Rebuilt> {
  const source = await openWriter(config, readModelsOf(models));
  try {
    await migrate(source);
    const db = dbOf(source);
    const head = await readHead(db);
    if (!head) throw new StartRefused('the database holds no ledger yet: serve and import make one');
    await mustHoldKeys(db, config.keysDir, (reason) => new StartRefused(reason));
    const { first } = await readKeyHistory(db, head.origin);
    const vault = Vault.openExisting(config.keysDir, first);
    if (!vault) throw new StartRefused(`there are no keys in ${config.keysDir}`);
    const rebuilt = await rebuildReadModels(source, vault, models, progress && { progress });
    if (!rebuilt) throw new Error('a rebuild that is not asked whether it is due was not done');
    return rebuilt;
  } catch (error) {
    throw error instanceof NewerReadModels || error instanceof Unfoldable ? new StartRefused(error.message) : error;
  } finally {
    await source.destroy();
  }
}
