import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { record, type Recorded, recordOn } from '../http/write/record.js';
import { may } from '../identity/guard/policy.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor } from '../ledger/model.js';
import { isConflict } from '../database/db.js';
import { AccessLog } from './access-log.js';
import { type AccessPage, LOOKED_THROUGH, pageOfAccesses, positionOf } from './accesses.js';
import { decideBreakGlass, decideEnrol, type EnrolPatient } from './decide.js';
import { patientIdentifier, patientModel } from './chain-model.js';
import type { Identifier, Patient } from './state.js';

const alreadyEnrolled = () => new RefusalException({ code: 'patient.already-enrolled', facts: {} });

@Injectable()
export class PatientService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly accessLog: AccessLog,
  ) {}

  /** Enrols a patient. Each identifier can be used once: `patient.already-enrolled` when one is known. */
  async enrol(by: By, patient: Omit<EnrolPatient, 'source'>): Promise<Recorded<Patient>> {
    const id = randomUUID();
    const [first, ...others] = patient.identifiers;
    if (!first) throw new Error('a patient needs an identifier');
    // The writer checks only the first identifier. The unique index would report the others only as an error.
    for (const other of others) {
      const known = await this.reader.byName(patientIdentifier(other));
      if (known !== null && known !== (await this.reader.byName(patientIdentifier(first)))) throw alreadyEnrolled();
    }
    const otherwise = { id, model: patientModel, mode: 'new', subject: { newSubject: id } } as const;
    try {
      return await record(this.writer, by, [{ name: patientIdentifier(first), otherwise }], ([known], context) =>
        decideEnrol(known, { ...patient, source: null }, context),
      );
    } catch (error) {
      // Another enrolment used one of the identifiers meanwhile.
      if (isConflict(error)) throw alreadyEnrolled();
      throw error;
    }
  }

  /** The patient with that identifier; null when there is none. The search is recorded for the patient. */
  async search(actor: Actor, identifier: Identifier): Promise<Patient | null> {
    const id = await this.reader.byName(patientIdentifier(identifier));
    const view = id === null ? null : await this.reader.chain(id, patientModel);
    if (!view) return null;
    this.accessLog.record(actor, 'patient.search', view.id, [view.id]);
    return view.state;
  }

  /** Access without a relation: it is recorded before any data is shown (design 7). */
  breakGlass(by: By, id: string, reason: string): Promise<Recorded<Patient>> {
    return recordOn(this.writer, by, patientModel, id, (patient, context) =>
      decideBreakGlass(patient, { reason }, context),
    );
  }

  /**
   * Who read this patient's data, newest first. A page may hold fewer records than its limit and still not be the last.
   * @param after `next` of the previous page
   */
  async accesses(
    actor: Actor,
    id: string,
    { after, limit }: { after?: string | undefined; limit: number },
  ): Promise<AccessPage> {
    if (!may(actor.role, 'access.read', actor.patient === id ? ['own'] : [])) throw new RefusalException(AS_IF_ABSENT);
    if (after === undefined) await this.accessLog.flush();
    const { seq, from } = positionOf(after);
    const events = await this.reader.latestEvents(id, seq, LOOKED_THROUGH);
    return pageOfAccesses(events, { from, limit, ended: events.length < LOOKED_THROUGH });
  }
}
