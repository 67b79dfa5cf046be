import { insertOrganisation } from '../identity/organisations.js';
import type { ImportTarget } from './target.js';

/** The issuers of an import. Organisations get a row, so that people see their names. */
export class ImportOrganisations {
  private readonly zones = new Map<string, Promise<string>>();

  constructor(
    private readonly ledger: ImportTarget,
    private readonly zone: string,
  ) {}

  /**
   * The zone of an issuer's legal dates.
   * @param name null when the issuer has none, or is a person, whose name must not be stored unencrypted
   */
  zoneOf(issuer: string, name: string | null): Promise<string> {
    const known = this.zones.get(issuer) ?? this.take(issuer, name);
    this.zones.set(issuer, known);
    return known;
  }

  private async take(issuer: string, name: string | null): Promise<string> {
    const known = await this.known(this.ledger.db, issuer);
    if (known !== null || name === null) return known ?? this.zone;
    const made = this.ledger.writer.side?.(async (db) => {
      const there = await this.known(db, issuer);
      if (there !== null) return there;
      await insertOrganisation(db, this.ledger.vault, {
        id: issuer,
        kind: 'practice',
        name,
        zone: this.zone,
        npi: null,
      });
      return this.zone;
    });
    return (await made) ?? this.zone;
  }

  private async known(db: ImportTarget['reader']['db'], issuer: string): Promise<string | null> {
    const [row] = await db.query<{ zone: string }>('SELECT zone FROM organisation WHERE id = ?', [issuer]);
    return row?.zone ?? null;
  }
}
