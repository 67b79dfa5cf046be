import type { Role } from '../../ledger/core/record/event.js';
/** Who may do what, and through which relation to the thing: one table (design 7). */

/**
 * The actor's relation to the object of the action.
 * - `own`: the object is about the actor
 * - `practice`: the actor's organisation issued it (for a patient: has issued something to them)
 * - `holder`: the actor's pharmacy holds or held it (for a supply: reported it)
 * - `nominated`: the actor's pharmacy is nominated
 * - `token`: the actor showed a valid token
 * - `concerned`: the discrepancy concerns the actor's organisation
 * - `granted`: break-glass that still runs
 * - `addressed`: it was disclosed to the actor
 * - `author`: the actor, or somebody of the actor's organisation, wrote it
 * - `none`: no relation is needed
 */
export type Relation =
  | 'own'
  | 'practice'
  | 'holder'
  | 'nominated'
  | 'token'
  | 'concerned'
  | 'granted'
  | 'addressed'
  | 'author'
  | 'none';

type Cells = Partial<Record<Exclude<Role, 'system'>, readonly Relation[]>>;

const ANYBODY: Cells = {
  prescriber: ['none'],
  pharmacist: ['none'],
  patient: ['none'],
  auditor: ['none'],
  administrator: ['none'],
};

/**
 * Actions and, for each role, the relations of which one is needed. A role that is missing may never do it. `public`
 * needs no token at all. The administrator enrols but reads no clinical data; an auditor reads entries, proofs, and the
 * disclosed members of payloads.
 */
const TABLE = {
  public: ANYBODY,
  'self.read': ANYBODY,
  'organisation.read': ANYBODY,

  'prescription.issue': { prescriber: ['none'] },
  'prescription.cancel': { prescriber: ['practice'] },
  'prescription.read': {
    prescriber: ['practice', 'granted'],
    pharmacist: ['holder', 'nominated', 'token', 'granted'],
    patient: ['own'],
  },
  'prescription.list': { prescriber: ['practice'], pharmacist: ['holder', 'nominated'], patient: ['own'] },
  'prescription.claim': { pharmacist: ['holder', 'nominated', 'token'] },

  'token.read': { prescriber: ['practice'], patient: ['own'] },

  'claim.recover': { pharmacist: ['holder'] },
  'dispense.release': { pharmacist: ['holder'] },
  'dispense.record': { pharmacist: ['holder'] },
  'dispense.not-dispensed': { pharmacist: ['holder'] },
  'dispense.reverse': { pharmacist: ['holder'] },
  // A report of a past event is always recorded as a fact (design 4).
  'dispense.report': { pharmacist: ['none'] },
  'supply.read': { pharmacist: ['holder'], patient: ['own'] },
  'supply.match': { pharmacist: ['holder'], patient: ['own'] },

  'dose.record': { patient: ['own'] },
  'dose.read': { prescriber: ['practice', 'granted'], pharmacist: ['holder', 'granted'], patient: ['own'] },

  'patient.enrol': { prescriber: ['none'], administrator: ['none'] },
  'patient.search': { prescriber: ['none'], pharmacist: ['none'], administrator: ['none'] },
  'patient.read': {
    prescriber: ['practice', 'granted'],
    pharmacist: ['holder', 'nominated', 'token', 'granted'],
    patient: ['own'],
  },
  'patient.break-glass': { prescriber: ['none'], pharmacist: ['none'] },
  'access.read': { patient: ['own'] },
  // None of these shows clinical data: only codes, a day, and the authority that demands it.
  'patient.erase': { administrator: ['none'] },
  'hold.place': { administrator: ['none'] },
  'hold.release': { administrator: ['none'] },
  'hold.read': { administrator: ['none'] },

  'discrepancy.list': { prescriber: ['concerned'], pharmacist: ['concerned'] },
  'discrepancy.resolve': { prescriber: ['concerned'], pharmacist: ['concerned'] },

  // Entry bundles and chain heads. Tiles, checkpoints and proofs are public.
  'ledger.read': { auditor: ['none'] },
  'chain.head': { prescriber: ['practice'], pharmacist: ['holder'], patient: ['own'], auditor: ['none'] },
  'receipt.read': {
    prescriber: ['practice', 'author'],
    pharmacist: ['holder', 'author'],
    patient: ['own', 'author'],
    auditor: ['none'],
    administrator: ['author'],
  },
  // Members of a payload may be disclosed by its author's organisation and by its patient, also to an auditor, who then
  // reads them.
  'payload.disclose': { prescriber: ['practice'], pharmacist: ['holder'], patient: ['own'] },
  'disclosure.read': { auditor: ['addressed'] },

  // Keys with which actors sign. They are public on the log chain.
  'actor-key.enrol': { prescriber: ['none'], pharmacist: ['none'] },
  'actor-key.read': { prescriber: ['own'], pharmacist: ['own'], administrator: ['none'] },
  'actor-key.revoke': { prescriber: ['own'], pharmacist: ['own'], administrator: ['none'] },

  'organisation.create': { administrator: ['none'] },
  'account.create': { administrator: ['none'] },
  'account.disable': { administrator: ['none'] },
  'client.create': { administrator: ['none'] },
  'jobs.read': { administrator: ['none'] },
  'jobs.retry': { administrator: ['none'] },
} as const satisfies Record<string, Cells>;

export type Action = keyof typeof TABLE;

export function isAction(name: string): name is Action {
  return Object.hasOwn(TABLE, name);
}

export const ACTIONS: readonly Action[] = Object.keys(TABLE).filter(isAction);

function cell(role: Role, action: Action): readonly Relation[] {
  const cells: Cells = TABLE[action];
  return role === 'system' ? [] : (cells[role] ?? []);
}

/** @returns whether the role may do this to something to which the actor stands in these relations */
export function may(role: Role, action: Action, relations: readonly Relation[] = []): boolean {
  const needed = cell(role, action);
  return needed.includes('none') || needed.some((relation) => relations.includes(relation));
}

/** @returns the relations of which one is needed; if `none` is among them, no relation is needed */
export function relationsFor(role: Role, action: Action): readonly Relation[] {
  return cell(role, action);
}

/** @returns whether there is any relation under which the role may do this */
export function mayEver(role: Role, action: Action): boolean {
  return cell(role, action).length > 0;
}

/** Roles that may do this under some relation; null: every role may. */
export function rolesFor(action: Action): readonly Role[] | null {
  const cells: Cells = TABLE[action];
  const roles = Object.keys(cells) as (keyof Cells)[];
  return roles.length === Object.keys(ANYBODY).length ? null : roles;
}
