import { sign } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { jcs } from '../../ledger/core/jcs.js';
import { signDetached } from '../../ledger/core/record/jws.js';
import { thumbprint } from '../../ledger/core/record/public-key.js';
import { type Statement, statementBytes } from '../../ledger/core/record/statement.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { ed25519FromSeed } from '../../ledger/crypto/log-key.js';
import { contentOf } from '../files.js';
import {
  agrees,
  type CommonOptions,
  EnvironmentError,
  EXIT,
  type ExitCode,
  type Terminal,
  UsageError,
} from '../terminal.js';

const statement = z.strictObject({
  log: z.string(),
  chain: z.string(),
  type: z.string(),
  actor: z.strictObject({ id: z.string(), org: z.string().nullable(), role: z.string() }),
  occurredAt: z.iso.datetime({ precision: 3 }),
  commandId: z.string(),
  data: z.record(z.string(), z.json()),
});
/** A refusal from the service. */
const refused = z.object({ code: z.string(), statement });

export interface SignOptions extends CommonOptions {
  readonly key: string;
  readonly yes?: boolean;
}

/**
 * `rxledger keys sign <file> --key <file>`: signs the statement of a `signature.required` answer, or a statement
 * itself, with a key of `keys new person`. It shows the statement on standard error first, because only the actor can
 * tell whether it is right. On a terminal it asks, unless `--yes` is given.
 */
export async function runSign(file: string, { key, json, yes }: SignOptions, terminal: Terminal): Promise<ExitCode> {
  const seed = loadKey(dirname(key), basename(key));
  if (!seed) throw new EnvironmentError(`there is no ${key}; \`rxledger keys new person\` makes one`);
  const asked = statementIn((await contentOf(file)).toString(), file);
  for (const line of shown(asked)) terminal.err(line);
  if (terminal.ask && !yes && !(await agrees(terminal.ask, 'Sign this statement?'))) {
    terminal.err('Nothing was signed.');
    return EXIT.finding;
  }
  const { privateKey, publicKey } = ed25519FromSeed(seed);
  const kid = thumbprint({ kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') });
  const jws = signDetached('EdDSA', kid, statementBytes(asked), (input) => sign(null, input, privateKey));
  terminal.out(json ? JSON.stringify({ jws, occurredAt: asked.occurredAt }) : jws);
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

/** Canonical JSON in ASCII, so that nothing in it can move a terminal's cursor. */
function escaped(value: unknown): string {
  return jcs(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function shown({ log, chain, type, actor, occurredAt, commandId, data }: Statement): string[] {
  const { role, id, org } = actor;
  const rows: [name: string, value: string][] = [
    ['event', escaped(type)],
    ['at', occurredAt],
    ['by', `${escaped(role)} ${escaped(id)}${org === null ? '' : ` of organisation ${escaped(org)}`}`],
    ['record', escaped(chain)],
    ['in log', escaped(log)],
    ['command', escaped(commandId)],
  ];
  return [
    'This statement is to be signed:',
    ...rows.map(([name, value]) => `  ${name.padEnd(9)}${value}`),
    '  content',
    ...nested(data, '    '),
  ];
}

/** A value on several lines: one member or element per line, nested ones indented. */
function nested(value: object, indent: string): string[] {
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) => {
    const label = Array.isArray(value) ? '-' : `${escaped(name).slice(1, -1)}:`;
    const isLeaf = typeof member !== 'object' || member === null || Object.keys(member).length === 0;
    return isLeaf ? [`${indent}${label} ${escaped(member)}`] : [`${indent}${label}`, ...nested(member, `${indent}  `)];
  });
}
