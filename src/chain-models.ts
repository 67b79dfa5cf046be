import { logModel } from './ledger/log-chain/log-chain.js';
import type { ChainModel } from './ledger/model.js';
import { patientModel } from './patient/chain-model.js';
import { prescriptionModel, supplyModel } from './prescription/chain-models.js';

/** Every kind of chain that this ledger holds. */
export const CHAIN_MODELS: readonly ChainModel[] = [prescriptionModel, supplyModel, patientModel, logModel];
