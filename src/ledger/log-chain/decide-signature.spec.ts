import { describe, expect, it } from 'vitest';
import { newSigner, type Signer } from '../../../test/support/signer.js';
import { type ActorKeys, KEY_ENROLLED, NO_KEYS, withEnrolled, withRevoked } from './actor-keys.js';
import type { Statement } from '../core/record/statement.js';
import { decideSignature } from './decide-signature.js';
import type { Actor, CommandSignature, Decision, NewEvent } from '../model.js';
import { nodeCheck } from '../crypto/node-signature-check.js';

const NOW = Date.UTC(2026, 0, 15, 17);
const AT = new Date(NOW).toISOString();
const ACTOR: Actor = { id: 'doctor', role: 'prescriber', org: 'practice', patient: null };
const [mine, second, stranger] = [newSigner(), newSigner('P-256'), newSigner()];

const enrolled = (signer: Signer, account = 'doctor') => ({ account, jwk: signer.jwk, kid: signer.kid });
const NONE = NO_KEYS;
const ONE = withEnrolled(NO_KEYS, enrolled(mine));
const REVOKED = withRevoked(ONE, { account: 'doctor', kid: mine.kid, reason: 'lost' });
const OTHERS = withEnrolled(ONE, enrolled(stranger, 'somebody'));

const said: NewEvent = { chain: 'rx', type: 'said/1', data: { a: 1 }, derived: {} };
const follows: NewEvent = { chain: 'rx', type: 'follows/1', data: {}, derived: {} };
const enrols = (signer: Signer): NewEvent => ({
  chain: 'log',
  type: KEY_ENROLLED,
  data: enrolled(signer),
  derived: {},
});
const statementFor = (event: NewEvent, over: Partial<Statement> = {}): Statement => ({
  log: 'log',
  chain: event.chain,
  type: event.type,
  actor: { id: 'doctor', org: 'practice', role: 'prescriber' },
  occurredAt: event.occurredAt ?? AT,
  commandId: 'c1',
  data: event.data,
  ...over,
});
const by = (signer: Signer, event: NewEvent, over: Partial<Statement> = {}): CommandSignature => {
  const statement = statementFor(event, over);
  return { jws: signer.sign(statement), occurredAt: statement.occurredAt };
};
const possession = (signature: CommandSignature, signer: Signer, event: NewEvent): CommandSignature => ({
  ...signature,
  possession: signer.sign(statementFor(event)),
});

const signable = ({ type }: NewEvent): boolean => type !== 'follows/1';

function decided(
  keys: ActorKeys,
  events: readonly NewEvent[],
  signature: CommandSignature | null | undefined,
  key: string | null = 'c1',
): Decision {
  const idempotency = key === null ? {} : { idempotency: { client: 'doctor', key, request: '' } };
  const command = { actor: ACTOR, signature, ...idempotency };
  return decideSignature(keys, command, events, signable, 'log', NOW, nodeCheck);
}
const outcome = (decision: Decision): string =>
  'refusal' in decision ? decision.refusal.code : decision.events.map((e) => (e.signature ? 'signed' : 'plain')).join();

const handed = { ...said, occurredAt: '2026-01-10T09:00:00.000Z' };
const again = enrols(second);

