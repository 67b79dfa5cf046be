import { decrypt } from '../crypto/aes-gcm.js';
import type { LedgerEvent } from '../core/record/event.js';
import type { Db } from '../../database/db.js';
import {
  type ChainRow,
  ERASED,
  erasureSeal,
  isErased,
  namesOf,
  needsNoSnapshot,
  openState,
  keepRows,
  type StoredRow,
} from '../store/chain-row.js';
import { isCommitted, parsePayload } from '../core/record/commitment.js';
import { decodeEntry, LOG_CHAIN } from '../core/record/entry.js';
import { jcs } from '../core/jcs.js';
import { dataKeyOf } from '../read/chain-events.js';
import type { LogName } from '../read/key-history.js';
import type { TableShape } from '../../database/declare.js';
import type { ChainModel } from '../model.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { openEvent, splitPayload } from '../store/payload.js';
import { type Vault } from '../keys/vault.js';
import { erasureOf, type EventRow, isMinuteOf } from './chain-rows.js';
import { findStrayRows, readChains } from './chain-pages.js';
import type { ChainEnd } from './entries.js';
import { compareNames, compareRows, type StoredRows } from './read-model-rows.js';
import type { Findings } from './report.js';
import type { RequestMarks } from './requests.js';
import { SignatureAudit } from './signatures.js';

const BROUGHT_BACK = 'was erased, and is there again';

/** Chains that are read together. */
const PAGE = 200;

/** Opens every payload, checks its commitment, refolds every chain and compares snapshots, read-model rows and names. */
export class ChainAudit {
  payloads = 0;
  chains = 0;
  erased = 0;
  /** Erased chains that a key-encryption key still in the keys folder could open in a backup. */
  incomplete = 0;
  private readonly models: ReadonlyMap<string, ChainModel>;
  private readonly heldUpTo = new Map<string, boolean>();
  /** Recording time of the last opened event in log order. */
  lastInstant = '';
  /** Log index of that event. */
  lastIndex = -1;
  readonly signatures: SignatureAudit;

  constructor(
    private readonly db: Db,
    private readonly vault: Vault,
    names: readonly LogName[],
    models: readonly ChainModel[],
    /** The tables whose rows are compared. */
    private readonly readModels: readonly TableShape[],
    private readonly findings: Findings,
    private readonly marks: RequestMarks,
  ) {
    this.signatures = new SignatureAudit(names, models, (index, what) =>
      findings.add('tampered', 'payload', { index }, what),
    );
    this.models = new Map(models.map((model) => [model.kind, model]));
  }

  async run(ends: ReadonlyMap<string, ChainEnd>, progress: (done: number) => void): Promise<void> {
    const ids = [...ends.keys()].filter((id) => id !== LOG_CHAIN);
    // The log chain comes first: it holds the keys that sign the others.
    const log = ends.get(LOG_CHAIN);
    if (log) await this.page(new Map([[LOG_CHAIN, log]]));
    for (let at = 0; at < ids.length; at += PAGE) {
      await this.page(new Map(ids.slice(at, at + PAGE).map((id) => [id, ends.get(id) as ChainEnd])));
      progress(Math.min(at + PAGE, ids.length));
    }
    this.signatures.finish();
    await findStrayRows(this.db, ends, this.readModels, this.findings);
  }

  private async page(ends: ReadonlyMap<string, ChainEnd>): Promise<void> {
    const { chains, events, rows, names } = await readChains(this.db, ends, this.readModels);
    for (const [id, end] of ends) {
      const row = chains.get(id);
      if (!row) this.findings.add('missing', 'chain', { chain: id, num: end.num }, 'there is no such chain');
      else this.chain(row, end, events.get(end.num) ?? [], rows, names.get(end.num) ?? new Set());
    }
  }

