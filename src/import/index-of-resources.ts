import type { Json, JsonObject } from '../ledger/core/record/event.js';
import type { Identifier } from '../patient/state.js';
import { humanName, identifiers, jsonFault, object, objects, text } from './fhir-values.js';
import type { Item } from './parse.js';
import { Refusal } from './reasons.js';
import { asUuid, nameUuid } from './uuid.js';

/** The kept part of a resource that others refer to: a few short texts, so that large files fit into memory. */
export type Indexed =
  | {
      readonly type: 'Patient';
      readonly identifiers: readonly Identifier[];
      readonly birthDate: string | null;
      readonly organisation: Ref | null;
    }
  | Party
  | { readonly type: 'PractitionerRole'; readonly practitioner: Ref | null; readonly organisation: Ref | null }
  | { readonly type: 'Encounter'; readonly organisation: Ref | null }
  | { readonly type: 'Medication'; readonly concept: JsonObject | null };

export interface Party {
  readonly type: 'Organization' | 'Practitioner';
  /** UUID that is the same in every import; null: nothing identifies it. */
  readonly id: string | null;
  readonly name: string | null;
}

export type PatientRecord = Extract<Indexed, { type: 'Patient' }>;

/** A reference in the form in which it is looked up. */
export interface Ref {
  /** The file that contains the reference. */
  readonly file: string;
  /** fullUrl, `Type/id`, or `Type?identifier=system|value`. */
  readonly key: string;
  readonly display: string | null;
}

export type Found = Indexed | 'unknown' | 'ambiguous';

/**
 * @param type allowed target type, used when the reference itself names none (FHIR R4 References, 2.3.0)
 * @returns null when the element holds no reference
 */
export function refOf(value: Json | undefined, file: string, type: Indexed['type']): Ref | null {
  const reference = object(value);
  const display = text(reference?.['display']);
  const literal = text(reference?.['reference']);
  if (literal) return { file, key: literal.replace(/\/_history\/[^/]*$/, ''), display };
  const identifier = object(reference?.['identifier']);
  const system = text(identifier?.['system']);
  const named = text(identifier?.['value']);
  if (!system || !named) return null;
  return { file, key: `${text(reference?.['type']) ?? type}?identifier=${system}|${named}`, display };
}

/** The UUID in a reference to that type: `urn:uuid:…` or `Type/…`. */
export function uuidOf(ref: Ref, type: 'Organization' | 'Practitioner', urn: boolean): string | null {
  const match = /^(?:(urn:uuid:)|(?:.*\/)?(\w+)\/)([0-9a-fA-F-]{36})$/.exec(ref.key);
  if (!match || (match[1] ? !urn : match[2] !== type)) return null;
  return asUuid(match[3]);
}

/**
 * The UUID of a resource: its id, else that of its fullUrl, else one made from its identifying members.
 * @param fullUrl null also for contained resources, whose id has no meaning outside
 */
function stableId(resource: JsonObject, fullUrl: string | null, contained: boolean): string | null {
  const own = contained ? null : asUuid(resource['id']);
  if (own) return own;
  const url = fullUrl?.startsWith('urn:uuid:') ? asUuid(fullUrl.slice('urn:uuid:'.length)) : null;
  if (url) return url;
  const [first] = identifiers(resource);
  if (first) return nameUuid('identifier', first.system, first.value);
  if (contained) return null;
  if (fullUrl && /^https?:/.test(fullUrl)) return nameUuid('url', fullUrl);
  const id = text(resource['id']);
  // `Organization/1` is another organisation in every system; with the name, most of them differ.
  return id ? nameUuid('local', JSON.stringify([resource['resourceType'], id, resource['name'] ?? null])) : null;
}

/**
 * The identifiers by which a patient is found, at least one. A patient without any gets one made from its UUID, or from
 * its id, name and birth date.
 */
