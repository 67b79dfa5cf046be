import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { Clock } from '../../time/clock.js';
import type { Db } from '../../database/db.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import type { Idempotency } from '../../ledger/model.js';
import { Vault } from '../../ledger/keys/vault.js';
import { insertAccount, LIVING_ACCOUNT } from '../accounts/accounts.js';
import { EXAMPLE_JWKS, type Jwks, jwks, type NewJwks, newJwks, withKeyIds } from './client-keys.js';
import { type Made, once, sideJob } from '../once.js';
import { account, name, organisationId } from '../people.js';

const system = { name: name.describe('as others see it; stored encrypted'), jwks: newJwks };

/**
 * Roles that a machine may have: that of a follower, and those of the system of a practice or pharmacy, which is
 * responsible for it. Patients and administrators must act in person: a key stored on a server must not be able to make
 * accounts.
 */
export const newClient = z
  .discriminatedUnion('role', [
    z.strictObject({ ...system, role: z.literal('auditor') }),
    z.strictObject({ ...system, role: z.literal('prescriber'), org: organisationId.describe('a practice') }),
    z.strictObject({ ...system, role: z.literal('pharmacist'), org: organisationId.describe('a pharmacy') }),
  ])
  .meta({
    id: 'NewClient',
    title: 'NewClient',
    example: { role: 'auditor', name: 'Follower of the state board', jwks: EXAMPLE_JWKS },
  });
export type NewClient = z.output<typeof newClient>;

export const client = account
  .pick({ id: true, name: true, role: true, org: true, disabled: true })
  .extend({ jwks })
  .meta({ id: 'Client', title: 'Client' });
export type Client = z.output<typeof client>;

interface ClientRow {
  id: string;
  name: Buffer;
  role: Client['role'];
  org: string | null;
  disabled: number;
  keys: Buffer;
}

const SELECT = `SELECT a.id, a.name, a.role, a.org, a.disabled, c.keys FROM ${LIVING_ACCOUNT} JOIN client c ON c.id = a.id`;
const NIL = '00000000-0000-0000-0000-000000000000';

/**
 * Machines that may sign in: accounts without a password, with their id as user name, and their public keys. The keys
 * are encrypted like the name. So whoever can write to the database but has no keys folder cannot insert keys of their
 * own.
 */
@Injectable()
export class Clients {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  async create({ jwks: sent, ...given }: NewClient, request?: Idempotency): Promise<Made> {
    const id = randomUUID();
    const keys = await withKeyIds(sent);
    const stored = { id, account: { ...given, username: id }, password: null, demo: false };
    return sideJob(this.writer, (db) =>
      once(db, this.vault, request, this.clock.now(), async () => {
        const made = await insertAccount(db, this.vault, stored, this.clock.now());
        if ('refusal' in made) return made;
        const sealed = await this.sealKeys(db, { id, org: 'org' in given ? given.org : null }, keys);
        await db.query('INSERT INTO client (id, keys) VALUES (?, ?)', [id, sealed]);
        return made;
      }),
    );
  }

  /** Assertions by the previous keys are refused from now on. Tokens issued for them expire by themselves. */
  async replaceKeys(id: string, sent: NewJwks, request?: Idempotency): Promise<Made> {
    const keys = await withKeyIds(sent);
    return sideJob(this.writer, (db) =>
      once(db, this.vault, request, this.clock.now(), async () => {
        const [known] = await db.query<ClientRow>(`${SELECT} WHERE a.id = ?`, [id]);
        if (!known) return { refusal: { code: 'identity.client-unknown', facts: {} } };
        await db.query('UPDATE client SET keys = ? WHERE id = ?', [await this.sealKeys(db, known, keys), id]);
        return { ref: id };
      }),
    );
  }

  async find(id: string): Promise<Client | null> {
    const [row] = await this.db.query<ClientRow>(`${SELECT} WHERE a.id = ?`, [id]);
    return row ? this.open(row) : null;
  }

  /** All clients, including disabled ones, by id. @param after the last id of the previous page */
  async list(after: string | undefined, limit: number): Promise<Client[]> {
    const rows = await this.db.query<ClientRow>(`${SELECT} WHERE a.id > ? ORDER BY a.id LIMIT ?`, [
      after ?? NIL,
      limit,
    ]);
    return Promise.all(rows.map((row) => this.open(row)));
  }

  private async sealKeys(db: Db, { id, org }: { id: string; org: string | null }, keys: Jwks): Promise<Buffer> {
    const key = await this.vault.subjectKey(db, org ?? id);
    return this.vault.seal(key, id, 'keys', JSON.stringify(keys));
  }

  private async open(row: ClientRow): Promise<Client> {
    const { db } = this;
    const key = await this.vault.subjectKey(db, row.org ?? row.id);
    return {
      id: row.id,
      name: this.vault.open(key, row.id, 'name', row.name),
      role: row.role,
      org: row.org,
      disabled: row.disabled !== 0,
      jwks: await openKeys(db, this.vault, row),
    };
  }
}

/** @throws {VaultError} when the stored keys are not those sealed for this client */
export async function openKeys(
  db: Db,
  vault: Vault,
  { id, org, keys }: { id: string; org: string | null; keys: Buffer },
): Promise<Jwks> {
  return jwks.parse(JSON.parse(vault.open(await vault.subjectKey(db, org ?? id), id, 'keys', keys)));
}
