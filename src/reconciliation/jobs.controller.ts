import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf } from '../http/body/paging.js';
import { Refuses } from '../http/openapi/refuses.js';
import { refuseRequest } from '../http/problem/problem.js';
import { Action } from '../identity/guard/access.js';
import { JobsUnavailable } from '../queue/queues.js';
import { JOB_QUEUES, Jobs } from './jobs.js';

const failedJob = z
  .object({
    id: z.string(),
    queue: z.enum(JOB_QUEUES),
    subject: z.number().int().nullable().describe('number of the patient whose records were to be compared'),
    attempts: z.number().int(),
    reason: z.string().describe('class and code of the last error'),
    failedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'FailedJob', title: 'FailedJob' });
const jobQuery = listQuery(numberCursor, {});
const page = pageOf(failedJob, 'FailedJobPage');
const retried = z.object({ id: z.string(), retried: z.literal(true) }).meta({ id: 'RetriedJob', title: 'RetriedJob' });
const jobId = z
  .string()
  .regex(/^(reconcile|timers)\.[\w:-]{1,100}$/, 'must be the id of a failed job, as the list names it');

/** The dead-letter view: ids and classes of error only, no health data. */
@ApiTags('health')
@Controller('api/jobs')
export class JobsController {
  constructor(private readonly jobs: Jobs) {}

  @Get('failed')
  @Action('jobs.read')
  @Refuses('jobs.unavailable')
  @ApiOperation({ summary: 'List the jobs that used up their attempts, newest first' })
  @ApiOkResponse({ standardSchema: page })
  failed(@Query({ schema: jobQuery }) query: z.output<typeof jobQuery>): Promise<z.output<typeof page>> {
    return asked(() => this.jobs.failed(query));
  }

  @Post('failed/:id/retry')
  @HttpCode(200)
  @Action('jobs.retry')
  @Refuses('jobs.unknown', 'jobs.unavailable')
  @ApiOperation({ summary: 'Run a failed job again' })
  @ApiOkResponse({ standardSchema: retried })
  async retry(@Param('id', { schema: jobId }) id: string): Promise<z.output<typeof retried>> {
    if (!(await asked(() => this.jobs.retry(id)))) throw refuseRequest('jobs.unknown');
    return { id, retried: true };
  }
}

async function asked<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (error instanceof JobsUnavailable) throw refuseRequest('jobs.unavailable');
    throw error;
  }
}