describe('the signature of a command', () => {
  it.each<[string, string, ActorKeys, readonly NewEvent[], CommandSignature | null | undefined]>([
    ['who has no key does not sign', 'plain', NONE, [said], undefined],
    ['nor who has none any more', 'plain', REVOKED, [said], undefined],
    ['who has one signs', 'signature.required', ONE, [said], undefined],
    ['but not what follows from it', 'plain', ONE, [follows], undefined],
    ['signed', 'signed', ONE, [said], by(mine, said)],
    ['with what follows', 'plain,signed,plain', ONE, [follows, said, follows], by(mine, said)],
    ['at the instant that the event has', 'signed', ONE, [handed], by(mine, handed)],
    ['at another than it has', 'signature.wrong', ONE, [handed], by(mine, handed, { occurredAt: AT })],
    ['an instant that was not signed', 'signature.wrong', ONE, [handed], { ...by(mine, handed), occurredAt: AT }],
    ['five minutes ago', 'signed', ONE, [said], by(mine, said, { occurredAt: new Date(NOW - 300_000).toISOString() })],
    [
      'a moment longer ago',
      'signature.not-now',
      ONE,
      [said],
      by(mine, said, { occurredAt: new Date(NOW - 300_001).toISOString() }),
    ],
    ['later', 'signature.not-now', ONE, [said], by(mine, said, { occurredAt: new Date(NOW + 300_001).toISOString() })],
    ['at no instant', 'signature.not-now', ONE, [said], { ...by(mine, said), occurredAt: 'x' }],
    ['of another command', 'signature.wrong', ONE, [said], by(mine, said, { commandId: 'c2' })],
    ['of another chain', 'signature.wrong', ONE, [said], by(mine, said, { chain: 'other' })],
    ['of another type', 'signature.wrong', ONE, [said], by(mine, said, { type: 'other/1' })],
    ['of other data', 'signature.wrong', ONE, [said], by(mine, said, { data: { a: 2 } })],
    ['of another log', 'signature.wrong', ONE, [said], by(mine, said, { log: 'other' })],
    ['no JWS', 'signature.malformed', ONE, [said], { jws: 'x', occurredAt: AT }],
    ['with a key that nobody has', 'signature.key-unknown', ONE, [said], by(second, said)],
    ["with somebody else's key", 'signature.key-unknown', OTHERS, [said], by(stranger, said)],
    ['with a revoked key', 'signature.key-revoked', REVOKED, [said], by(mine, said)],
    ['without any key', 'signature.key-unknown', NONE, [said], by(mine, said)],
    ['a first key, unsigned', 'signature.required', NONE, [enrols(mine)], null],
    ['a first key, by itself', 'signed', NONE, [enrols(mine)], by(mine, enrols(mine))],
    ['a first key, by another', 'signature.key-unknown', NONE, [enrols(mine)], by(second, enrols(mine))],
    ['a further key, by itself', 'signature.key-unknown', ONE, [again], by(second, again)],
    ['a further key, only by the first', 'signature.possession-missing', ONE, [again], by(mine, again)],
    ['a further key, by both', 'signed', ONE, [again], possession(by(mine, again), second, again)],
    ['a further key, by the first twice', 'signature.wrong', ONE, [again], possession(by(mine, again), mine, again)],
    [
      'a further key, with an old possession',
      'signature.wrong',
      ONE,
      [again],
      { ...by(mine, again), possession: second.sign(statementFor(again, { commandId: 'c0' })) },
    ],
    ['no possession', 'signature.malformed', ONE, [again], { ...by(mine, again), possession: 'x' }],
  ])('%s: %s', (_, expected, keys, events, signature) => {
    expect(outcome(decided(keys, events, signature))).toBe(expected);
  });

  it('needs an idempotency key', () => {
    expect(outcome(decided(ONE, [said], by(mine, said), null))).toBe('signature.command-id-missing');
    expect(outcome(decided(ONE, [said], undefined, null))).toBe('signature.command-id-missing');
  });

  it('is said exactly when it is needed', () => {
    expect(decided(ONE, [follows, said], undefined)).toEqual({
      refusal: { code: 'signature.required', facts: { statement: statementFor(said) } },
    });
  });

  it('goes into the event as it came, with the instant', () => {
    const early = by(mine, said, { occurredAt: new Date(NOW - 1000).toISOString() });
    expect(decided(ONE, [said], early)).toEqual({
      events: [{ ...said, occurredAt: early.occurredAt, signature: { commandId: 'c1', jws: early.jws } }],
    });
  });

  it('is a fault of ours where there is nothing to sign, or more than one thing', () => {
    expect(() => decided(ONE, [follows], by(mine, said))).toThrow('nothing to sign');
    expect(() => decided(ONE, [said, said], by(mine, said))).toThrow('two events');
  });
});
