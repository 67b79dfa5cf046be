import type { LedgerEvent } from '../core/record/event.js';
import { expect, it } from 'vitest';
import { newSigner } from '../../../test/support/signer.js';
import { CHAIN_MODELS } from '../../chain-models.js';
import { KEY_ENROLLED } from '../log-chain/actor-keys.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { statementOf } from '../core/record/statement.js';
import { SignatureAudit } from './signatures.js';

const ORIGIN = 'log.example/signatures';
const CHAIN = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02';
const INSTANT = '2026-01-22T15:00:00.000Z';
const signer = newSigner();
const minutes = (after: number): string => new Date(Date.parse(INSTANT) + after * 60_000).toISOString();

let commands = 0;
const event = (type: string, over: Partial<LedgerEvent> = {}): LedgerEvent => ({
  kind: 'prescription',
  chain: CHAIN,
  seq: 0,
  type,
  data: {},
  derived: {},
  actor: { id: 'who-signs', org: null, role: 'prescriber' },
  occurredAt: INSTANT,
  recordedAt: INSTANT,
  ...over,
});
function signed(given: LedgerEvent): LedgerEvent {
  const commandId = `command-${commands++}`;
  return { ...given, signature: { commandId, jws: signer.sign(statementOf(ORIGIN, given, commandId)) } };
}
const { jwk, kid } = signer;
const enrolment = event(KEY_ENROLLED, { kind: 'log', chain: LOG_CHAIN, data: { account: 'who-signs', jwk, kid } });

/** Log indexes of the findings in a log of an enrolment and these events. */
function found(...events: LedgerEvent[]): number[] {
  const indexes: number[] = [];
  const audit = new SignatureAudit([{ origin: ORIGIN, from: 0 }], CHAIN_MODELS, (index) => indexes.push(index));
  for (const [index, each] of [signed(enrolment), ...events].entries()) audit.take(index, each);
  audit.finish();
  return indexes;
}

const others = { actor: { id: 'who-does-not', org: null, role: 'prescriber' as const } };
const cancelled = event('order.cancelled/1');

it.each<[string, LedgerEvent[], number[]]>([
  ['a signed release, and the cancel that waited', [signed(event('dispense.released/1')), cancelled], []],
  [
    'a first fill day that has come, and the signed claim',
    [event('issue.readied/1'), signed(event('dispense.claimed/1'))],
    [],
  ],
  ['a cancel beside nothing', [cancelled], [1]],
  ['a cancel beside a claim, which applies none', [signed(event('dispense.claimed/1')), cancelled], [2]],
  ['an end of validity beside an order', [signed(event('order.issued/1')), event('issue.expired/1')], [2]],
  [
    'a cancel at another instant',
    [signed(event('dispense.released/1')), { ...cancelled, recordedAt: '2026-01-22T15:00:00.001Z' }],
    [2],
  ],
  ['an order that was signed five minutes before', [signed(event('order.issued/1', { recordedAt: minutes(5) }))], []],
  ['one that was kept back for longer', [signed(event('order.issued/1', { recordedAt: minutes(6) }))], [1]],
  ['one that was signed for later', [signed(event('order.issued/1', { recordedAt: minutes(-6) }))], [1]],
  ['one that was recorded at no time', [signed(event('order.issued/1', { recordedAt: 'never' }))], [1]],
  [
    'a report of what was handed over long ago',
    [signed(event('dispense.reported/1', { recordedAt: minutes(600), data: { whenHandedOver: INSTANT } }))],
    [],
  ],
  [
    'a report under another instant than it names',
    [signed(event('dispense.reported/1', { recordedAt: minutes(600), data: { whenHandedOver: minutes(1) } }))],
    [1],
  ],
  ['an order that was not signed', [event('order.issued/1')], [1]],
  ['an import in the name of who signs', [event('order.imported/1')], [1]],
  [
    'all of that by somebody who does not sign',
    [event('order.imported/1', others), event('order.cancelled/1', others)],
    [],
  ],
])('%s', (_, events, indexes) => {
  expect(found(...events)).toEqual(indexes);
});
