import type { EventSignature, LedgerEvent } from '../core/record/event.js';
import { KEY_ENROLLED, KEY_REVOKED } from '../log-chain/actor-keys.js';
import { SIGNED_WITHIN_MS } from '../log-chain/decide-signature.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { holdsFor, JwsError, parseDetachedJws } from '../core/record/jws.js';
import { isPublicJwk, type PublicJwk, thumbprint } from '../core/record/public-key.js';
import { statementBytes, statementOf } from '../core/record/statement.js';
import { type LogName, nameAt } from '../read/key-history.js';
import type { ChainModel } from '../model.js';
import { nodeCheck } from '../crypto/node-signature-check.js';
import { nodeHasher } from '../crypto/node-hasher.js';

/** The mark of a revocation by somebody other than the key's owner, by that actor's role. No other role may revoke. */
const REVOKERS: Readonly<Record<string, string>> = { administrator: 'administrator', system: 'restored' };

/** A key with the log indexes of its enrolment and, if any, its revocation. */
interface KeyLife {
  readonly account: string;
  readonly jwk: PublicJwk;
  readonly from: number;
  until: number;
}

/** Consecutive events of one command in an actor's name. */
interface Run {
  readonly chain: string;
  readonly actor: string;
  readonly recordedAt: string;
  next: number;
  /** Types of the run's signed events. */
  readonly signed: Set<string>;
  /** Unsigned events that need a signed event of one of these types beside them. */
  readonly consequences: { readonly index: number; readonly of: readonly string[] }[];
}

/**
 * Checks actors' signatures. Each must match entry and payload, by a key of the actor in force at that log index. The
 * actor must have used its commandId only once. An event must be recorded soon after it was signed, so that an operator
 * cannot keep a signed request back; a handing-over may be older, since its instant is signed. Every event of an actor
 * with a key in force must be signed, or be a consequence of a signed event beside it.
 *
 * Keys come from the log chain, whose events must be taken before all others, or in log order.
 *
 * Whoever holds all of the operator's keys can append an administrator's revocation and enrol a key of their own.
 * Signatures by that key are valid here, but the log chain shows both events to everybody for ever.
 */
export class SignatureAudit {
  /** Valid signatures so far. */
  verified = 0;
  private readonly keys = new Map<string, KeyLife>();
  private readonly keysOf = new Map<string, KeyLife[]>();
  /** Hashes of actor and commandId: about 100 bytes per signed event. */
  private readonly commands = new Set<string>();
  private readonly signable: ReadonlySet<string>;
  private readonly consequences: ReadonlyMap<string, readonly string[]>;
  private run: Run | null = null;

  /**
   * @param names of the log, oldest first
   * @param wrong called with each finding and the log index of the event
   */
  constructor(
    private readonly names: readonly LogName[],
    models: readonly ChainModel[],
    private readonly wrong: (index: number, what: string) => void,
  ) {
    this.signable = new Set(models.flatMap(({ kind, signable = [] }) => signable.map((type) => `${kind} ${type}`)));
    this.consequences = new Map(
      models.flatMap(({ kind, consequences = {} }) =>
        Object.entries(consequences).map(([type, of]) => [`${kind} ${type}`, of] as const),
      ),
    );
  }

  /** @param event from a payload that matches its entry's commitment */
  take(index: number, event: LedgerEvent): void {
    try {
      this.follows(index, event);
      if (event.signature !== undefined) this.check(index, event, event.signature);
      else if (this.mustBeSigned(index, event)) this.wrong(index, 'is not signed, but its actor signs');
      if (event.chain === LOG_CHAIN) this.follow(index, event);
    } catch {
      // Bad content of a payload is a finding, never an exception.
      this.wrong(index, 'has a signature or a key that cannot be read');
    }
  }

  /** After the last event. */
  finish(): void {
    const { signed, consequences } = this.run ?? { signed: new Set(), consequences: [] };
    for (const { index, of } of consequences)
      if (!of.some((type) => signed.has(type))) this.wrong(index, 'follows from nothing that its actor signed');
    this.run = null;
  }

