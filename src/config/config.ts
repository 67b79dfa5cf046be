import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { speakPlainly } from '../refusals/wording.js';

speakPlainly();

const seconds = (value: number, minimum = 0.05) => z.coerce.number().min(minimum).max(86_400).default(value);
const count = (value: number, maximum: number) => z.coerce.number().int().min(1).max(maximum).default(value);

/** Whether `proxy-addr`, which Fastify asks, takes this as an address or a range. */
function isRange(text: string): boolean {
  if (text === 'loopback') return true;
  const [address = '', prefix = '0', ...more] = text.split('/');
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  return bits > 0 && more.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits;
}

/** Every setting with its default and meaning; `npm run docs` makes the table in src/cli/README.md from it. */
export const settings = z
  .object({
    NODE_ENV: z
      .string()
      .default('development')
      .describe('`production` refuses development accounts, default secrets and a Redis that nobody named'),
    ROLE: z
      .enum(['api', 'worker', 'all'])
      .default('all')
      .describe('what this process runs: `api`, `worker`, or `all` of it'),
    HOST: z.string().default('127.0.0.1').describe('address to listen on; outside production only a loopback address'),
    PORT: z.coerce.number().int().min(0).max(65_535).default(3000).describe('port to listen on; `0` takes a free one'),
    DATA_DIR: z.string().default('data').describe('folder of the SQLite file, the keys and the head file'),
    DATABASE_URL: z
      .string()
      .regex(/^(postgres(ql)?:\/\/|sqlite:)/, 'must begin with postgres://, postgresql:// or sqlite:')
      .optional()
      .describe('`postgres://…` or `sqlite:<path>`; without it SQLite in DATA_DIR/rxledger.sqlite'),
    REDIS_URL: z
      .string()
      .regex(/^(rediss?|unix):\/\//, 'must begin with redis:// or rediss://')
      .optional()
      .describe('`redis://…`; without it a Redis on this machine is found or, outside production, started'),
    LOG_ORIGIN: z
      .string()
      .regex(/^[^\s+\p{Cc}]{1,200}$/u, 'must have no space, no plus and no control character')
      .optional()
      .describe('name of the log; without it the first start makes a random one and stores it'),
    LOG_LEVEL: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
      .default('info')
      .describe('least severe log line that is written'),
    RELAY_POLL_SECONDS: seconds(1).describe(
      'how often the relay looks for entries that other processes wrote, in seconds',
    ),
    PUBLISH_SECONDS: z.coerce
      .number()
      .min(0.05)
      .max(86_400)
      .optional()
      .describe('how often the public checkpoint may move, in seconds'),
    WITNESS_POLICY: z
      .string()
      .optional()
      .describe(
        'path of a C2SP tlog-policy file: its witnesses are asked to cosign, and only checkpoints with its quorum are served',
      ),
    SWEEP_SECONDS: seconds(60).describe(
      'how often the service looks for work that is due by time and for missed entries, in seconds',
    ),
    WRITER_BATCH: count(256, 2000).describe('most writes in one commit'),
    WRITER_QUEUE: count(4096, 1_000_000).describe('most writes that wait; further ones get 503'),
    CHAIN_CACHE: count(20_000, 10_000_000).describe(
      'states of records that stay decrypted in memory, for fast writes to them',
    ),
    VALIDITY_MONTHS: count(12, 60).describe('validity of a prescription that no rule limits, in months'),
    EARLY_REFILL_FACTOR: z.coerce
      .number()
      .min(0)
      .max(1)
      .default(0.75)
      .describe('share of the supply that must be used up before a refill counts as in time'),
    REQUESTS_PER_MINUTE: count(12_000, 1_000_000_000).describe('requests per account and minute; further ones get 429'),
    ANONYMOUS_PER_MINUTE: count(6000, 1_000_000_000).describe(
      'requests without a valid token per address and minute; further ones get 429',
    ),
    SIGN_IN_PER_MINUTE: count(60, 1_000_000).describe('sign-in attempts per address and minute; further ones get 429'),
    TRUST_PROXY: z
      .string()
      .refine(
        (text) => text.split(',').every((part) => isRange(part.trim())),
        'must be addresses or ranges such as 10.0.0.0/8, with commas between',
      )
      .optional()
      .describe(
        'addresses or ranges of the proxies whose `X-Forwarded-For` is believed, with commas between; `loopback` is this machine. Without it the address of the connection counts',
      ),
    PUBLIC_URL: z
      .string()
      .regex(/^https?:\/\/[^\s?#@]+$/, 'must be an http or https address without user, query and fragment')
      .transform((url) => url.replace(/\/+$/, ''))
      .optional()
      .describe('address under which clients reach the service; without it only programs on this machine can sign in'),
    METRICS_TOKEN: z
      .string()
      .regex(/^[!-~]{16,200}$/, 'must be 16 to 200 visible ASCII characters')
      .optional()
      .describe('bearer token of `GET /metrics`; without it only this machine may ask'),
    METRICS_PORT: z.coerce
      .number()
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe('port on which a worker alone (`ROLE=worker`) answers `GET /metrics`, to this machine only'),
    DEMO_PASSWORD: z
      .string()
      .min(8)
      .max(200)
      .optional()
      .describe(
        'one password for all development accounts; not in production. Without it each start makes random ones',
      ),
  })
  .transform((env) => {
    const production = env.NODE_ENV === 'production';
    return { ...env, production, PUBLISH_SECONDS: env.PUBLISH_SECONDS ?? (production ? 10 : 1) };
  });

type Settings = z.output<typeof settings>;

/** A setting cannot be used; the message names it and why, never its value. */
export class ConfigError extends Error {}

/** All settings of this process, parsed once. The only reader of the environment. */
export class Config {
  readonly dataDir: string;
  readonly keysDir: string;
  readonly headFile: string;
  readonly erasedFile: string;
  readonly revokedFile: string;
  readonly sqliteFile: string;
  /** Tells this process from others that share the log. */
  readonly processId = randomUUID();

  constructor(readonly env: Settings) {
    this.dataDir = resolve(env.DATA_DIR);
    this.keysDir = join(this.dataDir, 'keys');
    this.headFile = join(this.dataDir, 'head');
    this.erasedFile = join(this.dataDir, 'erased');
    this.revokedFile = join(this.dataDir, 'revoked');
    this.sqliteFile = env.DATABASE_URL?.startsWith('sqlite:')
      ? resolve(env.DATABASE_URL.slice('sqlite:'.length))
      : join(this.dataDir, 'rxledger.sqlite');
  }

  get postgresUrl(): string | null {
    return this.env.DATABASE_URL?.startsWith('postgres') ? this.env.DATABASE_URL : null;
  }

  /** @throws {ConfigError} naming each invalid setting */
  static parse(env: Readonly<Record<string, string | undefined>>): Config {
    const known = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
    const parsed = settings.safeParse(known);
    if (!parsed.success) {
      throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
    }
    return new Config(parsed.data);
  }
}
