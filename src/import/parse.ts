import type { Json, JsonObject } from '../ledger/core/record/event.js';
import { object, text } from './fhir-values.js';
import type { ImportReason, ImportRefusal } from './reasons.js';

/** A resource with its place in a file. */
export interface Item {
  /** The file's name: references without a server are looked up in their own file first. */
  readonly file: string;
  /** File with line or entry, for messages. */
  readonly source: string;
  /** Bundle.entry.fullUrl. */
  readonly fullUrl: string | null;
  readonly resource: JsonObject;
  readonly type: string;
}

export type Parsed = Item | ImportRefusal;

export function isItem(parsed: Parsed): parsed is Item {
  return 'resource' in parsed;
}

const BUNDLE_TYPES = new Set(['transaction', 'batch', 'collection']);
/** Methods whose entries have no resource (FHIR R4 Bundle, bdl-3). */
const WITHOUT_RESOURCE = new Set(['DELETE', 'GET', 'HEAD']);

function refuse(source: string, reason: ImportReason): ImportRefusal {
  return { source, reason };
}

function item(file: string, source: string, fullUrl: string | null, value: Json | undefined): Parsed {
  const resource = object(value);
  const type = text(resource?.['resourceType']);
  return resource && type ? { file, source, fullUrl, resource, type } : refuse(source, 'import.not-a-resource');
}

/**
 * The resources of one JSON value: a Bundle's entries, or the value itself.
 * @param source place of the value, for messages
 */
export function* expand(file: string, source: string, value: Json): Generator<Parsed> {
  const resource = object(value);
  if (resource?.['resourceType'] !== 'Bundle') {
    yield item(file, source, null, value);
    return;
  }
  if (!BUNDLE_TYPES.has(text(resource['type']) ?? '')) {
    yield refuse(source, 'import.bundle-type');
    return;
  }
  const entries = resource['entry'] ?? [];
  if (!Array.isArray(entries)) {
    yield refuse(source, 'import.not-a-resource');
    return;
  }
  for (const [index, member] of entries.entries()) {
    const entry = object(member);
    if (entry && !entry['resource'] && WITHOUT_RESOURCE.has(text(object(entry['request'])?.['method']) ?? '')) continue;
    yield item(file, `${source}:entry[${index}]`, text(entry?.['fullUrl']), entry?.['resource']);
  }
}

/** @returns undefined when the text is not JSON */
export function parseJson(json: string): Json | undefined {
  try {
    const value: Json = JSON.parse(json);
    return value;
  } catch {
    return undefined;
  }
}

/** The resources of one line of an NDJSON file, counted from 1; none for a blank line. */
export function* parseLine(file: string, number: number, line: string): Generator<Parsed> {
  if (line.trim() === '') return;
  const source = `${file}:${number}`;
  const value = parseJson(line);
  if (value === undefined) yield refuse(source, 'import.bad-json');
  else yield* expand(file, source, value);
}

/** Whether each line of a file is a document, judged by its name or its first line that is not blank. */
export function looksLikeLines(file: string, firstLine: string): boolean {
  return /\.(ndjson|jsonl)$/i.test(file) || object(parseJson(firstLine)) !== null;
}

/**
 * All resources in a file's text, of any type: a Bundle, NDJSON (also of Bundles), or a single resource. Never throws.
 * Any other text is refused as a whole.
 */
export function* parseImport(content: string, file: string): Generator<Parsed> {
  const json = content.replace(/^\uFEFF/, '');
  const lines = json.split('\n');
  const first = lines.find((line) => line.trim() !== '');
  if (first === undefined) {
    yield refuse(file, 'import.empty');
  } else if (looksLikeLines(file, first)) {
    const single = lines.filter((line) => line.trim() !== '').length === 1;
    for (const [index, line] of lines.entries()) {
      if (single && line.trim() !== '') yield* parseDocument(line, file);
      else yield* parseLine(file, index + 1, line);
    }
  } else {
    yield* parseDocument(json, file);
  }
}

/** The resources of a file that is one JSON document. */
export function* parseDocument(json: string, file: string): Generator<Parsed> {
  const value = parseJson(json);
  if (value === undefined) yield refuse(file, 'import.bad-json');
  else yield* expand(file, file, value);
}
