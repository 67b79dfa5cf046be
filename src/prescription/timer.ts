/** What time alone does to a prescription: the first fill day comes, validity ends. */
import { accept, type Decision, type NewEvent } from '../ledger/model.js';
import type { Context } from './context.js';
import type { IssueExpired, IssueReadied, NewEventOf } from './events.js';
import type { Prescription } from './state.js';
import { currentIssue, isClosed, isDue, isPastValidity } from './queries.js';

/**
 * @returns `issue.readied/1` when the first fill day of the current issue has come; `issue.expired/1` for each
 * issue that is not closed when validity has passed; no event when nothing is due
 */
export function decideTimer(rx: Prescription, ctx: Context): Decision<never> {
  if (!rx.order || rx.status !== 'active') return accept();
  if (isPastValidity(rx.order, ctx.now)) return accept(...expireAll(rx, ctx.chain));
  const current = currentIssue(rx);
  return current && isDue(current, rx.order, ctx.now) ? accept(readied(current.number, ctx.chain)) : accept();
}

/** The end of validity, for every issue that is not closed. */
export function expireAll(rx: Prescription, chain: string): NewEvent[] {
  return rx.issues
    .filter((issue) => !isClosed(issue))
    .map(({ number }): NewEventOf<IssueExpired> => ({
      chain,
      type: 'issue.expired/1',
      data: { issue: number },
      derived: {},
    }));
}

export function readied(issue: number, chain: string): NewEventOf<IssueReadied> {
  return { chain, type: 'issue.readied/1', data: { issue }, derived: {} };
}