  private chain(
    row: ChainRow,
    end: ChainEnd,
    events: readonly EventRow[],
    stored: StoredRows,
    names: ReadonlySet<string>,
  ): void {
    const where = { chain: row.id, num: end.num };
    const before = this.findings.tampered + this.findings.missing;
    const wrong = (table: string, what: string): void => this.findings.add('tampered', table, where, what);
    if (row.num !== end.num) wrong('chain', 'num is not the log index of its first entry');
    if (row.seq !== end.seq) wrong('chain', 'seq is not that of its last entry');
    if (row.leaf.toString('base64') !== end.leaf) wrong('chain', 'leaf is not that of its last entry');
    const model = this.models.get(row.kind);
    if (!model) return wrong('chain', 'kind is not known');
    if ((row.kind === 'log') !== (row.id === LOG_CHAIN)) return wrong('chain', 'kind is not that of its id');
    if (row.id === LOG_CHAIN && isErased(row)) return wrong('chain', 'the log chain is never erased');
    if (isErased(row)) return this.erasedChain(row, events, stored, names);
    const [last] = events.slice(-1);
    if (last && erasureOf(last, row.id)) wrong('chain', BROUGHT_BACK);
    let dataKey: Uint8Array;
    try {
      dataKey = dataKeyOf(this.vault, row);
    } catch {
      if (row.subject_id === null)
        this.findings.add('missing', 'subject', { num: row.subject }, 'there is no such subject');
      // A missing key file is no sign of tampering.
      else if (this.vault.keks.lacks(row.kek))
        return this.findings.add('missing', 'chain', where, `the keys folder lacks key-encryption key ${row.kek}`);
      return wrong('chain', 'its data key does not open under its subject');
    }
    let state: unknown = null;
    let rows: Map<string, StoredRow> | null = new Map();
    let whole = events.length > 0;
    for (const event of events) {
      const opened = this.event(row, event, dataKey);
      if (!opened) {
        whole = false;
        continue;
      }
      this.signatures.take(event.idx, opened);
      if (opened.kind !== row.kind) wrong('chain', 'kind is not that of its events');
      // The payload of an erasure must be in the clear. Here it was encrypted under a data key that was put back.
      if (opened.type === ERASED) wrong('chain', BROUGHT_BACK);
      if (whole) {
        try {
          state = model.evolve(state, opened);
          rows = this.kept(rows, row, model, state);
        } catch {
          whole = false;
          this.findings.add('tampered', 'payload', { index: event.idx }, 'cannot follow the events before it');
        }
      }
    }
    this.snapshot(row, model, dataKey, whole ? state : undefined);
    if (whole) this.readModel(row, model, rows, state, stored, names);
    if (this.findings.tampered + this.findings.missing === before) this.chains++;
  }

  /** An erased chain ends with its erasure, in the clear. Nothing else of it may be stored. */
  private erasedChain(
    row: ChainRow,
    events: readonly EventRow[],
    stored: StoredRows,
    names: ReadonlySet<string>,
  ): void {
    const where = { chain: row.id, num: row.num };
    const last = events.at(-1);
    const erasure = last && erasureOf(last, row.id);
    if (!erasure) {
      this.findings.add(
        'missing',
        'payload',
        { ...where, index: last?.idx ?? row.num },
        'has no key, but was not erased',
      );
      return;
    }
    this.payloads++;
    this.checkTime(last.idx, decodeEntry(last.entry).time, erasure);
    this.noteInstant(last.idx, erasure);
    if (erasure.kind !== row.kind) this.findings.add('tampered', 'chain', where, 'kind is not that of its events');
    if (row.subject_id !== null)
      this.findings.add('tampered', 'subject', { num: row.subject }, 'is there after it was erased');
    for (const { idx, body } of events) {
      this.marks.erased(idx);
      if (body !== null && idx !== last.idx)
        this.findings.add('tampered', 'payload', { index: idx }, 'is there after its chain was erased');
    }
    if (!erasureSeal(this.vault, row.id, row.kind, row.subject).equals(row.state))
      this.findings.add('tampered', 'chain', where, 'id, kind or subject is not what was erased');
    if (row.state_version !== 0)
      this.findings.add('tampered', 'chain', where, 'state_version is not that of an erasure');
    for (const [table, rows] of stored) {
      if (rows.has(row.num))
        this.findings.add('tampered', table, { chain: row.num }, 'is there after its chain was erased');
    }
    if (names.size > 0)
      this.findings.add('tampered', 'name', { chain: row.num }, 'is there after its chain was erased');
    this.erased++;
    const { kek } = erasure.derived;
    if (typeof kek === 'string' && this.isHeldUpTo(kek)) this.incomplete++;
  }

