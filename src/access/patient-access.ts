import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import { may, type Relation } from '../identity/guard/policy.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { ReadDb } from '../ledger/read/read-db.js';
import type { Actor } from '../ledger/model.js';
import { AccessLog } from '../patient/access-log.js';
import { patientModel } from '../patient/chain-model.js';
import type { Patient } from '../patient/state.js';
import { Clock } from '../time/clock.js';
import { relationsToPatientChain } from './related-chains.js';
import { isGranted } from './relations.js';

/** Reads patients for people: checks their relation to each, and records who read. */
@Injectable()
export class PatientAccess {
  constructor(
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly accessLog: AccessLog,
    private readonly clock: Clock,
  ) {}

  /** @throws {RefusalException} as if there were none, without a relation */
  async read(actor: Actor, id: string): Promise<Patient> {
    const view = await this.reader.chain(id, patientModel);
    if (!view || view.state.enrolledAt === null) throw new RefusalException(AS_IF_ABSENT);
    const relations = await this.relations(actor, view.number);
    if (isGranted(view.state, actor, this.clock.now())) relations.push('granted');
    if (!may(actor.role, 'patient.read', relations)) throw new RefusalException(AS_IF_ABSENT);
    this.accessLog.record(actor, 'patient.read', id, [id]);
    return view.state;
  }

  private async relations(actor: Actor, chain: number): Promise<Relation[]> {
    const asked = relationsToPatientChain(actor);
    if (!asked) return [];
    const [row] = await this.db.query<Partial<Record<Relation, number>>>(
      `SELECT ${asked.sql.text} FROM chain c WHERE c.num = ?`,
      [...asked.sql.values, chain],
    );
    return asked.relations.filter((relation) => row?.[relation] === 1);
  }
}
