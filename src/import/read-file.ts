import { createReadStream } from 'node:fs';
import { stat, readFile } from 'node:fs/promises';
import { looksLikeLines, type Parsed, parseDocument, parseLine } from './parse.js';
import type { ImportReason } from './reasons.js';

/** Largest JSON document, bytes: V8's strings cannot be much longer, and NDJSON needs no large documents. */
const DOCUMENT_BYTES = 256 * 1024 * 1024;
const NEWLINE = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A line, counted from 1: its text, or the reason why it cannot be read. */
type Line = { readonly number: number; readonly text: string; readonly bad: ImportReason | null };

/**
 * All resources of a file, one after another. For NDJSON only one line is in memory at a time. Never throws: unreadable
 * parts become refusals.
 * @param name the file's name in messages
 */
export async function* readImport(path: string, name: string): AsyncGenerator<Parsed> {
  try {
    yield* read(path, name);
  } catch (error) {
    if (!isFileError(error)) throw error;
    yield { source: name, reason: 'import.unreadable' };
  }
}

async function* read(path: string, name: string): AsyncGenerator<Parsed> {
  // A file with a single line is a document, whatever its name.
  let held: Line | null = null;
  let lines = false;
  for await (const line of linesOf(path)) {
    if (!line.bad && line.text.trim() === '') continue;
    if (lines) {
      yield* parsed(name, line);
    } else if (held) {
      lines = true;
      yield* parsed(name, held);
      yield* parsed(name, line);
    } else {
      held = line;
      if (line.bad || !looksLikeLines(name, line.text)) break;
    }
  }
  if (lines) return;
  if (!held) yield { source: name, reason: 'import.empty' };
  else yield* document(path, name);
}

function* parsed(name: string, { number, text, bad }: Line): Generator<Parsed> {
  if (bad) yield { source: `${name}:${number}`, reason: bad };
  else yield* parseLine(name, number, text);
}

async function* document(path: string, name: string): AsyncGenerator<Parsed> {
  if ((await stat(path)).size > DOCUMENT_BYTES) {
    yield { source: name, reason: 'import.too-large' };
    return;
  }
  const text = decode(await readFile(path));
  if (text === null) yield { source: name, reason: 'import.bad-encoding' };
  else yield* parseDocument(text, name);
}

async function* linesOf(path: string): AsyncGenerator<Line> {
  let number = 1;
  let parts: Buffer[] = [];
  let length = 0;
  const line = (): Line => {
    const tooLarge = length > DOCUMENT_BYTES;
    const text = tooLarge ? null : decode(Buffer.concat(parts));
    parts = [];
    length = 0;
    const bad = text !== null ? null : tooLarge ? 'import.too-large' : 'import.bad-encoding';
    return { number: number++, text: text ?? '', bad };
  };
  const take = (part: Buffer) => {
    length += part.length;
    // The rest of an overlong line is counted but not kept.
    if (length <= DOCUMENT_BYTES) parts.push(part);
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      yield line();
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  if (length > 0) yield line();
}

/** @returns null when the bytes are not UTF-8; a byte order mark is dropped */
function decode(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
