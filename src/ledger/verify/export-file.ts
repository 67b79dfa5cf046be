import type { LedgerEvent } from '../core/record/event.js';
import { MAX_ENTRY_BYTES } from '../core/tlog/tiles.js';
import { z } from 'zod';
import { fromBase64 } from '../core/bytes.js';
import { ERASED } from '../store/chain-row.js';
import { openCheckpoint } from '../core/tlog/checkpoint.js';
import { isCommitted, parsePayload } from '../core/record/commitment.js';
import { decodeEntry, type Entry, LOG_CHAIN } from '../core/record/entry.js';
import { lossInWords } from '../core/statements/continuation.js';
import { KeyHistory, type LogName, nameAt } from '../read/key-history.js';
import { linesOf } from './lines.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import type { ChainModel } from '../model.js';
import { openEvent, splitExported } from '../store/payload.js';
import { isMinuteOf } from './chain-rows.js';
import { EntryAudit, type TakenEntry } from './entries.js';
import { Findings, type Progress, type VerifyReport } from './report.js';
import { SignatureAudit } from './signatures.js';

const LOG_PAYLOAD = 'an event of the log chain has no payload';

/** First line of an export. */
export const exportHeader = z.object({
  format: z.literal('rxledger-export/1'),
  log: z.string(),
  vkey: z.string(),
  size: z.number().int().min(0),
  /** The signed checkpoint of the export's size. */
  checkpoint: z.string(),
  /** Earlier names of a log that took another one: oldest first, each with the index of its first entry. */
  names: z
    .array(z.object({ origin: z.string(), from: z.number().int().min(0) }))
    .readonly()
    .optional(),
});
export type ExportHeader = z.output<typeof exportHeader>;

/** Every further line: one entry, in log order. `payload` is base64 of salt || payload, when the export includes it. */
export const exportLine = z.object({
  index: z.number().int().min(0),
  entry: z.string(),
  payload: z.string().optional(),
});
export type ExportLine = z.output<typeof exportLine>;

/** The file is not an export; the message names the line. */
export class ExportError extends Error {}

/**
 * Verifies an export with nothing but the log's verifier key: no database, no account.
 * @param vkey the key to trust, the current one or an earlier one of the log; null takes the key that the file names,
 * which proves less
 * @param models tell which event types an actor with a signing key must sign
 * @throws {ExportError} when the file is not an export
 */
export async function verifyExport(
  path: string,
  vkey: string | null,
  models: readonly ChainModel[],
  progress: (step: Progress) => void = () => undefined,
): Promise<VerifyReport> {
  let audit: ExportAudit | null = null;
  let number = 0;
  for await (const lines of linesOf(path)) {
    for (const line of lines) {
      number++;
      if (audit) audit.take(line, number);
      else audit = new ExportAudit(parseLine(exportHeader, line, number), models);
    }
    if (audit) progress({ step: 'entries', done: audit.entries.tree.size, total: audit.header.size });
  }
  if (!audit) throw new ExportError('line 1: the file is empty');
  return audit.finish(vkey);
}

class ExportAudit {
  readonly entries: EntryAudit;
  private readonly findings = new Findings();
  private readonly names: readonly LogName[];
  private readonly history: KeyHistory;
  private readonly signatures: SignatureAudit;
  /** Chains with an entry whose payload the file does not hold. */
  private readonly bare = new Set<string>();
  private payloads = 0;
  private erased = 0;

  constructor(
    readonly header: ExportHeader,
    models: readonly ChainModel[],
  ) {
    this.names = header.names ?? [{ origin: header.log, from: 0 }];
    this.entries = new EntryAudit(this.names, this.findings, 'export');
    this.history = new KeyHistory(nameAt(this.names, 0));
    this.signatures = new SignatureAudit(this.names, models, (index, what) =>
      this.findings.add('tampered', 'export', { index }, what),
    );
  }

  /**
   * @param number of the line
   * @throws {ExportError} when the line is not one of an export
   */
  take(line: string, number: number): void {
    const { entries, findings } = this;
    const index = entries.tree.size;
    const plain = plainEntry(line, index);
    if (plain) {
      this.withoutPayload(entries.take(plain), index);
      return;
    }
    const item = parseLine(exportLine, line, number);
    if (item.index !== index)
      findings.add('missing', 'export', { index }, `line ${number} holds index ${item.index} in its place`);
    const input = leafInput(item.entry, number);
    const before = input.includes(LOG_CHAIN) ? entries.tree.root() : null;
    const taken = entries.take(input);
    if (item.payload === undefined) this.withoutPayload(taken, item.index);
    else if (taken.seq !== null) {
      const entry = decodeEntry(input.subarray(1));
      this.withPayload(item.index, entry, bytesOf(item.payload, number), before);
    }
  }

  private withoutPayload({ chain, seq }: TakenEntry, index: number): void {
    if (seq !== null) this.bare.add(chain);
    if (chain === LOG_CHAIN) this.findings.add('missing', 'export', { index }, LOG_PAYLOAD);
  }

