/** What `verify` says of one place. */
export type FindingKind = 'missing' | 'tampered';

export interface Finding {
  readonly kind: FindingKind;
  /** Table (or `head file`, `export`) that does not hold what it should. */
  readonly table: string;
  /** What identifies the row: log index, chain id, tile … never health data. */
  readonly where: Readonly<Record<string, string | number>>;
  /** What was compared and did not fit. */
  readonly what: string;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly log: string;
  /** The key that is trusted. */
  readonly vkey: string;
  /** The key that signs now: another one when the log has replaced the trusted key, both keys signing that. */
  readonly newestVkey: string;
  /** What the log goes on from under its name, and how much of that was lost, oldest first; of nearly every log nothing. */
  readonly continues: readonly string[];
  /** Who says that this is the log's key. `database` and `export` say it of themselves, which proves less. */
  readonly vkeyFrom: 'option' | 'keys' | 'database' | 'export';
  /** Whether payloads were opened; of a database snapshots, read models and requests with them. */
  readonly payloadsChecked: boolean;
  readonly size: number;
  /** base64; of the tree rebuilt from the stored entries. */
  readonly root: string;
  /** Entries whose bytes, links and place in the tree are verified. */
  readonly entries: number;
  /** Payloads whose commitment is verified. */
  readonly payloads: number;
  /** Actors' signatures that hold. */
  readonly signatures: number;
  /** Chains whose refolded state equals the stored snapshot and read-model rows. */
  readonly chains: number;
  /** Chains that were erased as they may be: their entries are verified, what they said is gone. */
  readonly erased: number;
  /**
   * Of the erased: those of which a backup could still be opened, since a key-encryption key of then is in the keys folder.
   * 0 where no keys are at hand.
   */
  readonly incomplete: number;
  readonly missing: number;
  readonly tampered: number;
  /** The first findings, in the order found. */
  readonly findings: readonly Finding[];
}

export interface Progress {
  readonly step: 'entries' | 'chains';
  readonly done: number;
  readonly total: number;
}

/** More than this many findings are counted, not listed. */
const LISTED = 200;

/** Collects findings; one place is named once. */
export class Findings {
  readonly listed: Finding[] = [];
  missing = 0;
  tampered = 0;
  private readonly seen = new Set<string>();

  add(kind: FindingKind, table: string, place: Finding['where'], what: string): void {
    const where = Object.fromEntries(
      Object.entries(place).map(([name, value]) => [name, Number.isNaN(value) ? 'unreadable' : value]),
    );
    const once = JSON.stringify([table, where, what]);
    if (this.seen.has(once)) return;
    if (kind === 'missing') this.missing++;
    else this.tampered++;
    if (this.listed.length >= LISTED) return;
    this.seen.add(once);
    this.listed.push({ kind, table, where, what });
  }

  get any(): boolean {
    return this.missing + this.tampered > 0;
  }
}
