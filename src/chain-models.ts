import { logModel } from './ledger/log-chain.js';
import type { ChainModel } from './ledger/model.js';
import { patientModel } from './patient/model.js';
import { prescriptionModel, supplyModel } from './prescription/model.js';

/** Every kind of chain that this ledger holds. */
export const CHAIN_MODELS: readonly ChainModel[] = [prescriptionModel, supplyModel, patientModel, logModel];
