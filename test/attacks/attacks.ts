import type { Attack } from './attack.js';
import { ON_ENTRIES } from './on-entries.js';
import { ON_ERASURE } from './on-erasure.js';
import { ON_PAYLOADS } from './on-payloads.js';
import { ON_SERVING } from './on-serving.js';
import { ON_THE_KEY } from './on-the-key.js';
import { ON_THE_LOG } from './on-the-log.js';
import { ON_SIGNATURES } from './on-signatures.js';
import { type Party, PARTY_NAMES } from './parties.js';

export const ATTACKS: readonly Attack[] = [
  ...ON_ENTRIES,
  ...ON_PAYLOADS,
  ...ON_ERASURE,
  ...ON_THE_LOG,
  ...ON_SERVING,
  ...ON_THE_KEY,
  ...ON_SIGNATURES,
];

/** A row of the table, as the README may show it. */
export interface AttackRow {
  readonly attack: string;
  readonly form: Attack['form'];
  readonly caughtBy: readonly Party[];
  /** The parties that see nothing: without those in `caughtBy` nobody does. */
  readonly notSeenBy: readonly Party[];
  /** For what no party sees yet: who will. */
  readonly waitsFor: string | null;
}

/** Every attack of the suite with who catches it, both sides of which the suite checks. */
export function attackTable(): readonly AttackRow[] {
  return ATTACKS.map(({ name, form, caughtBy, waitsFor = null }) => ({
    attack: name,
    form,
    caughtBy: PARTY_NAMES.filter((party) => caughtBy.includes(party)),
    notSeenBy: PARTY_NAMES.filter((party) => !caughtBy.includes(party)),
    waitsFor,
  }));
}
