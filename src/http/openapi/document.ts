/** The OpenAPI 3.1 document of the service, and the page that shows it. */
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { problem, PROBLEM_TYPE } from '../problem/problem.js';
import { describeOperations, explainImplied, PROBLEM, REFUSED } from './operations.js';
import { schemaConverter } from './schemas.js';
import { TAGS } from './tags.js';

export const DOCUMENT_PATH = '/api/openapi.json';
export const PAGE_PATH = '/api/docs';

const DESCRIPTION = `One record that prescribers, pharmacies and patients all write to, and that auditors can check.

**First calls.** \`POST /api/auth/sign-in\` with user name and password gives an access token; send it as \`Authorization: Bearer …\`. On this page, paste it under **Authorize**. In development mode \`rxledger serve\` prints the user names with their passwords.

**Examples.** Every write has a body here that works on a development server. Values that only an earlier answer knows read \`paste-…\`, for example \`paste-the-token-of-the-prescription\`. Ids in addresses come from earlier answers too.

**Writing.** Every write answers the new state and its receipt, which proves that it was recorded. Send an \`Idempotency-Key\` of your own making with each write: the same request may then be sent again after a lost answer.

**Reading.** Whoever has no relation to a record gets 404, as if it did not exist. The patient sees who read their data.

**Refusals** are RFC 9457 problems, \`application/problem+json\`. Decide by the member \`code\`, which is stable. Each operation lists its own codes with their meaning, and names the common ones.

<details><summary>Common refusals</summary>

${explainImplied()}

</details>`;

/** @returns the document; the same for every process of one version */
export function createDocument(app: INestApplication): OpenAPIObject {
  const convert = schemaConverter();
  const builder = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('RxLedger')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
  for (const [tag, description] of Object.entries(TAGS)) builder.addTag(tag, description);
  const document = SwaggerModule.createDocument(app, builder.build(), {
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.ZodType ? convert(schema, schemaType) : undefined,
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}.${method}`,
  });
  const { components } = convert(problem, 'output');
  document.components = {
    ...document.components,
    schemas: { ...document.components?.schemas, ...components },
    responses: {
      [REFUSED]: {
        description: 'Refused, and nothing was recorded. See "Refusals" at the top.',
        content: { [PROBLEM_TYPE]: { schema: PROBLEM } },
      },
    },
  };
  describeOperations(document);
  return document;
}

/**
 * Serves the document at {@link DOCUMENT_PATH} and a page for people at {@link PAGE_PATH}, to which `/` leads; built at
 * the first look.
 */
export function serveDocument(app: INestApplication): void {
  SwaggerModule.setup(PAGE_PATH, app, () => createDocument(app), {
    jsonDocumentUrl: DOCUMENT_PATH,
    raw: ['json'],
    customSiteTitle: 'RxLedger API',
    customCss: '.swagger-ui .topbar { display: none }',
    // A link leads to an operation; the shapes stand folded at the end. The token is not kept when the page is closed.
    swaggerOptions: {
      deepLinking: true,
      defaultModelsExpandDepth: 0,
      tryItOutEnabled: true,
      persistAuthorization: false,
    },
  });
  app.getHttpAdapter().get('/', (_: unknown, reply: FastifyReply) => void reply.redirect(PAGE_PATH, 302));
}
