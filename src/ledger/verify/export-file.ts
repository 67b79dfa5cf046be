import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { fromBase64 } from '../core/bytes.js';
import { ERASED } from '../chain-head.js';
import { openCheckpoint } from '../core/checkpoint.js';
import { isCommitted, parsePayload } from '../core/commitment.js';
import { decodeEntry, type Entry, LOG_CHAIN, MAX_ENTRY_BYTES } from '../core/entry.js';
import { lossInWords } from '../core/log-continuation.js';
import { KeyHistory, type LogName, nameAt } from '../key-history.js';
import { nodeHasher } from '../node-hasher.js';
import type { ChainModel, LedgerEvent } from '../model.js';
import { openEvent, splitExported } from '../payload.js';
import { isMinuteOf } from './chain-rows.js';
import { EntryAudit } from './entries.js';
import { Findings, type Progress, type VerifyReport } from './report.js';
import { SignatureAudit } from './signatures.js';

const LOG_PAYLOAD = 'an event of the log chain has no payload';

/** First line of an export. */
export const exportHeader = z.object({
  format: z.literal('rxledger-export/1'),
  log: z.string(),
  vkey: z.string(),
  size: z.number().int().min(0),
  /** The signed checkpoint of that size. */
  checkpoint: z.string(),
  /** Of a log that goes on under another name: what its entries before called it, oldest first, each from an index on. */
  names: z
    .array(z.object({ origin: z.string(), from: z.number().int().min(0) }))
    .readonly()
    .optional(),
});
export type ExportHeader = z.output<typeof exportHeader>;

/** Every further line: one entry, in log order. `payload` is base64 of salt || payload, where it was asked for. */
export const exportLine = z.object({
  index: z.number().int().min(0),
  entry: z.string(),
  payload: z.string().optional(),
});
export type ExportLine = z.output<typeof exportLine>;

/** A file that is no export; the message says at which line. */
export class ExportError extends Error {}

/**
 * Verifies an export without any database, account or key but the log's verifier key.
 * @param vkey the key to trust, the newest or one that the log had before; null takes the one that the file names, which proves less
 * @param models which types of events are signed by actors who sign
 * @throws {ExportError} when the file is no export
 */
