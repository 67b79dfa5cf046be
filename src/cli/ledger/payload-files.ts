import { EncodingError, fromBase64 } from '../../ledger/core/bytes.js';
import { isObject } from '../../ledger/core/jcs.js';
import { linesOf } from '../../ledger/verify/lines.js';
import type { FoundPayload } from '../../ledger/upkeep/lost-part.js';
import { exportedPayload } from '../../ledger/store/payload.js';
import { ExportError, exportHeader, exportLine } from '../../ledger/verify/export-file.js';
import { documentsIn } from '../audit/kept-documents.js';
import { contentOf } from '../files.js';
import { UsageError } from '../terminal.js';

/**
 * The payloads in exports, saved answers and receipts, one after the other and not checked yet.
 * @throws {UsageError} for a file that is neither
 */
export async function* payloadsIn(files: readonly string[]): AsyncGenerator<FoundPayload> {
  for (const file of files) yield* (await isExport(file)) ? exported(file) : saved(file);
}

async function isExport(file: string): Promise<boolean> {
  for await (const [line] of linesOf(file))
    if (line !== undefined) return exportHeader.safeParse(valueOf(line)).success;
  return false;
}

async function* exported(file: string): AsyncGenerator<FoundPayload> {
  let number = 0;
  for await (const lines of linesOf(file))
    for (const line of lines) {
      number += 1;
      if (number === 1) continue;
      const { data } = exportLine.safeParse(valueOf(line));
      const bytes = data?.payload === undefined ? null : bytesOf(data.payload);
      if (!data || (data.payload !== undefined && !bytes))
        throw new ExportError(`${file}, line ${number}: not a line of an RxLedger export`);
      if (bytes) yield { index: data.index, bytes, entry: bytesOf(data.entry) };
    }
}

async function* saved(file: string): AsyncGenerator<FoundPayload> {
  const { documents } = documentsIn(await contentOf(file));
  if (!documents.some(({ kind }) => kind === 'receipt'))
    throw new UsageError(`${file} is neither an export nor a saved answer or receipt`);
  for (const document of documents) {
    const { index, payload, salt, entry } =
      document.kind === 'receipt' && isObject(document.receipt) ? document.receipt : ({} as Record<string, unknown>);
    // Receipts of people who may not see the payload have none.
    if (typeof index !== 'number' || typeof payload !== 'string' || typeof salt !== 'string') continue;
    const [text, key] = [bytesOf(payload), bytesOf(salt)];
    const kept = typeof entry === 'string' ? bytesOf(entry) : null;
    if (text && key) yield { index, bytes: exportedPayload(key, text.toString('utf8')), entry: kept };
  }
}

function valueOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function bytesOf(text: string): Buffer | null {
  try {
    return Buffer.from(fromBase64(text));
  } catch (error) {
    if (error instanceof EncodingError) return null;
    throw error;
  }
}
