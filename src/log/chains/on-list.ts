/** Members of a payload, as far as they are shown. */
export type ShownMembers = Readonly<Record<string, unknown>>;

/**
 * Whether what is shown of an event says that its chain has no place on a list of that owner, the counterpart of
 * `related-chains.ts`: the log's own chain is nobody's, a patient's chain is on that patient's list alone, and a report
 * about somebody else's order makes a pharmacy no holder of it. False where nothing shown says so.
 * @param owner of the list, a patient's or an organisation's id
 */
export function hasNoPlaceOn(owner: string, chain: string, { kind, type, actor }: ShownMembers): boolean {
  if (kind === 'log') return true;
  if (kind === 'patient') return chain !== owner;
  return kind === 'prescription' && type === 'dispense.reported/1' && orgOf(actor) === owner;
}

function orgOf(actor: unknown): unknown {
  return typeof actor === 'object' && actor !== null && 'org' in actor ? actor.org : undefined;
}