export async function verifyExport(
  path: string,
  vkey: string | null,
  models: readonly ChainModel[],
  progress: (step: Progress) => void = () => undefined,
): Promise<VerifyReport> {
  const findings = new Findings();
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let header: ExportHeader | null = null;
  let audit: EntryAudit | null = null;
  let payloads = 0;
  let erased = 0;
  let signatures: SignatureAudit | null = null;
  let history = new KeyHistory('');
  let names: readonly LogName[] = [];
  /** Chains with an entry whose payload the file does not hold. */
  const bare = new Set<string>();
  let number = 0;
  for await (const line of lines) {
    number++;
    if (!header) {
      header = parseLine(exportHeader, line, number);
      names = header.names ?? [{ origin: header.log, from: 0 }];
      audit = new EntryAudit(names, findings, 'export');
      history = new KeyHistory(nameAt(names, 0));
      signatures = new SignatureAudit(names, models, (index, what) =>
        findings.add('tampered', 'export', { index }, what),
      );
      continue;
    }
    if (!audit) continue;
    if (audit.tree.size % 4096 === 0) progress({ step: 'entries', done: audit.tree.size, total: header.size });
    const plain = plainEntry(line, audit.tree.size);
    if (plain) {
      const { chain, seq } = audit.take(plain);
      if (seq !== null) bare.add(chain);
      if (chain === LOG_CHAIN) findings.add('missing', 'export', { index: audit.tree.size - 1 }, LOG_PAYLOAD);
      continue;
    }
    const item = parseLine(exportLine, line, number);
    if (item.index !== audit.tree.size)
      findings.add(
        'missing',
        'export',
        { index: audit.tree.size },
        `line ${number} holds index ${item.index} in its place`,
      );
    const input = leafInput(item.entry, number);
    const before = input.includes(LOG_CHAIN) ? audit.tree.root() : null;
    const { chain, seq } = audit.take(input);
    if (item.payload === undefined && seq !== null) bare.add(chain);
    if (item.payload === undefined && chain === LOG_CHAIN)
      findings.add('missing', 'export', { index: item.index }, LOG_PAYLOAD);
    if (item.payload !== undefined && seq !== null) {
      const entry = decodeEntry(input.subarray(1));
      const event = committedEvent(bytesOf(item.payload, number), entry);
      if (!event) findings.add('tampered', 'export', { index: item.index }, 'payload is not what its entry commits to');
      else {
        payloads++;
        signatures?.take(item.index, event);
        const fault = faultOf(event, entry) ?? keyFaultOf(history, item.index, event, before);
        if (fault) findings.add('tampered', 'export', { index: item.index }, fault);
        else if (event.type === ERASED) {
          erased++;
          bare.delete(entry.chain);
        }
      }
    }
  }
  if (!header || !audit) throw new ExportError('line 1: the file is empty');
  signatures?.finish();
  const root = audit.tree.root();
  // The file said so before the events that say it were read.
  if (JSON.stringify(names) !== JSON.stringify(history.names) || history.origin !== header.log)
    findings.add('tampered', 'export', { line: 1 }, 'names the log otherwise than its own chain does');
  const trusted = vkey ?? header.vkey;
  const newest = history.newest(trusted);
  try {
    const signed = openCheckpoint(header.checkpoint, newest);
    if (header.vkey !== newest)
      findings.add('tampered', 'export', { line: 1 }, 'names another key than the trusted one');
    if (signed.size !== header.size)
      findings.add('tampered', 'export', { line: 1 }, 'names another size than its checkpoint');
    if (signed.origin !== header.log) findings.add('tampered', 'export', {}, 'its checkpoint names another log');
    if (signed.size > audit.tree.size)
      findings.add('missing', 'export', { index: audit.tree.size }, `its checkpoint signs ${signed.size} entries`);
    else if (!root.equals(signed.root))
      findings.add('tampered', 'export', {}, 'its entries do not give the root that is signed');
  } catch {
    findings.add('tampered', 'export', {}, 'its checkpoint is not signed by the key that is trusted');
  }
  return {
    ok: !findings.any,
    log: header.log,
    vkey: trusted,
    newestVkey: newest,
    continues: history.continuations.map(lossInWords),
    vkeyFrom: vkey === null ? 'export' : 'option',
    payloadsChecked: bare.size === 0,
    size: audit.tree.size,
    root: root.toString('base64'),
    entries: audit.verified,
    payloads,
    signatures: signatures?.verified ?? 0,
    chains: audit.chains.size,
    erased,
    incomplete: 0,
    missing: findings.missing,
    tampered: findings.tampered,
    findings: findings.listed,
  };
}

/** Holds the 0x00 and the entry of one line at a time. */

const plainInput = Buffer.alloc(1 + MAX_ENTRY_BYTES);

/**
 * The line of the entry at that index as an export has it without a payload, read without being parsed.
 * @returns 0x00 and the entry, until the next call; null for any other line
 */
function plainEntry(line: string, index: number): Buffer | null {
  const before = `{"index":${index},"entry":"`;
  if (!line.startsWith(before) || !line.endsWith('"}')) return null;
  const text = line.slice(before.length, -2);
  const end = 1 + plainInput.write(text, 1, 'base64');
  // Strict: what is read differently than it would be written is for the slow way to refuse.
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

/** @param bytes salt || payload. @returns null when it is not what the entry commits to */
function committedEvent(bytes: Buffer, { chain, seq, commitment }: Entry): LedgerEvent | null {
  try {
    const { salt, text } = splitExported(bytes);
    return isCommitted(nodeHasher, commitment, salt, parsePayload(text)) ? openEvent(text, chain, seq) : null;
  } catch {
    return null;
  }
}

/** What a payload says that cannot stand under its entry. */
function faultOf({ kind, type, recordedAt }: LedgerEvent, { chain, time }: Entry): string | null {
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
