import type { ChainModel } from '../model.js';

/**
 * The version of the read models that these chain models give: it rises with each of their versions. The head of the
 * log holds the one that the tables were made and filled by; 0 stands for tables that are not there yet.
 */
export function readModelsVersion(models: readonly ChainModel[]): number {
  return models.reduce((sum, { stateVersion, rowsVersion }) => sum + stateVersion + rowsVersion, 0);
}
