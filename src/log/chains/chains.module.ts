import { Module } from '@nestjs/common';
import { Config } from '../../config/config.js';
import { loadOrCreateKey } from '../../ledger/crypto/key-files.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { CHAIN_HEAD_KEY_FILE, ChainHeadKey } from './chain-head-key.js';
import { ChainsController } from './chains.controller.js';
import { ChainsService } from './chains.service.js';

@Module({
  controllers: [ChainsController],
  providers: [
    ChainsService,
    {
      provide: ChainHeadKey,
      inject: [Config, LedgerReader],
      useFactory: ({ keysDir }: Config, { origin }: LedgerReader) =>
        new ChainHeadKey(origin, loadOrCreateKey(keysDir, CHAIN_HEAD_KEY_FILE)),
    },
  ],
})
export class ChainsModule {}
