import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Clock } from '../config/clock.js';
import { Config } from '../config/config.js';
import { loadOrCreateKey } from '../ledger/key-files.js';
import { AccessGuard } from './access.guard.js';
import { AccountsController } from './accounts.controller.js';
import { Accounts } from './accounts.js';
import { AuthController } from './auth.controller.js';
import { ClientSignIn } from './client-sign-in.js';
import { ClientsController } from './clients.controller.js';
import { Clients } from './clients.js';
import { Organisations } from './organisations.js';
import { SignIn } from './sign-in.js';
import { Tokens } from './tokens.js';

@Module({
  controllers: [AuthController, AccountsController, ClientsController],
  providers: [
    Accounts,
    Clients,
    ClientSignIn,
    Organisations,
    SignIn,
    {
      provide: Tokens,
      inject: [Config, Clock, Accounts],
      useFactory: (config: Config, clock: Clock, accounts: Accounts) =>
        new Tokens(loadOrCreateKey(config.keysDir, 'token.key'), clock, (id) => accounts.isActive(id)),
    },
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [Accounts, Organisations, Tokens],
})
export class IdentityModule {}
