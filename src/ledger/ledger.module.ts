import { type DynamicModule, Global, Inject, Logger, Module, type OnApplicationShutdown } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { Clock } from '../time/clock.js';
import { Config } from '../config/config.js';
import { LedgerReader } from './ledger.reader.js';
import { LedgerWriter } from './ledger.writer.js';
import type { ChainModel } from './model.js';
import { type Ledger, openLedger } from './start/open-ledger.js';
import { ReadDb } from './read/read-db.js';
import { RevokedKeys } from './start/revoke-again.js';
import { Vault } from './keys/vault.js';

const LEDGER = Symbol('ledger');

/** Opens the ledger with the application, and closes it after all modules that write. */
@Global()
@Module({})
export class LedgerModule implements OnApplicationShutdown {
  constructor(@Inject(LEDGER) private readonly ledger: Ledger) {}

  static with(models: readonly ChainModel[]): DynamicModule {
    const logger = new Logger('Ledger');
    return {
      module: LedgerModule,
      providers: [
        {
          provide: LEDGER,
          inject: [Config, Clock],
          useFactory: (config: Config, clock: Clock) =>
            openLedger(config, clock, models, (event, detail) => logger.error(JSON.stringify({ event, ...detail }))),
        },
        // The readers' data source, for code that gets it from TypeORM's module.
        { provide: getDataSourceToken(), inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.source },
        { provide: LedgerWriter, inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.writer },
        { provide: ReadDb, inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.db },
        { provide: LedgerReader, inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.reader },
        { provide: RevokedKeys, inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.revoked },
        { provide: Vault, inject: [LEDGER], useFactory: (ledger: Ledger) => ledger.vault },
      ],
      exports: [getDataSourceToken(), LedgerWriter, LedgerReader, ReadDb, RevokedKeys, Vault],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.ledger.close();
  }
}
