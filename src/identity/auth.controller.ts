import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { JWK } from 'jose';
import { z } from 'zod';
import { RefusalException } from '../http/problem.js';
import { Action } from './access.js';
import { SignIn } from './sign-in.js';
import { Tokens } from './tokens.js';

const credentials = z.strictObject({ username: z.string().toLowerCase().max(64), password: z.string().max(200) });
const signedIn = z.object({
  accessToken: z.string().describe('JWT, EdDSA; for the Authorization header as Bearer'),
  expiresIn: z.number().int().describe('seconds'),
});

@ApiTags('people')
@Controller()
export class AuthController {
  constructor(
    private readonly signIn: SignIn,
    private readonly tokens: Tokens,
  ) {}

  @Post('api/auth/sign-in')
  @HttpCode(200)
  @Action('public')
  // The limit itself is the server's; an account's own lock is in SignIn.
  @RouteConfig({ rateLimit: {} })
  @ApiOperation({ summary: 'Sign in with user name and password' })
  @ApiOkResponse({ standardSchema: signedIn })
  async create(@Body({ schema: credentials }) body: z.output<typeof credentials>): Promise<z.output<typeof signedIn>> {
    const actor = await this.signIn.check(body.username, body.password);
    if ('refusal' in actor) throw new RefusalException(actor.refusal);
    return this.tokens.issue(actor);
  }

  @Get('.well-known/jwks.json')
  @Action('public')
  @ApiOperation({ summary: 'Public keys of access tokens (RFC 7517)' })
  jwks(): Promise<{ keys: JWK[] }> {
    return this.tokens.jwks();
  }
}
