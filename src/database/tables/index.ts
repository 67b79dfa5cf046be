import { chain, erasure, idempotency, name, payload, subject } from './chain-tables.js';
import { judged, relayCursor } from './follower-tables.js';
import {
  account,
  client,
  idempotentRequest,
  organisation,
  signInAddress,
  signInAttempt,
  usedAssertion,
} from './identity-tables.js';
import { cosignature, entry, logHead, published, served, tile, witnessContact } from './log-tables.js';

/** Every table that migrations make. Read-model tables are made from their declarations, which modules hold. */
export const TABLES = [
  logHead,
  entry,
  tile,
  published,
  cosignature,
  witnessContact,
  served,
  subject,
  chain,
  payload,
  name,
  erasure,
  idempotency,
  organisation,
  account,
  client,
  usedAssertion,
  signInAttempt,
  signInAddress,
  idempotentRequest,
  relayCursor,
  judged,
];
