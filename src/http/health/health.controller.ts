import { PublicRoute } from '../public-route.js';
import type { Json } from '../../ledger/core/record/event.js';
import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  type HealthCheckResult,
  HealthCheckService,
  type HealthIndicatorResult,
  HealthIndicatorService,
} from '@nestjs/terminus';
import { refuseRequest } from '../problem/problem.js';
import { Readiness, type ReadinessCheck } from './readiness.js';

/** A part that does not answer within this time is down. */
const CHECK_MILLISECONDS = 2000;

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly readiness: Readiness,
  ) {}

  @Get('live')
  @PublicRoute()
  @ApiOperation({ summary: 'The process runs' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @PublicRoute()
  @ApiOperation({
    summary:
      'Database, Redis and relay are in order, and how witnessing stands; 503 with the same details when one is not',
  })
  async ready(): Promise<HealthCheckResult['details']> {
    try {
      const { details } = await this.health.check(this.readiness.checks.map((check) => () => this.ask(check)));
      return details;
    } catch (error) {
      if (!(error instanceof ServiceUnavailableException)) throw error;
      throw refuseRequest('health.not-ready', { details: detailsOf(error) });
    }
  }

  private async ask(part: ReadinessCheck): Promise<HealthIndicatorResult> {
    const indicator = this.indicators.check(part.name);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<{ up: false }>((resolve) => {
      timer = setTimeout(() => resolve({ up: false }), CHECK_MILLISECONDS);
    });
    try {
      const { up, ...numbers } = await Promise.race([part.check(), late]);
      return up ? indicator.up(numbers) : indicator.down(numbers);
    } catch {
      return indicator.down();
    } finally {
      clearTimeout(timer);
    }
  }
}

function detailsOf(error: ServiceUnavailableException): Json {
  const response = error.getResponse();
  return typeof response === 'object' && 'details' in response ? JSON.parse(JSON.stringify(response.details)) : {};
}