  private follows(index: number, { chain, kind, type, actor, recordedAt, signature }: LedgerEvent): void {
    const { run } = this;
    const joins = run?.next === index && run.chain === chain && run.actor === actor.id && run.recordedAt === recordedAt;
    if (!joins) {
      this.finish();
      this.run = { chain, actor: actor.id, recordedAt, next: index, signed: new Set(), consequences: [] };
    }
    const now = this.run as Run;
    now.next++;
    const of = this.consequences.get(`${kind} ${type}`);
    if (signature !== undefined) now.signed.add(type);
    else if (of && this.inForce(actor.id, index).length > 0) now.consequences.push({ index, of });
  }

  private mustBeSigned(index: number, { kind, type, actor }: LedgerEvent): boolean {
    if (!this.signable.has(`${kind} ${type}`)) return false;
    return type === KEY_ENROLLED || this.inForce(actor.id, index).length > 0;
  }

  /**
   * The account's keys that were enrolled before that index and not revoked before it. A revocation itself may be
   * signed by the key that it ends.
   */
  private inForce(account: string, index: number): KeyLife[] {
    return (this.keysOf.get(account) ?? []).filter(({ from, until }) => from < index && index <= until);
  }

  private check(index: number, event: LedgerEvent, { commandId, jws, possession }: EventSignature): void {
    const once = Buffer.from(nodeHasher.hmac(Buffer.from(event.actor.id), commandId)).toString('latin1');
    if (this.commands.has(once)) this.wrong(index, 'repeats a commandId of its actor');
    this.commands.add(once);
    const bytes = statementBytes(statementOf(nameAt(this.names, index), event, commandId));
    const mine = this.inForce(event.actor.id, index);
    const { kid } = parsed(jws);
    const enrolled = event.type === KEY_ENROLLED && isPublicJwk(event.data['jwk']) ? event.data['jwk'] : null;
    // The first key signs its own enrolment. A further key is enrolled with the signature of a key in force, and proves
    // its possession separately.
    const first = enrolled && mine.length === 0 && kid === thumbprint(enrolled) ? enrolled : null;
    const key = first ?? mine.find((each) => this.keys.get(kid) === each)?.jwk;
    if (!key) return this.wrong(index, 'is signed with a key that was not in force');
    const holds =
      holdsFor(parsed(jws), key, bytes, nodeCheck) &&
      (!enrolled || first !== null || (possession !== undefined && shows(enrolled, possession, bytes)));
    if (!holds) this.wrong(index, 'has a signature that does not hold');
    else if (!isOfItsTime(event)) this.wrong(index, 'was recorded at another time than it was signed for');
    else this.verified++;
  }

  private follow(index: number, { type, data, derived, actor }: LedgerEvent): void {
    const { account, kid, jwk } = data;
    if (type === KEY_ENROLLED) {
      if (!isPublicJwk(jwk) || kid !== thumbprint(jwk) || account !== actor.id || this.keys.has(kid))
        return this.wrong(index, 'does not enrol a new key of its actor');
      const life = { account, jwk, from: index, until: Number.POSITIVE_INFINITY };
      this.keys.set(kid, life);
      this.keysOf.set(account, [...(this.keysOf.get(account) ?? []), life]);
    }
    if (type === KEY_REVOKED) {
      const life = typeof kid === 'string' ? this.keys.get(kid) : undefined;
      const by = account === actor.id ? 'self' : REVOKERS[actor.role];
      if (!life || life.account !== account || life.until < index || by === undefined || derived['by'] !== by)
        return this.wrong(index, 'does not revoke a key in force, or its actor may not');
      life.until = index;
    }
  }
}

/** A handing-over may be recorded late: its instant is part of the signed statement. */
function isOfItsTime({ occurredAt, recordedAt, data }: LedgerEvent): boolean {
  if (data['whenHandedOver'] === occurredAt) return true;
  return Math.abs(Date.parse(occurredAt) - Date.parse(recordedAt)) <= SIGNED_WITHIN_MS;
}

function parsed(text: unknown): ReturnType<typeof parseDetachedJws> {
  if (typeof text !== 'string') throw new JwsError('not a text');
  return parseDetachedJws(text);
}

function shows(jwk: PublicJwk, possession: unknown, bytes: Uint8Array): boolean {
  const jws = parsed(possession);
  return jws.kid === thumbprint(jwk) && holdsFor(jws, jwk, bytes, nodeCheck);
}
