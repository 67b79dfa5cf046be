/** OpenAPI 3.1 from the zod schemas that the routes check with. */
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { z } from 'zod';
import { problem, PROBLEM_TYPE } from './problem/problem.js';

export const DOCUMENT_PATH = '/api/openapi.json';
export const PAGE_PATH = '/api/docs';

/**
 * In JSON Schema 2020-12, the dialect of OpenAPI 3.1. Schemas that refer to themselves stand in `components`. Only JSON
 * values (`z.json()`) do, so zod's names for them always mean the same.
 */
function toJsonSchema(schema: z.core.$ZodType, io: 'input' | 'output') {
  const {
    $schema: _,
    $defs,
    ...rest
  } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' });
  return { schema: rest as Record<string, unknown>, components: ($defs ?? {}) as Record<string, object> };
}

export function createDocument(app: INestApplication): OpenAPIObject {
  const base = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('RxLedger')
    .setDescription('One record that prescribers, pharmacists and patients all write to and auditors can check.')
    .setVersion('1')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
    .addGlobalResponse({
      status: '4XX',
      description: 'Refused; nothing was recorded',
      content: { [PROBLEM_TYPE]: { schema: toJsonSchema(problem, 'output').schema } },
    })
    .build();
  return SwaggerModule.createDocument(app, base, {
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.ZodType ? toJsonSchema(schema, schemaType) : undefined,
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}.${method}`,
  });
}

/** Serves the document at {@link DOCUMENT_PATH} and a page for people at {@link PAGE_PATH}; built at the first look. */
export function serveDocument(app: INestApplication): void {
  SwaggerModule.setup(PAGE_PATH, app, () => createDocument(app), {
    jsonDocumentUrl: DOCUMENT_PATH,
    raw: ['json'],
    customSiteTitle: 'RxLedger API',
  });
}
