import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import type { Db } from '../database/db.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { ReadDb } from '../ledger/read/read-db.js';
import type { Idempotency } from '../ledger/model.js';
import { Vault } from '../ledger/keys/vault.js';
import { type Made, once, sideJob } from './once.js';
import type { NewOrganisation, Organisation } from './people.js';

/** Organisations kept in memory: every prescription needs its issuer's zone, and they are never changed. */
const CACHED = 10_000;

const COLUMNS = 'id, kind, name, zone, npi';

/** Practices and pharmacies. Each is a subject whose key encrypts its staff's data. */
@Injectable()
export class Organisations {
  private readonly known = new Map<string, Organisation>();

  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  create(organisation: NewOrganisation, request?: Idempotency): Promise<Made> {
    const id = randomUUID();
    return sideJob(this.writer, (db) =>
      once(db, this.vault, request, this.clock.now(), async () => {
        await insertOrganisation(db, this.vault, { id, ...organisation });
        return { ref: id };
      }),
    );
  }

  /** Does not wait when it is in memory: every prescription needs it. */
  async find(id: string): Promise<Organisation | null> {
    const cached = this.known.get(id);
    if (cached) return cached;
    const [row] = await this.db.query<Organisation>(`SELECT ${COLUMNS} FROM organisation WHERE id = ?`, [id]);
    if (!row) return null;
    if (this.known.size >= CACHED) this.known.clear();
    this.known.set(id, row);
    return row;
  }

  /**
   * The directory, by id.
   * @param after the last id of the previous page
   */
  async list(
    kind: Organisation['kind'] | undefined,
    after: string | undefined,
    limit: number,
  ): Promise<Organisation[]> {
    const conditions = [...(kind ? ['kind = ?'] : []), ...(after ? ['id > ?'] : [])];
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
    const values = [kind, after].filter((value) => value !== undefined);
    return this.db.query<Organisation>(`SELECT ${COLUMNS} FROM organisation ${where} ORDER BY id LIMIT ?`, [
      ...values,
      limit,
    ]);
  }
}

/** Inserts it with its subject key. Call it inside `writer.side`. */
export async function insertOrganisation(
  db: Db,
  vault: Vault,
  { id, kind, name, zone, npi }: Organisation,
): Promise<void> {
  await vault.newSubject(db, id);
  await db.query(`INSERT INTO organisation (${COLUMNS}) VALUES (?, ?, ?, ?, ?)`, [id, kind, name, zone, npi]);
}
