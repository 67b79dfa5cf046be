import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { refuseRequest } from '../problem/problem.js';
import { PublicRoute } from '../public-route.js';
import { type PartState, Readiness } from './readiness.js';

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

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
  async ready(): Promise<Record<string, PartState>> {
    const { ready, details } = await this.readiness.ask();
    if (!ready) throw refuseRequest('health.not-ready', { details });
    return details;
  }
}
