import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Clock } from '../time/clock.js';
import { Config } from '../config/config.js';
import { loadOrCreateKey } from '../ledger/crypto/key-files.js';
import { AccessGuard } from './guard/access.guard.js';
import { AccountsController } from './accounts/accounts.controller.js';
import { Accounts } from './accounts/accounts.js';
import { AuthController } from './auth.controller.js';
import { ClientSignIn } from './machines/client-sign-in.js';
import { ClientsController } from './machines/clients.controller.js';
import { Clients } from './machines/clients.js';
import { Organisations } from './organisations.js';
import { SignIn } from './accounts/sign-in.js';
import { TokenFirst } from './guard/token-first.js';
import { Tokens } from './guard/tokens.js';

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
    TokenFirst,
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [Accounts, Organisations, Tokens],
})
export class IdentityModule {}
