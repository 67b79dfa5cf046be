import { randomUUID } from 'node:crypto';
import { isConflict } from '../database/db.js';
import { decideEnrol } from '../patient/decide.js';
import { firstState } from '../ledger/model.js';
import { patientIdentifier, patientModel } from '../patient/chain-model.js';
import type { Identifier, PatientEnrolled } from '../patient/state.js';
import { indexed, type PatientRecord } from './index-of-resources.js';
import type { Item } from './parse.js';
import { toEnrolment } from './patient.js';
import { Refusal } from './reasons.js';
import { IMPORT_ACTOR, type ImportTarget } from './target.js';

/** A patient of this import: the chain, or the reason of refusal. */
type Known = { readonly birthDate: string | null; readonly chain: Promise<string | Refusal> };

/** Finds the patients of an import, or enrols them. Records that share an identifier are the same patient. */
export class ImportPatients {
  /** By one identifier. */
  private readonly byIdentifier = new Map<string, Known>();
  /** By all indexed data of a Patient resource. */
  private readonly byRecord = new Map<string, Promise<string | Refusal>>();
  enrolled = 0;
  alreadyThere = 0;

  constructor(private readonly ledger: ImportTarget) {}

  /** @returns the reason when the patient is refused */
  async take(item: Item): Promise<Refusal | null> {
    const record = indexed(item.resource, item.file, item.fullUrl);
    if (record?.type !== 'Patient') return null;
    const chain = this.chain(item);
    this.byRecord.set(keyOf(record), chain);
    const outcome = await chain;
    return outcome instanceof Refusal ? outcome : null;
  }

  /** The chain of an accepted patient; null when the patient was refused. */
  async chainOf(record: PatientRecord): Promise<string | null> {
    const chain = await this.byRecord.get(keyOf(record));
    return typeof chain === 'string' ? chain : null;
  }

  private chain(item: Item): Promise<string | Refusal> {
    const result = toEnrolment(item);
    if (!result.ok) return Promise.resolve(new Refusal(result.reason));
    const { identifiers, birthDate } = result.data;
    const keys = identifiers.map(({ system, value }) => JSON.stringify([system, value]));
    const known = new Set(keys.flatMap((key) => this.byIdentifier.get(key) ?? []));
    if (known.size > 1) return Promise.resolve(new Refusal('import.patient-ambiguous'));
    const [same] = known;
    if (same && differ(same.birthDate, birthDate)) return Promise.resolve(new Refusal('import.patient-conflict'));
    const entry = same ?? { birthDate, chain: this.findOrEnrol(result.data) };
    for (const key of keys) this.byIdentifier.set(key, entry);
    return entry.chain;
  }

  private async findOrEnrol(data: PatientEnrolled['data']): Promise<string | Refusal> {
    const there = (await this.find(data.identifiers, data.birthDate)) ?? (await this.enrol(data));
    // Another process may have enrolled the patient in between.
    return there ?? (await this.find(data.identifiers, data.birthDate)) ?? new Refusal('import.patient-refused');
  }

  private async find(identifiers: readonly Identifier[], birthDate: string | null): Promise<string | Refusal | null> {
    const chains = new Set<string>();
    for (const identifier of identifiers) {
      const chain = await this.ledger.reader.byName(patientIdentifier(identifier));
      if (chain) chains.add(chain);
    }
    const [id] = chains;
    if (id === undefined) return null;
    if (chains.size > 1) return new Refusal('import.patient-ambiguous');
    const view = await this.ledger.reader.chain(id, patientModel);
    if (!view) return new Refusal('import.patient-refused');
    if (differ(view.state.birthDate, birthDate)) return new Refusal('import.patient-conflict');
    this.alreadyThere += 1;
    return id;
  }

  /** @returns null when another process was faster */
  private async enrol(data: PatientEnrolled['data']): Promise<string | Refusal | null> {
    const [first] = data.identifiers;
    if (!first) return new Refusal('import.patient-refused');
    const id = randomUUID();
    const committed = this.ledger.writer.commit({
      actor: IMPORT_ACTOR,
      chains: [
        {
          name: patientIdentifier(first),
          otherwise: { id, model: patientModel, mode: 'new', subject: { newSubject: id } },
        },
      ],
      decide: (view) =>
        decideEnrol(firstState(view, patientModel), data, {
          chain: view.ids[0] ?? id,
          now: view.now,
          actor: IMPORT_ACTOR,
        }),
    });
    // The writer checks only the first identifier. A conflict of the unique index means that another one was used
    // meanwhile.
    const outcome = await committed.catch((error: unknown) => {
      if (isConflict(error)) return null;
      throw error;
    });
    if (!outcome) return null;
    if (outcome.ok) {
      this.enrolled += 1;
      return id;
    }
    return outcome.refusal.code === 'patient.already-enrolled' ? null : new Refusal('import.patient-refused');
  }
}

function keyOf({ identifiers, birthDate }: PatientRecord): string {
  return JSON.stringify([identifiers.map(({ system, value }) => [system, value]), birthDate]);
}

function differ(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && a !== b;
}
