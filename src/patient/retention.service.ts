import { decideErase, decidePlaceHold, decideReleaseHold } from './decide-holds.js';
import type { Receipt } from '../ledger/core/record/receipt.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Db, isConflict } from '../database/db.js';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { type Recorded, recordOn } from '../http/write/record.js';
import { recall } from '../identity/once.js';
import { Tokens } from '../identity/guard/tokens.js';
import type { Erased } from '../ledger/commit/erasure-batch.js';
import { Clock } from '../time/clock.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { type Idempotency, SYSTEM } from '../ledger/model.js';
import { rememberMade } from '../ledger/rows/made-requests.js';
import { disclosed, openEvent, splitPayload } from '../ledger/store/payload.js';
import { Vault } from '../ledger/keys/vault.js';
import { type EraseReason, type Hold, type HoldPlaced, type HoldReleased } from './holds.js';
import { patientModel } from './chain-model.js';
import type { Patient } from './state.js';

export interface ErasedPatient {
  /** How many chains were ended. */
  readonly chains: number;
  /** Whether every key-encryption key is gone that could open a backup's copy. */
  readonly complete: boolean;
  /** The receipt, with payload, of the event that ended each chain. It holds nothing personal. */
  readonly receipts: readonly Receipt[];
}

/** Retention holds, and the erasure of a patient's record. An administrator sees nothing else of the record. */
@Injectable()
export class RetentionService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly tokens: Tokens,
    private readonly clock: Clock,
  ) {}

  /** The recorded event holds the hold's id. */
  place(by: By, id: string, hold: Omit<HoldPlaced['data'], 'holdId'>): Promise<Recorded<Patient>> {
    const command = { ...hold, holdId: randomUUID() };
    return recordOn(this.writer, by, patientModel, id, (patient, context) =>
      decidePlaceHold(patient, command, context),
    );
  }

  release(by: By, id: string, command: HoldReleased['data']): Promise<Recorded<Patient>> {
    return recordOn(this.writer, by, patientModel, id, (patient, context) =>
      decideReleaseHold(patient, command, context),
    );
  }

  /**
   * All holds that were ever placed, oldest first.
   * @throws {RefusalException} when no patient with this id is enrolled
   */
  async holds(id: string): Promise<readonly Hold[]> {
    const view = await this.reader.chain(id, patientModel);
    if (!view?.state.enrolledAt) throw new RefusalException(AS_IF_ABSENT);
    return view.state.holds;
  }

  /**
   * Erases the patient (design 3): all their chains, and the records of provisional patients whose chains were matched
   * to them. A repeated request gets the same answer, although the patient is gone.
   * @throws {RefusalException} `patient.on-hold`, `ledger.chain-unknown` (also once erased), `idempotency.key-reused`
   * @throws {LedgerUnavailable} also when the erasure is committed but not yet in the file of erased subjects: repeat
   * the request
   */
  async erase({ actor, idempotency: request }: By, id: string, reason: EraseReason): Promise<ErasedPatient> {
    const repeated = await this.repeated(id, request);
    if (repeated) return repeated;
    try {
      const outcome = await this.writer.erase(id, actor, {
        reason,
        decide: async (db, own, now) =>
          decideErase(own as Patient | null, { now, actor }) ?? { also: await formerSubjects(db, id) },
        remember: async (db) => {
          if (request) await rememberMade(db, this.vault, request, id, this.clock.now());
        },
      });
      if (outcome.ok) return await this.tell(outcome);
      // Another process may have carried out the same request meanwhile.
      const twin = await this.repeated(id, request);
      if (twin) return twin;
      throw new RefusalException(outcome.refusal);
    } catch (error) {
      // Another request may have used the same key meanwhile: then this one is refused.
      const twin = isConflict(error) ? await this.repeated(id, request) : null;
      if (twin) return twin;
      throw error;
    } finally {
      this.tokens.forgetPatient(id);
    }
  }

  /**
   * The answer to a repeated request, made from the stored data; null when the request is new.
   * @throws {RefusalException} `idempotency.key-reused`
   */
  private async repeated(id: string, request: Idempotency | undefined): Promise<ErasedPatient | null> {
    const known = request && (await recall(this.db, this.vault, request));
    if (!known) return null;
    if ('refusal' in known) throw new RefusalException(known.refusal);
    // The writer makes sure that the erasure is in the file of erased subjects. The decision refuses to erase a patient
    // who still exists.
    const outcome = await this.writer.erase(id, SYSTEM, {
      decide: (_, own) => Promise.resolve(own === null ? { also: [] } : { refusal: AS_IF_ABSENT }),
    });
    if (!outcome.ok) throw new RefusalException(outcome.refusal);
    return this.tell(outcome);
  }

  private async tell({ first, chains }: Erased): Promise<ErasedPatient> {
    const rows = await this.db.query<{ idx: number; body: Buffer }>(
      'SELECT idx, body FROM payload WHERE idx >= ? AND idx < ? ORDER BY idx',
      [first, first + chains],
    );
    const receipts: Receipt[] = [];
    for (const { idx, body } of rows) receipts.push({ ...(await this.reader.receipt(idx)), ...disclosed(body) });
    // All chains of one erasure name the same key-encryption key, so the keys folder is read only once.
    const keks = new Set(rows.map(({ body }) => openEvent(splitPayload(body).text, '', 0).derived['kek']));
    const complete = [...keks].every((kek) => typeof kek === 'string' && !this.vault.keks.holdsUpTo(kek));
    return { chains, complete, receipts };
  }
}

/**
 * Provisional patients whose only remaining records are discrepancies about chains that were since matched to this
 * patient.
 */
async function formerSubjects(db: Db, patient: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT DISTINCT s.id FROM discrepancy_row d JOIN chain p ON p.num = d.chain JOIN subject s ON s.num = p.subject
     WHERE s.id <> ? AND d.about IN
         (SELECT CAST(c.id AS text) FROM chain c JOIN subject o ON o.num = c.subject WHERE o.id = ?)
       AND NOT EXISTS (SELECT 1 FROM patient_row r WHERE r.chain = p.num)
       AND NOT EXISTS (SELECT 1 FROM chain x WHERE x.subject = s.num AND x.kind <> 'patient')`,
    [patient, patient],
  );
  return rows.map(({ id }) => id);
}
