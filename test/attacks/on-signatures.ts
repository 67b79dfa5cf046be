/** Attacks on what somebody says who signs, by an operator who has all keys but theirs. */
import type { EventSignature } from '../../src/ledger/core/record/event.js';
import { randomBytes, randomUUID } from 'node:crypto';
import { KEY_ENROLLED, KEY_REVOKED } from '../../src/ledger/log-chain/actor-keys.js';
import { statementOf } from '../../src/ledger/core/record/statement.js';
import { openEvent } from '../../src/ledger/store/payload.js';
import { newSigner, type Signer } from '../support/signer.js';
import { type Attack, MEMORY, payloadAt } from './attack.js';
import { instantOf, itemAt, recordedAt, reworded, rewriting } from './forging.js';
import type { Item } from './operator.js';
import { ORIGIN, type HonestWorld } from './world.js';

/** Appends what `make` gives, recorded at the end of the log, and writes everything that follows from it. */
const appending = (make: (items: readonly Item[], world: HonestWorld) => readonly Item[]): Attack['mutate'] =>
  rewriting((items, world) => [
    ...items,
    ...make(items, world).map((item) => recordedAt(item, instantOf(itemAt(items, world.size - 1)))),
  ]);

const fresh = (item: Item): Item => ({ ...item, index: -1, keyed: false, salt: randomBytes(32) });

/** A report that nobody made, told as `like` tells one, and not signed. */
const forged = (like: Item): Item => {
  const { signature: _signature, ...payload } = JSON.parse(like.text) as Record<string, object>;
  const bare = { ...like, text: JSON.stringify(payload) };
  return fresh(reworded(bare, ({ data }) => ({ data: { ...data, dispenseId: randomUUID() } })));
};

/** Signed by whoever has that key, as if it were the actor's. */
function signedBy(signer: Signer, item: Item): Item {
  const commandId = randomUUID();
  const jws = signer.sign(statementOf(ORIGIN, openEvent(item.text, item.chain, 0), commandId));
  return reworded(item, () => ({ signature: { commandId, jws } }));
}

/** The actor's signature, kept under another commandId, so that it is not seen to be used twice. */
const renamed = (item: Item): Item =>
  reworded(item, ({ signature }) => ({ signature: { ...(signature as object), commandId: randomUUID() } }));

/** What an administrator and the actor never did: the actor's key is revoked, and one of the operator's enrolled. */
function swapped(enrolment: Item, mine: Signer, instant: number): Item[] {
  const { data, actor } = JSON.parse(enrolment.text) as {
    data: { account: string; kid: string };
    actor: object;
  };
  const { account, kid } = data;
  const occurredAt = new Date(instant).toISOString();
  const bare = (type: string, more: object): Item => {
    const { signature: _signature, ...payload } = JSON.parse(enrolment.text) as { signature: EventSignature };
    return fresh(reworded({ ...enrolment, text: JSON.stringify(payload) }, () => ({ type, occurredAt, ...more })));
  };
  const administrator = { id: randomUUID(), org: null, role: 'administrator' };
  return [
    bare(KEY_REVOKED, {
      actor: administrator,
      data: { account, kid, reason: 'lost' },
      derived: { by: 'administrator' },
    }),
    signedBy(mine, bare(KEY_ENROLLED, { actor, data: { account, jwk: mine.jwk, kid: mine.kid } })),
  ];
}

const caughtBy = ['verify', 'actor key'] as const;
const blames = ({ size }: HonestWorld) => payloadAt(size);

export const ON_SIGNATURES: readonly Attack[] = [
  {
    name: 'invent an event in the name of somebody who signs and append it, unsigned',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [forged(itemAt(items, report))]),
    caughtBy,
    blames,
  },
  {
    name: 'invent an event in the name of somebody who signs and append it, signed with a key of the operator',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [signedBy(newSigner(), forged(itemAt(items, report)))]),
    caughtBy,
    blames,
  },
  {
    name: 'replay a signed event',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [fresh(itemAt(items, report))]),
    caughtBy,
    blames,
  },
  {
    name: 'replay a signed event as another command',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [renamed(fresh(itemAt(items, report)))]),
    caughtBy,
    blames,
  },
  {
    name: 'put a signed event on another chain',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report, other] }) => [
      renamed({ ...fresh(itemAt(items, report)), chain: itemAt(items, other).chain }),
    ]),
    caughtBy,
    blames,
  },
  {
    name: 'put a signed event under another type: the report becomes its own reversal',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [
      renamed(reworded(fresh(itemAt(items, report)), () => ({ type: 'dispense.reversed/1', derived: {} }))),
    ]),
    caughtBy,
    blames,
  },
  {
    name: 'invent what would follow from an event of somebody who signs: their order is cancelled',
    form: 'clever',
    line: 'signatures',
    mutate: appending((items, { signed: [report] }) => [
      reworded(forged(itemAt(items, report)), () => ({
        type: 'order.cancelled/1',
        data: {},
        derived: { cause: 'arrived' },
      })),
    ]),
    caughtBy,
    blames,
  },
  {
    // Its two events hold, as far as anybody knows who takes the log chain at its word. They stand there for ever.
    name: "revoke an actor's key as an administrator, enrol another in their name, and sign with that",
    form: 'clever',
    line: "actors' keys",
    mutate: appending((items, { enrolment, signed: [report], size }) => {
      const mine = newSigner();
      const at = instantOf(itemAt(items, size - 1));
      return [...swapped(itemAt(items, enrolment), mine, at), signedBy(mine, forged(itemAt(items, report)))];
    }),
    caughtBy: ['actor key'],
  },
  {
    name: "revoke an actor's key in their name, unsigned",
    form: 'clever',
    line: "actors' keys",
    mutate: appending((items, { enrolment, size }) => {
      const { actor } = JSON.parse(itemAt(items, enrolment).text) as { actor: object };
      const [revocation] = swapped(itemAt(items, enrolment), newSigner(), instantOf(itemAt(items, size - 1)));
      return [reworded(revocation as Item, () => ({ actor, derived: { by: 'self' } }))];
    }),
    caughtBy,
    blames,
  },
  {
    name: 'take the signature off an event',
    form: 'clever',
    line: 'signatures',
    mutate: rewriting((items, { signed: [report] }) =>
      items.map((item) => {
        if (item.index !== report) return item;
        const { signature: _signature, ...payload } = JSON.parse(item.text) as { signature: EventSignature };
        return { ...item, text: JSON.stringify(payload) };
      }),
    ),
    caughtBy: ['verify', ...MEMORY, 'actor key'],
    blames: ({ signed: [report] }) => payloadAt(report),
  },
];
