/**
 * The log's own chain (design 3): nil UUID, kind `log`. Its payloads are stored, served and exported in the clear with
 * their salts, since they hold nothing personal. It has a subject of its own, also with the nil UUID, whose key
 * protects its state as for every chain. It is never erased or adopted, and no other chain can have its id.
 */
import type { LedgerEvent } from '../core/record/event.js';
import {
  type ActorKeys,
  KEY_ENROLLED,
  KEY_REVOKED,
  type KeyEnrolled,
  type KeyRevoked,
  NO_KEYS,
  withEnrolled,
  withRevoked,
  SIGNABLE_ON_LOG,
} from './actor-keys.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { LOG_CONTINUED } from '../core/statements/continuation.js';
import { LOG_KEY_ROTATED } from '../core/statements/key-rotation.js';
import type { ChainModel, ChainRef } from '../model.js';

/** State of the log chain. A later event type adds a member, with a value for the time before its first event. */
export interface LogChain {
  readonly actorKeys: ActorKeys;
}

const BEFORE: LogChain = { actorKeys: NO_KEYS };

/** Every event type of the log chain and its effect on the state. To add a type, add a line here. */
const EVENTS: Readonly<Record<string, (log: LogChain, event: LedgerEvent) => LogChain>> = {
  [KEY_ENROLLED]: (log, { data }) => ({
    ...log,
    actorKeys: withEnrolled(log.actorKeys, data as unknown as KeyEnrolled['data']),
  }),
  [KEY_REVOKED]: (log, { data }) => ({
    ...log,
    actorKeys: withRevoked(log.actorKeys, data as unknown as KeyRevoked['data']),
  }),
  // The log's head names the signing key; `key-history.ts` reads earlier keys from the events.
  [LOG_KEY_ROTATED]: (log) => log,
  [LOG_CONTINUED]: (log) => log,
};

export const isLogEvent = ({ type }: LedgerEvent): boolean => Object.hasOwn(EVENTS, type);

export const logModel: ChainModel<LogChain> = {
  kind: 'log',
  stateVersion: 1,
  rowsVersion: 1,
  readModels: [],
  signable: SIGNABLE_ON_LOG,
  evolve: (state, event) => {
    const evolve = isLogEvent(event) ? EVENTS[event.type] : undefined;
    if (!evolve) throw new Error('an event that the log chain does not know');
    return evolve(state ?? BEFORE, event);
  },
  rows: () => [],
  names: () => [],
  subject: () => ({ subject: LOG_CHAIN }),
};

/** The log chain as a command names it. Its first event opens it; until then `decide` sees null. */
export const LOG_REF: ChainRef<LogChain> = {
  id: LOG_CHAIN,
  model: logModel,
  mode: 'either',
  subject: { newSubject: LOG_CHAIN },
};