export function patientIdentifiers(resource: JsonObject, fullUrl: string | null): Identifier[] {
  const own = identifiers(resource);
  if (own.length > 0) return own;
  const urn = fullUrl?.startsWith('urn:uuid:') ? asUuid(fullUrl.slice('urn:uuid:'.length)) : null;
  const uuid = asUuid(resource['id']) ?? urn;
  const made =
    uuid ??
    nameUuid(
      'patient',
      fullUrl ?? '',
      JSON.stringify([resource['id'], resource['name'], resource['birthDate']].map((v) => v ?? null)),
    );
  return [{ system: 'urn:ietf:rfc:3986', value: `urn:uuid:${made}` }];
}

/** @returns null for a type that orders never refer to */
export function indexed(resource: JsonObject, file: string, fullUrl: string | null, contained = false): Indexed | null {
  switch (resource['resourceType']) {
    case 'Patient':
      return {
        type: 'Patient',
        identifiers: patientIdentifiers(resource, fullUrl),
        birthDate: text(resource['birthDate']),
        organisation: refOf(resource['managingOrganization'], file, 'Organization'),
      };
    case 'Organization':
      return { type: 'Organization', id: stableId(resource, fullUrl, contained), name: text(resource['name']) };
    case 'Practitioner':
      return { type: 'Practitioner', id: stableId(resource, fullUrl, contained), name: humanName(resource['name']) };
    case 'PractitionerRole':
      return {
        type: 'PractitionerRole',
        practitioner: refOf(resource['practitioner'], file, 'Practitioner'),
        organisation: refOf(resource['organization'], file, 'Organization'),
      };
    case 'Encounter':
      return { type: 'Encounter', organisation: refOf(resource['serviceProvider'], file, 'Organization') };
    case 'Medication':
      return { type: 'Medication', concept: object(resource['code']) };
    default:
      return null;
  }
}

/** The resources of all files of an import to which orders may refer. */
export class ResourceIndex {
  private readonly records = new Map<string, Indexed | 'ambiguous'>();

  /** @returns whether the resource's type is kept, or why the resource is refused */
  add(item: Item): boolean | Refusal {
    const record = indexed(item.resource, item.file, item.fullUrl);
    if (!record) return false;
    const fault = jsonFault(item.resource);
    if (fault) return new Refusal(fault);
    const id = text(item.resource['id']);
    const keys = item.fullUrl ? [item.fullUrl] : [];
    if (id) keys.push(`${record.type}/${id}`);
    // When Bundles are converted to NDJSON, fullUrls are lost but references stay unchanged.
    if (!item.fullUrl && asUuid(id)) keys.push(`urn:uuid:${id}`);
    for (const { system, value } of identifiers(item.resource))
      keys.push(`${record.type}?identifier=${system}|${value}`);
    for (const key of keys) {
      this.put(key, record);
      this.put(scoped(item.file, key), record);
    }
    return true;
  }

  private put(key: string, record: Indexed): void {
    const known = this.records.get(key);
    this.records.set(key, known === undefined || same(known, record) ? record : 'ambiguous');
  }

  /** Looks in the reference's own file first, then in all others. */
  find(ref: Ref): Found {
    return this.records.get(scoped(ref.file, ref.key)) ?? this.records.get(ref.key) ?? 'unknown';
  }
}

function scoped(file: string, key: string): string {
  return `${file}\n${key}`;
}

/** Whether two records have the same content, in whatever file. */
function same(a: Indexed | 'ambiguous', b: Indexed): boolean {
  const plain = (record: Indexed) =>
    JSON.stringify(record, (key, value: unknown) => (key === 'file' ? undefined : value));
  return a !== 'ambiguous' && plain(a) === plain(b);
}

/** The contained resource of a `#id` reference. */
export function containedIn(resource: JsonObject, ref: Ref): JsonObject | null {
  if (!ref.key.startsWith('#')) return null;
  return objects(resource['contained']).find((inner) => inner['id'] === ref.key.slice(1)) ?? null;
}
