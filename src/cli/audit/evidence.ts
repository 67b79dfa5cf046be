import { checkEvidence, evidenceSchema } from '../../audit/follow/evidence.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';
import { contentOf } from '../files.js';
import { policyOf, type TrustOptions } from './trust.js';

/** `rxledger audit evidence`: checks whether a file of evidence proves a fault of the log by itself. */
export async function runEvidence(file: string, options: TrustOptions, terminal: Terminal): Promise<ExitCode> {
  const policy = await policyOf(options);
  const text = (await contentOf(file)).toString();
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new UsageError(`${file} is not JSON`);
  }
  const { data } = evidenceSchema.safeParse(content);
  if (!data) throw new UsageError(`${file} is not evidence that \`rxledger audit follow\` has kept`);
  const { proved, says } = checkEvidence(nodeHasher, policy, data);
  if (options.json) terminal.out(JSON.stringify({ alarm: data.alarm, proved, says }));
  else terminal.out(`${proved ? 'PROVED' : 'not proved'}: ${says}`);
  return proved ? EXIT.ok : EXIT.finding;
}
