import type { ChainModel } from '../model.js';

/**
 * The version of the read models of these chain models: it rises with each of their versions. The log's head holds the
 * version with which the tables were filled; 0 means that there are no tables yet.
 */
export function readModelsVersion(models: readonly ChainModel[]): number {
  return models.reduce((sum, { stateVersion, rowsVersion }) => sum + stateVersion + rowsVersion, 0);
}
