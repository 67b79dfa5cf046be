import type { LedgerEvent, Role } from '../../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import { newSigner } from '../../../test/support/signer.js';
import { KEY_ENROLLED, KEY_REVOKED } from '../../ledger/log-chain/actor-keys.js';
import { LOG_CHAIN } from '../../ledger/core/record/entry.js';
import { type LogChain, logModel } from '../../ledger/log-chain/log-chain.js';
import type { Actor, Decision } from '../../ledger/model.js';
import { decideEnrol, decideRevoke, MOST_EVER, MOST_KEYS } from './decide.js';

const actor = (id: string, role: Role = 'prescriber'): Actor => ({ id, role, org: null, patient: null });
const [doctor, pharmacist, admin] = [actor('doctor'), actor('pharmacist', 'pharmacist'), actor('a', 'administrator')];
const [first, second] = [newSigner(), newSigner('P-256')];

type Step = (log: LogChain | null) => Decision;
const enrol =
  (by: Actor, { jwk } = first): Step =>
  (log) =>
    decideEnrol(log, { jwk }, by);
const revoke =
  (by: Actor, { kid } = first): Step =>
  (log) =>
    decideRevoke(log, { kid, reason: 'lost' }, by);

/** The log chain after these steps, none of which may be refused. */
function given(...steps: Step[]): LogChain | null {
  return steps.reduce<LogChain | null>((log, step) => {
    const decision = step(log);
    if ('refusal' in decision) throw new Error(decision.refusal.code);
    return decision.events.reduce<LogChain | null>(
      (state, event) => logModel.evolve(state, event as unknown as LedgerEvent),
      log,
    );
  }, null);
}
const outcome = (decision: Decision): string =>
  'refusal' in decision ? decision.refusal.code : decision.events.map(({ type }) => type).join();

/** That many revoked keys of the doctor. They need not be real keys, as long as they differ. */
const enrolledEver = (count: number): Step[] => [
  () => ({
    events: Array.from({ length: count }, (_, at) => ({ account: doctor.id, kid: `kid-${at}` })).flatMap((key) =>
      [KEY_ENROLLED, KEY_REVOKED].map((type) => ({
        chain: LOG_CHAIN,
        type,
        data: { ...key, jwk: first.jwk },
        derived: {},
      })),
    ),
  }),
];

describe('actors’ keys', () => {
  it.each<[string, Step[], Step, string]>([
    ['a first key', [], enrol(doctor), KEY_ENROLLED],
    ['a further key', [enrol(doctor)], enrol(doctor, second), KEY_ENROLLED],
    ['the same key again', [enrol(doctor)], enrol(doctor), 'actor-key.taken'],
    ["somebody else's key", [enrol(doctor)], enrol(pharmacist), 'actor-key.taken'],
    ['a key that was revoked', [enrol(doctor), revoke(doctor)], enrol(doctor), 'actor-key.revoked'],
    ["somebody else's revoked key", [enrol(doctor), revoke(doctor)], enrol(pharmacist), 'actor-key.taken'],
    ['another after the last was revoked', [enrol(doctor), revoke(doctor)], enrol(doctor, second), KEY_ENROLLED],
    [
      'one too many',
      Array.from({ length: MOST_KEYS }, () => enrol(doctor, newSigner())),
      enrol(doctor),
      'actor-key.too-many',
    ],
    ['one too many of all that were revoked', enrolledEver(MOST_EVER), enrol(doctor), 'actor-key.too-many'],
    ['as many as may be', enrolledEver(MOST_EVER - 1), enrol(doctor), KEY_ENROLLED],
    ['one of somebody else, after that', enrolledEver(MOST_EVER), enrol(pharmacist), KEY_ENROLLED],
    ['one by an administrator', [], enrol(admin), 'access.forbidden'],
    ['one by the system', [], enrol(actor('system', 'system')), 'access.forbidden'],
    ['revoked by its owner', [enrol(doctor)], revoke(doctor), KEY_REVOKED],
    ['revoked by an administrator', [enrol(doctor)], revoke(admin), KEY_REVOKED],
    ['revoked by somebody else', [enrol(doctor)], revoke(pharmacist), 'actor-key.unknown'],
    ['revoked twice', [enrol(doctor), revoke(doctor)], revoke(admin), 'actor-key.revoked'],
    ['revoked before it was enrolled', [], revoke(doctor), 'actor-key.unknown'],
    [
      'a name that every object has',
      [enrol(doctor)],
      revoke(admin, { ...first, kid: 'toString' }),
      'actor-key.unknown',
    ],
  ])('%s', (_, steps, step, expected) => {
    expect(outcome(step(given(...steps)))).toBe(expected);
  });

  it('a revocation says by whom', () => {
    const log = given(enrol(doctor));
    for (const [by, who] of [
      [doctor, 'self'],
      [admin, 'administrator'],
    ] as const)
      expect(revoke(by)(log)).toEqual({
        events: [
          {
            chain: LOG_CHAIN,
            type: KEY_REVOKED,
            data: { account: 'doctor', kid: first.kid, reason: 'lost' },
            derived: { by: who },
          },
        ],
      });
  });

  it('stand in the state by name and by account', () => {
    expect(given(enrol(doctor), enrol(doctor, second), enrol(pharmacist, newSigner()), revoke(admin))).toMatchObject({
      actorKeys: {
        keys: {
          [first.kid]: { account: 'doctor', jwk: null },
          [second.kid]: { account: 'doctor', jwk: second.jwk },
        },
        inForce: { doctor: [second.kid] },
      },
    });
    expect(Object.keys(given(enrol(doctor), revoke(doctor))?.actorKeys.inForce ?? { x: 1 })).toEqual([]);
  });

  it('the log chain takes no event that it does not know', () => {
    for (const type of ['actor-key.enrolled/2', 'toString', 'erased/1'])
      expect(() => logModel.evolve(null, { type, data: {} } as unknown as LedgerEvent)).toThrow('does not know');
  });
});
