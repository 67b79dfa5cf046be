import { readFileSync } from 'node:fs';
import { ConfigError } from '../../config/config.js';
import { equal } from '../../ledger/core/bytes.js';
import { formatVerifierKey, parseVerifierKey, type VerifierKey } from '../../ledger/core/tlog/note.js';
import { parsePolicy, type Policy, PolicyError, quorumOf } from '../../ledger/core/tlog/policy.js';

/** A witness that this log submits its checkpoints to. */
export interface AskedWitness {
  /** Its name within the policy. */
  readonly name: string;
  readonly vkey: string;
  readonly key: VerifierKey;
  /** Where `POST /add-checkpoint` is answered; no slash at the end. */
  readonly url: string;
}

/** The policy under which the checkpoints of this log are served. */
export interface WitnessPolicy {
  readonly policy: Policy;
  /** In the order of the file; those without an address are not among them. */
  readonly witnesses: readonly AskedWitness[];
}

/** Token under which Nest hands out the {@link WitnessPolicy}, null without `WITNESS_POLICY`. */
export const WITNESS_POLICY = Symbol('witness policy');

/** @throws {ConfigError} when the file cannot be read or is no policy for this log */
export function loadWitnessPolicy(path: string, vkey: string): WitnessPolicy {
  try {
    return witnessPolicy(readFileSync(path), vkey);
  } catch (error) {
    if (error instanceof PolicyError) throw new ConfigError(`WITNESS_POLICY: ${error.message}`);
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConfigError(
      code === 'ENOENT' ? `WITNESS_POLICY: there is no ${path}` : `WITNESS_POLICY: ${path} cannot be read (${code})`,
    );
  }
}

/**
 * Reads the policy (C2SP tlog-policy) of a log that asks for cosignatures itself: it must name only that log. There may
 * be more than one key while the key is being replaced. The witnesses that have addresses must be able to reach its
 * quorum.
 * @throws {PolicyError}
 */
export function witnessPolicy(file: Uint8Array, vkey: string): WitnessPolicy {
  const policy = parsePolicy(file);
  const own = parseVerifierKey(vkey);
  if (policy.logs.length === 0 || policy.logs.some(({ key }) => key.name !== own.name))
    throw new PolicyError('its log lines are not those of one log', null);
  if (policy.logs.every(({ key }) => vkeyOf(key) !== vkeyOf(own)))
    throw new PolicyError('its log line is not the verifier key of this log', null);
  const self = policy.witnesses.find(({ key }) => policy.logs.some((log) => equal(log.key.publicKey, key.publicKey)));
  if (self) throw new PolicyError(`witness ${self.name} has the key of the log itself`, null);
  if (policy.quorum === null) throw new PolicyError('its quorum is none', null);
  const witnesses = policy.witnesses.flatMap(({ name, key, url }): AskedWitness[] =>
    url === null ? [] : [{ name, key, vkey: vkeyOf(key), url: addressOf(name, url) }],
  );
  if (!reaches(policy, witnesses)) throw new PolicyError('the witnesses that have a URL are not its quorum', null);
  return { policy, witnesses };
}

/** Whether these witnesses together are the policy's quorum. */
export function reaches(policy: Policy, witnesses: readonly Pick<AskedWitness, 'key'>[]): boolean {
  return quorumOf(
    policy,
    witnesses.map(({ key }) => ({ key, time: 0n })),
  ).met;
}

function vkeyOf({ name, type, publicKey }: VerifierKey): string {
  return formatVerifierKey(name, type, publicKey);
}

function addressOf(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const plain = url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain || !/^https?:$/.test(url.protocol)) {
    throw new PolicyError(`the URL of witness ${name} is not a plain http or https address`, null);
  }
  return url.href.replace(/\/+$/, '');
}
