import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { Config } from './config.js';

@Global()
@Module({})
export class ConfigModule {
  /** @param clock another clock than the machine's, for the demo and for tests */
  static with(config: Config, clock: Clock = new Clock()): DynamicModule {
    return {
      module: ConfigModule,
      providers: [
        { provide: Config, useValue: config },
        { provide: Clock, useValue: clock },
      ],
      exports: [Config, Clock],
    };
  }
}