  /** @param before root of the tree before the entry; null unless the entry may be one of the log chain */
  private withPayload(index: number, entry: Entry, payload: Buffer, before: Buffer | null): void {
    const event = committedEvent(payload, entry);
    if (!event) {
      this.findings.add('tampered', 'export', { index }, 'payload is not what its entry commits to');
      return;
    }
    this.payloads++;
    this.signatures.take(index, event);
    const fault = contradiction(event, entry) ?? keyFaultOf(this.history, index, event, before);
    if (fault) this.findings.add('tampered', 'export', { index }, fault);
    else if (event.type === ERASED) {
      this.erased++;
      this.bare.delete(entry.chain);
    }
  }

  finish(vkey: string | null): VerifyReport {
    const { entries, findings, header, history, signatures } = this;
    signatures.finish();
    // The header names the log before the events of its chain were read; now the two can be compared.
    if (JSON.stringify(this.names) !== JSON.stringify(history.names) || history.origin !== header.log)
      findings.add('tampered', 'export', { line: 1 }, 'names the log otherwise than its own chain does');
    const trusted = vkey ?? header.vkey;
    const newest = history.newest(trusted);
    const root = entries.tree.root();
    this.checkCheckpoint(newest, root);
    return {
      ok: !findings.any,
      log: header.log,
      vkey: trusted,
      newestVkey: newest,
      continues: history.continuations.map(lossInWords),
      vkeyFrom: vkey === null ? 'export' : 'option',
      payloadsChecked: this.bare.size === 0,
      size: entries.tree.size,
      root: root.toString('base64'),
      entries: entries.verified,
      payloads: this.payloads,
      signatures: signatures.verified,
      chains: entries.chains.size,
      erased: this.erased,
      incomplete: 0,
      missing: findings.missing,
      tampered: findings.tampered,
      findings: findings.listed,
    };
  }

  private checkCheckpoint(newest: string, root: Buffer): void {
    const { entries, findings, header } = this;
    try {
      const signed = openCheckpoint(header.checkpoint, newest);
      if (header.vkey !== newest)
        findings.add('tampered', 'export', { line: 1 }, 'names another key than the trusted one');
      if (signed.size !== header.size)
        findings.add('tampered', 'export', { line: 1 }, 'names another size than its checkpoint');
      if (signed.origin !== header.log) findings.add('tampered', 'export', {}, 'its checkpoint names another log');
      if (signed.size > entries.tree.size)
        findings.add('missing', 'export', { index: entries.tree.size }, `its checkpoint signs ${signed.size} entries`);
      else if (!root.equals(signed.root))
        findings.add('tampered', 'export', {}, 'its entries do not give the root that is signed');
    } catch {
      findings.add('tampered', 'export', {}, 'its checkpoint is not signed by the key that is trusted');
    }
  }
}

/** Reused for each line: 0x00 and the entry. */

const plainInput = Buffer.alloc(1 + MAX_ENTRY_BYTES);

/**
 * Reads the line of the entry at that index without JSON parsing, if it has no payload.
 * @returns 0x00 and the entry, until the next call; null for any other line
 */
function plainEntry(line: string, index: number): Buffer | null {
  const before = `{"index":${index},"entry":"`;
  if (line.slice(0, before.length) !== before || line.slice(-2) !== '"}') return null;
  const text = line.slice(before.length, -2);
  const end = 1 + plainInput.write(text, 1, 'base64');
  // A base64 text that is not canonical is left to the slow path, which refuses it.
  return plainInput.toString('base64', 1, end) === text ? plainInput.subarray(0, end) : null;
}

/** 0x00 and the entry. */
function leafInput(text: string, number: number): Buffer {
  return Buffer.concat([Buffer.of(0), bytesOf(text, number)]);
}

function parseLine<T>(schema: z.ZodType<T>, line: string, number: number): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    throw new ExportError(`line ${number}: not a line of an RxLedger export`);
  }
}

function bytesOf(text: string, number: number): Buffer {
  try {
    return Buffer.from(fromBase64(text));
  } catch {
    throw new ExportError(`line ${number}: not base64`);
  }
}

/** @param bytes salt || payload @returns null when the entry's commitment does not match it */
function committedEvent(bytes: Buffer, { chain, seq, commitment }: Entry): LedgerEvent | null {
  try {
    const { salt, text } = splitExported(bytes);
    return isCommitted(nodeHasher, commitment, salt, parsePayload(text)) ? openEvent(text, chain, seq) : null;
  } catch {
    return null;
  }
}

/** A contradiction between a payload and its entry; null: none. */
function contradiction({ kind, type, recordedAt }: LedgerEvent, { chain, time }: Entry): string | null {
  if (!isMinuteOf(time, recordedAt)) return 'time is not when its payload was recorded';
  if ((kind === 'log') !== (chain === LOG_CHAIN)) return 'kind is not that of its chain';
  return type === ERASED && chain === LOG_CHAIN ? 'the log chain is never erased' : null;
}

/** @param before root of the tree to which the event's entry was appended */
function keyFaultOf(history: KeyHistory, index: number, event: LedgerEvent, before: Buffer | null): string | null {
  if (event.chain !== LOG_CHAIN) return null;
  const known = history.moves.length;
  const fault = history.take(index, event);
  const move = history.moves[known];
  return move && !before?.equals(move.root) ? 'replaces the key of another tree' : fault;
}
