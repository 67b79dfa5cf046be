/** Kinds of fault that `verify` reports. */
export type FindingKind = 'missing' | 'tampered';

export interface Finding {
  readonly kind: FindingKind;
  /** Table with the fault, or `head file`, or `export`. */
  readonly table: string;
  /** What identifies the row: log index, chain id, tile … never health data. */
  readonly where: Readonly<Record<string, string | number>>;
  /** The fault in words. */
  readonly what: string;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly log: string;
  /** The key that is trusted. */
  readonly vkey: string;
  /** The key that signs now. It differs from `vkey` when the log has replaced that key, signed by both keys. */
  readonly newestVkey: string;
  /**
   * For each former name of the log, in words: what was continued and how much of it was lost. Oldest first; usually
   * empty.
   */
  readonly continues: readonly string[];
  /** Source of the trusted key. `database` and `export` vouch for themselves, which proves less. */
  readonly vkeyFrom: 'option' | 'keys' | 'database' | 'export';
  /** Whether payloads were opened. For a database, that includes snapshots, read models and requests. */
  readonly payloadsChecked: boolean;
  readonly size: number;
  /** Root of the tree rebuilt from the stored entries, base64. */
  readonly root: string;
  /** Entries with verified bytes, links and place in the tree. */
  readonly entries: number;
  /** Payloads with verified commitment. */
  readonly payloads: number;
  /** Valid signatures of actors. */
  readonly signatures: number;
  /** Chains whose refolded state equals the stored snapshot and read-model rows. */
  readonly chains: number;
  /** Properly erased chains: their entries are verified, their content is gone. */
  readonly erased: number;
  /**
   * Erased chains that a backup could still reveal: a key-encryption key from that time is still in the keys folder.
   * Without a keys folder it is 0.
   */
  readonly incomplete: number;
  readonly missing: number;
  readonly tampered: number;
  /** The first findings, in the order of discovery. */
  readonly findings: readonly Finding[];
}

export interface Progress {
  readonly step: 'entries' | 'chains';
  readonly done: number;
  readonly total: number;
}

/** More than this many findings are counted, not listed. */
const LISTED = 200;

/** Collects findings; each place is listed once. */
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
