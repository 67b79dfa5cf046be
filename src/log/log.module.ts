import { Module } from '@nestjs/common';
import { LogController } from './log.controller.js';
import { LogFiles } from './log-files.js';
import { Published } from './published.js';
import { Publisher } from './publisher.js';

/** What the outside sees of the log, and when (design 3). Needs the modules of configuration, ledger and HTTP. */
@Module({
  controllers: [LogController],
  providers: [LogFiles, Published, Publisher],
  exports: [Published],
})
export class LogModule {}
