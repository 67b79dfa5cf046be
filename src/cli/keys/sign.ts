import { sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { jcs } from '../../ledger/core/jcs.js';
import { signDetached } from '../../ledger/core/record/jws.js';
import { thumbprint } from '../../ledger/core/record/public-key.js';
import { type Statement, statementBytes } from '../../ledger/core/record/statement.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

const statement = z.strictObject({
  log: z.string(),
  chain: z.string(),
  type: z.string(),
  actor: z.strictObject({ id: z.string(), org: z.string().nullable(), role: z.string() }),
  occurredAt: z.iso.datetime({ precision: 3 }),
  commandId: z.string(),
  data: z.record(z.string(), z.json()),
});
/** A refusal as it was answered. */
const refused = z.object({ code: z.string(), statement });

export interface SignOptions extends CommonOptions {
  readonly key: string;
}

/**
 * `rxledger sign <file> --key <file>`: the statement of a `signature.required` answer, or a statement itself, signed
 * with a key of `keygen`. What is signed is shown on standard error: that it is what was meant, only its actor knows.
 */
export async function runSign(file: string, { key, json }: SignOptions, terminal: Terminal): Promise<ExitCode> {
  const asked = statementIn(await contentOf(file), file);
  const seed = loadKey(dirname(key), basename(key));
  if (!seed) throw new EnvironmentError(`${key}: there is no such key; \`rxledger keygen\` makes one`);
  const { privateKey, publicKey } = ed25519FromSeed(seed);
  const kid = thumbprint({ kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') });
  const jws = signDetached('EdDSA', kid, statementBytes(asked), (input) => sign(null, input, privateKey));
  const { occurredAt } = asked;
  if (json) terminal.out(JSON.stringify({ jws, occurredAt }));
  else {
    for (const line of shown(asked)) terminal.err(line);
    terminal.out(jws);
  }
  return EXIT.ok;
}

function statementIn(text: string, file: string): Statement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${file} is not JSON`);
  }
  const found = refused.safeParse(value).data?.statement ?? statement.safeParse(value).data;
  if (!found) throw new UsageError(`${file} holds no statement {log, chain, type, actor, occurredAt, commandId, data}`);
  return { ...found, actor: found.actor as Statement['actor'], data: found.data };
}

/** Canonical JSON in ASCII: nothing in it moves the cursor of a terminal. */
function escaped(value: unknown): string {
  return jcs(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function shown({ log, chain, type, actor, occurredAt, commandId, data }: Statement): string[] {
  return [
    `signed: ${escaped(type)} at ${occurredAt}, command ${escaped(commandId)}`,
    `  actor ${escaped(actor)}`,
    `  chain ${escaped(chain)} of ${escaped(log)}`,
    ...Object.entries(data).map(([name, value]) => `  ${escaped(name)}: ${escaped(value)}`),
  ];
}

async function contentOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new EnvironmentError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}
