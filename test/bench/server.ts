/**
 * The real service with one route more: `POST /bench/noop` checks the same token, key and body as
 * `POST /api/prescriptions`, records nothing, and answers as many bytes. Runs in the role `api`: workers would take
 * time from the windows of both routes.
 */
import { randomUUID } from 'node:crypto';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { z } from 'zod';
import { AppModule } from '../../src/app.module.js';
import { Clock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { By } from '../../src/http/write/by.js';
import { createLogger } from '../../src/config/logging.js';
import { createServer } from '../../src/http/server.js';
import { Action } from '../../src/identity/guard/access.js';
import { seedDemo } from '../../src/seed/demo-accounts.js';
import { enrolDemoPatient } from '../../src/seed/demo-patients.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { PrescribingController } from '../../src/prescribing/prescribing.controller.js';

/** Prescriptions are spread over these, as over the patients of a practice's day. */
const PATIENTS = 200;

/** The very schema that `POST /api/prescriptions` checks with, so that the two cannot drift apart. */
function issueSchema(): z.ZodType {
  const parameters: Record<string, { schema?: unknown }> = Reflect.getMetadata(
    ROUTE_ARGS_METADATA,
    PrescribingController,
    'issue',
  );
  const schema = Object.values(parameters).find((parameter) => parameter.schema !== undefined)?.schema;
  if (!(schema instanceof z.ZodType)) throw new Error('POST /api/prescriptions has no body schema');
  return schema;
}

@Controller('bench')
class NoopController {
  @Post('noop')
  @Action('prescription.issue')
  accept(@By() by: By, @Body({ schema: issueSchema() }) body: unknown): NoopAnswer {
    const repeatable = by.idempotency !== undefined;
    return { by: by.actor.id, repeatable, members: Object.keys(Object(body)).length, filler };
  }
}

interface NoopAnswer {
  readonly by: string;
  readonly repeatable: boolean;
  readonly members: number;
  readonly filler: string;
}

/** Makes the answer of the no-op as long as it is to be. */
let filler = '';
const EMPTY_ANSWER: NoopAnswer = { by: randomUUID(), repeatable: true, members: 10, filler: '' };
const EMPTY_BYTES = JSON.stringify(EMPTY_ANSWER).length;

const config = Config.parse({ ...process.env, ROLE: 'api', PORT: '0' });

@Module({ imports: [AppModule.for(config)], controllers: [NoopController] })
class BenchModule {}

const app = await createServer(BenchModule, config, createLogger(config));
await app.init();
const writer = app.get(LedgerWriter);
const reader = app.get(LedgerReader);
await seedDemo({
  writer,
  vault: app.get(Vault),
  clock: app.get(Clock),
  password: config.env.DEMO_PASSWORD,
  enrol: (patient) => enrolDemoPatient(writer, reader, patient),
});
const patients = await Promise.all(
  Array.from({ length: PATIENTS }, (_, number) =>
    enrolDemoPatient(writer, reader, {
      name: `Bench Patient ${number}`,
      birthDate: '1970-01-01',
      address: `${number} Measure Street`,
      identifiers: [{ system: 'urn:rxledger:bench', value: randomUUID() }],
    }),
  ),
);
await app.listen(0, '127.0.0.1');

process.on('message', (message) => {
  if (typeof message === 'number') filler = 'x'.repeat(Math.max(0, message - EMPTY_BYTES));
  const { user, system } = process.cpuUsage();
  process.send?.({ cpu: user + system, busy: performance.eventLoopUtilization().active * 1000 });
});
process.send?.({ port: Number(new URL(await app.getUrl()).port), patients });
