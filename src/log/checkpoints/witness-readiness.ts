import { ReadDb } from '../../ledger/read/read-db.js';
import { Inject, Injectable } from '@nestjs/common';
import { Config } from '../../config/config.js';
import { Published } from './published.js';
import { reaches, WITNESS_POLICY, type WitnessPolicy } from './witness-policy.js';
import { ServedCheckpoint } from './served.js';
import { readContacts } from './cosignatures.js';
import { isAlarm } from './witness-client.js';

/** Rounds that may pass before a checkpoint without a quorum is a fault. */
const ROUNDS = 5;
/** Added to them, for rounds that take long. */
const GRACE_MS = 10_000;

/** How witnessing stands. */
export type WitnessingState = {
  /** Writes go on without witnesses, so this part is always up. */
  readonly up: true;
  /** The served checkpoint does not follow the published one, or cannot at the next round; or there is an alarm. */
  readonly degraded: boolean;
  /** A witness has cosigned a tree that is not this log's: it was forked or set back. */
  readonly alarm: boolean;
  /** Entries that are published but not served, for want of a quorum. */
  readonly behind: number;
  /** Age of the oldest published checkpoint beyond the served one; 0 when there is none. */
  readonly behindSeconds: number;
  /** The witnesses whose last answer was no cosignature, each with its code: `w2 unreachable, w3 http-503`. */
  readonly failing: string;
};

@Injectable()
export class Witnessing {
  constructor(
    private readonly config: Config,
    private readonly db: ReadDb,
    private readonly published: Published,
    private readonly served: ServedCheckpoint,
    @Inject(WITNESS_POLICY) private readonly policy: WitnessPolicy | null,
  ) {}

  /** @param now instant, ms. @throws on outage of the database */
  async state(now: number): Promise<WitnessingState> {
    const witnesses = this.policy?.witnesses ?? [];
    const contacts = await readContacts(
      this.db,
      witnesses.map(({ vkey }) => vkey),
    );
    const failures = witnesses.flatMap(({ name, vkey }) => {
      const failure = contacts.find(({ witness }) => witness === vkey)?.failure ?? null;
      return failure === null ? [] : [{ name, vkey, failure }];
    });
    const well = witnesses.filter(({ vkey }) => failures.every((failing) => failing.vkey !== vkey));
    const alarm = failures.some(({ failure }) => isAlarm(failure));
    const newest = (await this.published.newest())?.size ?? 0;
    const size = (await this.served.newestWitnessed())?.size ?? -1;
    const waitingSince = await this.published.firstAfter(size);
    const waitedMs = waitingSince === null ? 0 : Math.max(0, now - waitingSince.publishedAt);
    const patienceMs = ROUNDS * this.config.env.PUBLISH_SECONDS * 1000 + GRACE_MS;
    return {
      up: true,
      degraded: alarm || waitedMs > patienceMs || (this.policy !== null && !reaches(this.policy.policy, well)),
      alarm,
      behind: newest - Math.max(size, 0),
      behindSeconds: Math.floor(waitedMs / 1000),
      failing: failures.map(({ name, failure }) => `${name} ${failure}`).join(', '),
    };
  }
}
