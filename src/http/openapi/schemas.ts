/** JSON Schema 2020-12, which is what OpenAPI 3.1 speaks, from the zod schemas that the routes check with. */
import { z } from 'zod';

export interface Converted {
  readonly schema: Record<string, unknown>;
  /** Schemas with a name, `.meta({ id })`, that this one refers to. */
  readonly components: Record<string, object>;
}

/**
 * A member that the schema lets pass when it is missing, so that the domain can name everything that is missing in one
 * refusal. The document says that it is required, as it is.
 */
export function demanded<T extends z.ZodType>(schema: T) {
  return schema
    .nullable()
    .default(null)
    .meta({ [DEMANDED]: true });
}
const DEMANDED = 'x-demanded';

/**
 * @returns a converter that gives each name one meaning
 * @throws {Error} (the converter) when two schemas have the same name and differ: a request's and an answer's shape of
 *   a thing need two names where a default makes them differ
 */
export function schemaConverter(): (schema: z.core.$ZodType, io: 'input' | 'output') => Converted {
  const known = new Map<string, string>();
  return (schema, io) => {
    const {
      $schema: _,
      $defs = {},
      ...rest
    } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' });
    for (const [name, component] of Object.entries($defs)) {
      tidy(component);
      const text = JSON.stringify(component);
      if ((known.get(name) ?? text) !== text) throw new Error(`two schemas are called ${name}`);
      known.set(name, text);
    }
    tidy(rest);
    return { schema: rest, components: $defs };
  };
}

type Json = z.core.JSONSchema.BaseSchema;

/** Walks the schema and all within, in place. */
function tidy(schema: Json): void {
  withoutNoise(schema);
  const { properties = {} } = schema;
  for (const [name, member] of Object.entries(properties)) {
    if (typeof member !== 'object' || !member[DEMANDED]) continue;
    const [inner] = member.anyOf ?? [];
    if (typeof inner !== 'object') throw new Error(`${name} is demanded and has no schema`);
    const { [DEMANDED]: _demanded, anyOf: _anyOf, default: _default, ...said } = member;
    properties[name] = { ...inner, ...said };
    schema.required = [...(schema.required ?? []), name];
  }
  for (const within of Object.values(schema)) if (typeof within === 'object' && within !== null) tidy(within as Json);
}

/** zod writes out what a format says anyway, that a number is a safe integer, and that names of members are text. */
function withoutNoise(schema: Json): void {
  if (typeof schema.format === 'string') delete schema.pattern;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.propertyNames && Object.keys(schema.propertyNames).join() === 'type') delete schema.propertyNames;
}
