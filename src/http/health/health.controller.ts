import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { Refuses } from '../openapi/refuses.js';
import { refuseRequest } from '../problem/problem.js';
import { PublicRoute } from '../public-route.js';
import { type PartState, Readiness } from './readiness.js';

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  @Get('live')
  @PublicRoute()
  @ApiOperation({ summary: 'Does the process run?' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @PublicRoute()
  @Refuses('health.not-ready')
  @ApiOperation({
    summary: 'Can the service serve now?',
    description: 'How database, Redis, relay and witnesses stand. The refusal holds the same details.',
  })
  async ready(): Promise<Record<string, PartState>> {
    const { ready, details } = await this.readiness.ask();
    if (!ready) throw refuseRequest('health.not-ready', { details });
    return details;
  }
}
