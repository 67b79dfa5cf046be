import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { AdherenceModule } from './adherence/adherence.module.js';
import { CHAIN_MODELS } from './chain-models.js';
import { ChainsModule } from './log/chains/chains.module.js';
import { Clock } from './time/clock.js';
import type { Config } from './config/config.js';
import { ConfigModule } from './config/config.module.js';
import { DisclosureModule } from './log/disclosure/disclosure.module.js';
import { DispensingModule } from './dispensing/dispensing.module.js';
import { HealthModule } from './http/health/health.module.js';
import { MetricsModule } from './http/metrics/metrics.module.js';
import { Readiness } from './http/health/readiness.js';
import { IdentityModule } from './identity/identity.module.js';
import { LedgerModule } from './ledger/ledger.module.js';
import { LogModule } from './log/log.module.js';
import { PatientModule } from './patient/patient.module.js';
import { SigningModule } from './identity/signing-keys/signing.module.js';
import { PrescribingModule } from './prescribing/prescribing.module.js';
import { ReconciliationModule } from './reconciliation/reconciliation.module.js';

/** What runs in each role, side by side. */
@Module({})
export class AppModule implements OnModuleInit {
  constructor(
    private readonly readiness: Readiness,
    @InjectDataSource() private readonly source: DataSource,
  ) {}

  static for(config: Config, clock: Clock = new Clock()): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.with(config, clock),
        LedgerModule.with(CHAIN_MODELS),
        HealthModule,
        MetricsModule,
        LogModule,
        IdentityModule,
        PatientModule,
        PrescribingModule,
        DispensingModule,
        AdherenceModule,
        ChainsModule,
        DisclosureModule,
        ReconciliationModule,
        SigningModule,
      ],
    };
  }

  onModuleInit(): void {
    this.readiness.add({
      name: 'database',
      check: async () => {
        await this.source.query('SELECT 1');
        return { up: true };
      },
    });
  }
}
