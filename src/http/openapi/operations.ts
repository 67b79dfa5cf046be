/** What the document says of every operation beyond its schemas: who may call it, how it refuses, an example. */
import type { OpenAPIObject } from '@nestjs/swagger';
import { PROBLEM_TYPE, problemOf } from '../problem/problem.js';
import { type RefusalCode, REFUSALS } from '../../refusals/refusals.js';
import { REFUSES } from './refuses.js';

/** Where a route says which roles may call it; every role there is, where it names none. */
export const ROLES = 'x-roles';

/** Any request can be refused with these. */
const GENERAL: readonly RefusalCode[] = [
  'request.malformed',
  'request.invalid',
  'request.not-found',
  'request.timeout',
  'request.headers-too-large',
  'request.malformed-json',
  'request.malformed-form',
  'request.invalid-utf8',
  'request.duplicate-key',
  'request.forbidden-key',
  'request.forbidden-character',
  'request.too-deep',
  'request.too-large',
  'request.unsupported-media-type',
  'request.encoded',
  'request.header-twice',
  'request.method-not-allowed',
  'ledger.unavailable',
  'internal',
];

/** Refusals of everything that an Idempotency-Key can be sent with. */
const OF_A_KEY: readonly RefusalCode[] = [
  'request.idempotency-key-invalid',
  'idempotency.in-progress',
  'idempotency.key-reused',
  // A repeat of a request, once what it made was erased.
  'ledger.erased',
];

/** Refusals of everything that people sign who have enrolled a key. */
const OF_A_SIGNATURE: readonly RefusalCode[] = [
  'signature.required',
  'signature.command-id-missing',
  'signature.malformed',
  'signature.not-now',
  'signature.key-unknown',
  'signature.key-revoked',
  'signature.wrong',
];

export const REFUSED = 'Refused';

export const PROBLEM = { $ref: '#/components/schemas/Problem' } as const;

const DONE: Readonly<Record<string, string>> = { '200': 'Done', '201': 'Recorded' };

/** Codes that follow from the kind of an operation, by that kind: the document explains them once. */
export const IMPLIED: readonly { readonly when: string; readonly codes: readonly RefusalCode[] }[] = [
  { when: 'Any request', codes: GENERAL },
  { when: 'A request that needs a token', codes: ['access.unauthenticated', 'access.forbidden'] },
  { when: 'A request that takes an `Idempotency-Key`', codes: OF_A_KEY },
  { when: 'A request that takes a `signature`', codes: OF_A_SIGNATURE },
];

interface Media {
  schema?: Schema;
  example?: unknown;
}
interface Schema {
  $ref?: string;
  properties?: Record<string, unknown>;
  anyOf?: Schema[];
  oneOf?: Schema[];
  example?: unknown;
  [member: string]: unknown;
}
interface Response {
  description: string;
  content?: Record<string, Media>;
}
interface Operation {
  description?: string;
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Response | { $ref: string }>;
  security?: unknown[];
  [extension: `x-${string}`]: unknown;
}

/** Completes each operation of the document, in place. */
export function describeOperations(document: OpenAPIObject): void {
  const schemas = (document.components?.schemas ?? {}) as Record<string, Schema>;
  const named = ({ $ref }: Schema): Schema | undefined => ($ref === undefined ? undefined : schemas[nameIn($ref)]);
  for (const item of Object.values(document.paths)) {
    for (const operation of Object.values(item) as Operation[]) {
      const bodies = Object.values(operation.requestBody?.content ?? {});
      for (const media of bodies) {
        const schema = media.schema && (named(media.schema) ?? media.schema);
        if (schema?.example !== undefined) media.example = schema.example;
      }
      operation.description = [operation.description, whoMay(operation)].filter(Boolean).join('\n\n');
      const signed = bodies.some(({ schema }) => schema && takesSignature(named(schema) ?? schema));
      addRefusals(operation, ownCodes(operation), impliedCodes(operation, signed));
      for (const [status, answer] of Object.entries(operation.responses)) {
        if ('description' in answer && answer.description === '') answer.description = DONE[status] ?? 'Done';
      }
    }
  }
  for (const schema of Object.values(schemas)) delete schema.example;
}

const nameIn = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1);

const ownCodes = (operation: Operation) => (operation[REFUSES] ?? []) as readonly RefusalCode[];

function takesSignature({ properties, anyOf, oneOf }: Schema): boolean {
  return properties?.['signature'] !== undefined || [...(anyOf ?? []), ...(oneOf ?? [])].some(takesSignature);
}

function whoMay(operation: Operation): string {
  if (operation.security === undefined) return '**Who may:** anybody, without a token.';
  const roles = operation[ROLES] as readonly string[] | undefined;
  return `**Who may:** ${roles?.join(', ') ?? 'everybody who is signed in'}.`;
}

/** What follows from the kind of the operation. */
function impliedCodes({ parameters = [], security, ...said }: Operation, signed: boolean): RefusalCode[] {
  const takesKey = parameters.some(({ name }) => name === 'Idempotency-Key');
  return [
    'request.invalid',
    ...(security ? (['access.unauthenticated'] as const) : []),
    ...(security && said[ROLES] ? (['access.forbidden'] as const) : []),
    ...(takesKey ? OF_A_KEY : []),
    ...(signed ? OF_A_SIGNATURE : []),
  ];
}

/**
 * One answer for each status, with its codes; {@link REFUSED} is for all others.
 * @param own with their titles
 * @param implied named only: the document explains them once
 */
function addRefusals(operation: Operation, own: readonly RefusalCode[], implied: readonly RefusalCode[]): void {
  const { responses } = operation;
  const codes = [...new Set([...own, ...implied])];
  for (const status of new Set(codes.map((code) => REFUSALS[code].status))) {
    const here = codes.filter((code) => REFUSALS[code].status === status);
    const [first] = here;
    const explained = here.filter((code) => own.includes(code));
    const named = here.filter((code) => !own.includes(code)).map((code) => `\`${code}\``);
    const known = responses[status];
    const described = known && 'description' in known ? known : undefined;
    const lines = [
      ...(described ? [described.description, ''] : []),
      ...explained.map((code) => `- \`${code}\`: ${REFUSALS[code].title}`),
      ...(named.length > 0 ? [`- ${explained.length > 0 ? 'also ' : ''}${named.join(', ')}`] : []),
    ];
    responses[status] = {
      description: lines.join('\n'),
      content: {
        ...described?.content,
        [PROBLEM_TYPE]: {
          schema: { allOf: [PROBLEM, { properties: { code: { enum: here } } }] },
          example: first && problemOf({ code: first, facts: {} }),
        },
      },
    };
  }
  responses['default'] = { $ref: `#/components/responses/${REFUSED}` };
  delete operation[REFUSES];
}

/** {@link IMPLIED} in Markdown. */
export function explainImplied(): string {
  return IMPLIED.map(({ when, codes }) => {
    const lines = codes.map((code) => `- ${REFUSALS[code].status} \`${code}\`: ${REFUSALS[code].title}`);
    return `${when} can be refused with:\n\n${lines.join('\n')}`;
  }).join('\n\n');
}
