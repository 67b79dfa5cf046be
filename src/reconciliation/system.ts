import type { Actor } from '../ledger/model.js';

/** The service itself, when a worker or a timer acts. */
export const SYSTEM: Actor = { id: 'system', role: 'system', org: null, patient: null };
