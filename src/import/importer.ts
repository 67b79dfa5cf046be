import { randomUUID } from 'node:crypto';
import type { setTimeout as sleep } from 'node:timers/promises';
import { firstState, type Outcome } from '../ledger/model.js';
import { decideImport } from '../prescribing/decide.js';
import { FORMULARY_VERSION, findDrug } from '../prescription/drugs/formulary.js';
import { patientModel } from '../patient/chain-model.js';
import { orderName, prescriptionModel } from '../prescription/chain-models.js';
import { Flights } from './flights.js';
import { ImportOrganisations } from './import-organisations.js';
import { ImportPatients } from './import-patients.js';
import { ResourceIndex } from './index-of-resources.js';
import { type HistoricalOrder, toHistoricalOrder } from './order.js';
import { isItem, type Item } from './parse.js';
import { readImport } from './read-file.js';
import { type ImportRefusal, Refusal } from './reasons.js';
import { IMPORT_ACTOR, type ImportTarget, persistent } from './target.js';

/** Commands under way at a time: one full batch of the writer. */
const IN_FLIGHT = 256;

export interface ImportCounts {
  /** Orders that this import recorded. */
  recorded: number;
  /** Orders whose issuer already has an order with that number. */
  alreadyThere: number;
  /** Refused files, lines, patients and orders, in the order of reading. */
  readonly refused: ImportRefusal[];
  patients: { enrolled: number; alreadyThere: number };
  /** Resources read so far, of any type; `ignored`: those of types that are not imported. */
  resources: number;
  ignored: number;
}

export interface ImportOptions {
  /** IANA zone of the legal dates of orders whose organisation is not known here. */
  readonly zone: string;
  /** Called after every resource and every commit; it must be quick. */
  readonly onProgress?: (phase: 'reading' | 'recording', counts: Readonly<ImportCounts>) => void;
  /** Waits before a retry of a write. */
  readonly pause?: typeof sleep;
}

/**
 * Reads all files twice: first the resources to which orders refer, enrolling the patients; then the orders, one by
 * one. A second run records nothing more: an order is identified by issuer and number, a patient by any identifier.
 * @param files paths, repeated as given in refusals
 * @throws {LedgerUnavailable} when the ledger stays away. Recorded items stay, and a second run continues
 */
export async function importFiles(
  files: readonly string[],
  ledger: ImportTarget,
  options: ImportOptions,
): Promise<ImportCounts> {
  return new Importer(ledger, options).run([...new Set(files)]);
}

class Importer {
  private readonly index = new ResourceIndex();
  private readonly patients: ImportPatients;
  private readonly organisations: ImportOrganisations;
  private readonly counts: ImportCounts = {
    recorded: 0,
    alreadyThere: 0,
    refused: [],
    patients: { enrolled: 0, alreadyThere: 0 },
    resources: 0,
    ignored: 0,
  };

  private readonly ledger: ImportTarget;

  constructor(
    ledger: ImportTarget,
    private readonly options: ImportOptions,
  ) {
    this.ledger = persistent(ledger, options.pause);
    this.patients = new ImportPatients(this.ledger);
    this.organisations = new ImportOrganisations(this.ledger, options.zone);
  }

  async run(files: readonly string[]): Promise<ImportCounts> {
    await this.each(files, 'reading', (item) => this.takeWhatIsReferredTo(item), true);
    await this.each(files, 'recording', (item) => this.takeOrder(item), false);
    return this.counts;
  }

  /** @param first whether refusals of the files themselves are new */
  private async each(
    files: readonly string[],
    phase: 'reading' | 'recording',
    take: (item: Item) => Promise<void>,
    first: boolean,
  ): Promise<void> {
    const flights = new Flights(IN_FLIGHT);
    for (const file of files) {
      for await (const parsed of readImport(file, file)) {
        if (!isItem(parsed)) {
          if (first) this.counts.refused.push(parsed);
          continue;
        }
        if (first) this.counts.resources += 1;
        await flights.start(async () => {
          await take(parsed);
          this.options.onProgress?.(phase, this.counts);
        });
      }
    }
    await flights.landed();
  }

  private async takeWhatIsReferredTo(item: Item): Promise<void> {
    if (item.type === 'MedicationRequest') return;
    const kept = this.index.add(item);
    const refused = kept instanceof Refusal ? kept : await this.patients.take(item);
    if (kept === false) this.counts.ignored += 1;
    if (refused) this.refuse(item, refused.reason);
    this.counts.patients = { enrolled: this.patients.enrolled, alreadyThere: this.patients.alreadyThere };
  }

  private async takeOrder(item: Item): Promise<void> {
    if (item.type !== 'MedicationRequest') return;
    const result = toHistoricalOrder(item, this.index);
    if (!result.ok) return this.refuse(item, result.reason);
    const patient = await this.patients.chainOf(result.order.patient);
    if (!patient) return this.refuse(item, 'import.patient-refused');
    const outcome = await this.record(result.order, patient);
    if (outcome.ok) this.counts.recorded += 1;
    else if (outcome.refusal.code === 'prescription.number-taken') this.counts.alreadyThere += 1;
    else this.refuse(item, outcome.refusal.code);
  }

  private async record({ data, organisationName }: HistoricalOrder, patient: string): Promise<Outcome> {
    const zone = await this.organisations.zoneOf(data.issuer, organisationName);
    const { issuer, number, ...said } = data;
    const name = { issuer, number };
    const id = randomUUID();
    return this.ledger.writer.commit({
      actor: IMPORT_ACTOR,
      chains: [
        {
          name: orderName(name),
          otherwise: { id, model: prescriptionModel, mode: 'new', subject: { subject: patient }, adopt: true },
        },
        // A running service may have erased the patient since the lookup.
        { id: patient, model: patientModel, mode: 'existing' },
      ],
      decide: (view) =>
        decideImport(
          firstState(view, prescriptionModel),
          { ...said, name, patient },
          {
            chain: view.ids[0] ?? id,
            now: view.now,
            actor: IMPORT_ACTOR,
            zone,
            findDrug,
            formularyVersion: FORMULARY_VERSION,
          },
        ),
    });
  }

  private refuse({ source }: Item, reason: string): void {
    this.counts.refused.push({ source, reason });
  }
}