  /** The keys folder is read once for all chains that were erased under the same key-encryption key. */
  private isHeldUpTo(kek: string): boolean {
    const known = this.heldUpTo.get(kek) ?? this.vault.keks.holdsUpTo(kek);
    this.heldUpTo.set(kek, known);
    return known;
  }

  private checkTime(index: number, time: string, { recordedAt }: LedgerEvent): void {
    if (!isMinuteOf(time, recordedAt))
      this.findings.add('tampered', 'entry', { index }, 'time is not when its payload was recorded');
  }

  private noteInstant(index: number, { recordedAt }: LedgerEvent): void {
    if (index <= this.lastIndex) return;
    this.lastIndex = index;
    this.lastInstant = recordedAt;
  }

  /** @returns null when the payload is missing or is not what the entry commits to */
  private event(chain: ChainRow, { idx, seq, entry, body }: EventRow, dataKey: Uint8Array): LedgerEvent | null {
    if (body === null) {
      this.findings.add('missing', 'payload', { index: idx }, 'there is no such payload');
      return null;
    }
    try {
      const aad = this.vault.aad('payload', chain.id, seq, 'payload');
      const { salt, keyed, text } = splitPayload(chain.id === LOG_CHAIN ? body : decrypt(dataKey, aad, body));
      const { commitment, time } = decodeEntry(entry);
      if (!isCommitted(nodeHasher, commitment, salt, parsePayload(text))) throw new Error('commitment');
      const opened = openEvent(text, chain.id, seq);
      this.checkTime(idx, time, opened);
      this.payloads++;
      this.noteInstant(idx, opened);
      this.marks.read(idx, keyed, opened);
      return opened;
    } catch {
      this.findings.add('tampered', 'payload', { index: idx }, 'is not what its entry commits to');
      return null;
    }
  }

  /** @param state undefined when it could not be refolded */
  private snapshot(row: ChainRow, model: ChainModel, dataKey: Uint8Array, state: unknown): void {
    const where = { chain: row.id, num: row.num };
    // Such a chain stores no snapshot: its state follows from its only payload, which is checked already.
    if (row.state.length === 0 && row.state_version === 0 && needsNoSnapshot(row)) return;
    try {
      const stored = openState(this.vault, row, dataKey);
      if (state === undefined || row.state_version !== model.stateVersion) return;
      if (jcs(stored) !== jcs(JSON.parse(JSON.stringify(state))))
        this.findings.add('tampered', 'chain', where, 'state is not what its events give');
    } catch {
      this.findings.add('tampered', 'chain', where, 'state does not open');
    }
  }

  /** @returns null when the rows of one of the chain's states could not be computed */
  private kept(
    rows: Map<string, StoredRow> | null,
    { num, subject }: ChainRow,
    model: ChainModel,
    state: unknown,
  ): Map<string, StoredRow> | null {
    try {
      if (rows) keepRows(rows, model, state, num, subject);
      return rows;
    } catch {
      return null;
    }
  }

  /** @param expected the rows from all states of the chain, each as last written */
  private readModel(
    row: ChainRow,
    model: ChainModel,
    expected: ReadonlyMap<string, StoredRow> | null,
    state: unknown,
    stored: StoredRows,
    names: ReadonlySet<string>,
  ): void {
    let given: ReadonlySet<string>;
    try {
      given = new Set(namesOf(this.vault, model.names(state)).values());
    } catch {
      given = new Set();
      expected = null;
    }
    if (!expected) {
      this.findings.add('tampered', 'chain', { chain: row.id, num: row.num }, 'its events give no rows');
      return;
    }
    for (const { table } of this.readModels)
      compareRows(table, row.num, expected, stored.get(table)?.get(row.num) ?? new Map(), this.findings);
    compareNames(row.num, given, names, this.findings);
  }
}
