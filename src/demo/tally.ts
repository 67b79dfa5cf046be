import type { Db } from '../database/db.js';
import type { LedgerReader } from '../ledger/ledger.reader.js';
import type { CommittedEvent } from '../ledger/model.js';
import type { Discrepancy } from '../patient/state.js';

/** The content of a ledger, counted from its decrypted events. */
export interface Tally {
  readonly prescriptions: number;
  /** Under a claim or reported. */
  readonly dispenses: number;
  /** Taken or skipped. */
  readonly doses: number;
  /** By class. */
  readonly discrepancies: Readonly<Record<string, number>>;
  readonly resolved: number;
}

export async function tallyOf(reader: LedgerReader, db: Db): Promise<Tally> {
  const chains = await db.query<{ id: string }>('SELECT id FROM chain ORDER BY num');
  const events: CommittedEvent[] = [];
  for (const { id } of chains) events.push(...(await reader.events(id)));
  const of = (...types: string[]) => events.filter(({ type }) => types.includes(type));
  const discrepancies: Record<string, number> = {};
  for (const { data } of of('discrepancy.opened/1')) {
    const { class: kind } = data as Discrepancy;
    discrepancies[kind] = (discrepancies[kind] ?? 0) + 1;
  }
  return {
    prescriptions: of('order.issued/1').length,
    dispenses: of('dispense.recorded/1', 'dispense.reported/1').length,
    doses: of('dose.taken/1', 'dose.skipped/1').length,
    discrepancies,
    resolved: of('discrepancy.resolved/1').length,
  };
}
