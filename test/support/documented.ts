/** Reads the operations in the API's OpenAPI document. */

export interface Media {
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly example?: unknown;
}
interface Response {
  readonly description: string;
  readonly content?: Readonly<Record<string, Media>>;
}
export interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema?: object }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Response | { readonly $ref: string }>>;
  readonly security?: readonly Readonly<Record<string, string[]>>[];
  readonly 'x-action': string;
  readonly 'x-roles'?: readonly string[];
}
export interface ApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly responses: Readonly<Record<string, Response>>;
    readonly securitySchemes: Readonly<Record<string, { readonly type: string }>>;
  };
}

export interface NamedOperation {
  /** `POST /api/prescriptions/{id}/claim` */
  readonly name: string;
  readonly path: string;
  readonly operation: Operation;
}

export function operationsOf({ paths }: ApiDocument): NamedOperation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
}

/** Refusal codes that the operation documents, with their status: `409 claim.none`. */
export function codesOf({ responses }: Operation): string[] {
  return Object.entries(responses).flatMap(([status, response]) => {
    const content = 'content' in response ? response.content : undefined;
    const all = (content?.['application/problem+json']?.schema?.['allOf'] ?? []) as Media['schema'][];
    return all.flatMap((part) => {
      const { code } = (part?.['properties'] ?? {}) as { code?: { enum: string[] } };
      return code?.enum.map((one) => `${status} ${one}`) ?? [];
    });
  });
}

/** A refusal that a test has received. */
export interface Met {
  readonly method: 'GET' | 'POST';
  /** Without its query. */
  readonly path: string;
  /** `409 claim.none` */
  readonly refusal: string;
}

/** Received refusals that their operation does not document. Addresses without an operation are skipped. */
export function undocumented(document: ApiDocument, met: readonly Met[], general: ReadonlySet<string>): string[] {
  const operations = operationsOf(document).map((one) => ({
    ...one,
    pattern: new RegExp(`^${one.path.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`),
    codes: new Set(codesOf(one.operation)),
  }));
  // Exact paths first, so that `/patients/search` does not match `/patients/{id}`.
  const exactFirst = operations.toSorted((a, b) => a.path.split('{').length - b.path.split('{').length);
  return met.flatMap(({ method, path, refusal }) => {
    const found = exactFirst.find(({ name, pattern }) => name.startsWith(`${method} `) && pattern.test(path));
    return !found || found.codes.has(refusal) || general.has(refusal) ? [] : [`${found.name}: ${refusal}`];
  });
}
