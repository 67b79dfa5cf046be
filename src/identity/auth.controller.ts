import { PublicRoute } from '../http/public-route.js';
import { Body, Controller, Get, Header, HttpCode, Post, Req } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import {
  ApiBadRequestResponse,
  ApiConsumes,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
  ApiUnauthorizedResponse,
} from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { JWK } from 'jose';
import { z } from 'zod';
import { Config } from '../config/config.js';
import { Refuses } from '../http/openapi/refuses.js';
import { oauthProblem } from '../http/problem/oauth-error.js';
import { RefusalException, refuseRequest } from '../http/problem/problem.js';
import { ASSERTION_TYPE, audiencesOf, TOKEN_PATH } from './machines/client-assertion.js';
import { ClientSignIn } from './machines/client-sign-in.js';
import { SignIn } from './accounts/sign-in.js';
import { Tokens } from './guard/tokens.js';

const credentials = z.strictObject({ username: z.string().toLowerCase().max(64), password: z.string().max(200) }).meta({
  id: 'Credentials',
  title: 'Credentials',
  example: { username: 'prescriber', password: 'paste-the-password-that-serve-printed' },
});
const signedIn = z
  .object({
    accessToken: z.string().describe('send it as `Authorization: Bearer …`'),
    expiresIn: z.number().int().describe('seconds'),
  })
  .meta({ id: 'SignedIn', title: 'SignedIn' });

/** RFC 6749 section 4.4.2 with RFC 7523 section 2.2. Other parameters are ignored (RFC 6749 section 3.2). */
const tokenRequest = z
  .object({
    grant_type: z.string().max(200).describe('`client_credentials`'),
    client_assertion_type: z.string().max(200).optional().describe(`\`${ASSERTION_TYPE}\``),
    client_assertion: z
      .string()
      .max(3800)
      .optional()
      .describe(
        'a JWT that a registered key has signed: iss and sub are the client id, aud this endpoint, exp at most 5 minutes ahead, jti used once',
      ),
    client_id: z.string().max(200).optional().describe('not needed; if sent, it must be that of the assertion'),
    scope: z.string().max(200).optional().describe('leave it out: the role says what the client may do'),
  })
  .meta({
    id: 'TokenRequest',
    title: 'TokenRequest',
    example: {
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: 'paste-a-jwt-that-your-key-has-signed',
    },
  });
const tokenAnswer = z
  .object({
    access_token: z.string().describe('send it as `Authorization: Bearer …`'),
    token_type: z.literal('Bearer'),
    expires_in: z.number().int().describe('seconds'),
  })
  .meta({ id: 'AccessToken', title: 'AccessToken' });

@ApiTags('people')
@Controller()
export class AuthController {
  constructor(
    private readonly signIn: SignIn,
    private readonly tokens: Tokens,
    private readonly clientSignIn: ClientSignIn,
    private readonly config: Config,
  ) {}

  @Post('api/auth/sign-in')
  @HttpCode(200)
  @PublicRoute()
  // Uses the server's limit; an account's own lock is in SignIn.
  @RouteConfig({ rateLimit: {} })
  @Refuses('identity.sign-in-refused', 'request.rate-limited')
  @ApiOperation({
    summary: 'Sign in with user name and password',
    description: 'The token holds for 15 minutes.',
  })
  @ApiOkResponse({ standardSchema: signedIn })
  async create(
    @Req() { ip }: FastifyRequest,
    @Body({ schema: credentials }) body: z.output<typeof credentials>,
  ): Promise<z.output<typeof signedIn>> {
    const actor = await this.signIn.check(body.username, body.password, ip);
    if ('refusal' in actor) throw new RefusalException(actor.refusal);
    return this.tokens.issue(actor);
  }

  @Post(TOKEN_PATH)
  @HttpCode(200)
  @PublicRoute()
  @RouteConfig({ rateLimit: {}, oauth: true })
  @Header('pragma', 'no-cache')
  @Refuses('identity.client-refused', 'identity.grant-unsupported', 'identity.scope-unknown', 'request.rate-limited')
  @ApiOperation({
    summary: 'Sign in as a machine',
    description: 'OAuth 2.0 client credentials with `private_key_jwt` (RFC 6749 section 4.4, RFC 7523 section 2.2).',
  })
  @ApiConsumes('application/x-www-form-urlencoded', 'application/json')
  @ApiOkResponse({ standardSchema: tokenAnswer })
  @ApiBadRequestResponse({ standardSchema: oauthProblem, description: 'RFC 6749 section 5.2' })
  @ApiUnauthorizedResponse({ standardSchema: oauthProblem, description: 'invalid_client' })
  async token(
    @Req() { socket }: FastifyRequest,
    @Body({ schema: tokenRequest }) body: z.output<typeof tokenRequest>,
  ): Promise<z.output<typeof tokenAnswer>> {
    if (body.grant_type !== 'client_credentials') throw refuseRequest('identity.grant-unsupported');
    if (body.scope !== undefined) throw refuseRequest('identity.scope-unknown');
    // RFC 6749 has one error code for a wrong kind of authentication and for none.
    const assertion = body.client_assertion_type === ASSERTION_TYPE ? body.client_assertion : undefined;
    const audiences = audiencesOf(this.config.env.PUBLIC_URL, socket.localPort);
    const actor = await this.clientSignIn.check(assertion, body.client_id, audiences);
    if ('refusal' in actor) throw new RefusalException(actor.refusal);
    const { accessToken, expiresIn } = await this.tokens.issue(actor);
    return { access_token: accessToken, token_type: 'Bearer', expires_in: expiresIn };
  }

  @Get('.well-known/jwks.json')
  @PublicRoute()
  @ApiOperation({ summary: 'Get the public keys that check access tokens (RFC 7517)' })
  jwks(): Promise<{ keys: JWK[] }> {
    return this.tokens.jwks();
  }
}
