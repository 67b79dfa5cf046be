import { EncodingError, equal, fromUtf8, toHex } from '../bytes.js';
import { type Checkpoint, CheckpointError, parseCheckpoint } from './checkpoint.js';
import { KEY_TYPE, NoteError, openNote, parseVerifierKey, type Verified, type VerifierKey } from './note.js';

/**
 * A trust policy (C2SP tlog-policy): which logs' checkpoints are accepted, and which witnesses must have cosigned them.
 */
export interface Policy {
  /** A checkpoint must be signed by one of them. Empty when the log is known from elsewhere. */
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** In the order of the file: a group names only witnesses and groups above it. */
  readonly groups: readonly PolicyGroup[];
  /** Name of the witness or group that must have cosigned; null: none (`quorum none`). */
  readonly quorum: string | null;
  /** Logs that have taken another name: their first entries carry the previous one. */
  readonly continued?: readonly Renaming[];
}

/** Entries of a log before `size` carry the name `oldOrigin` instead of `origin`. */
export interface Renaming {
  readonly oldOrigin: string;
  readonly origin: string;
  readonly size: number;
}

export interface PolicyLog {
  readonly key: VerifierKey;
  readonly url: string | null;
}

export interface PolicyWitness {
  /** Its name in this policy only. */
  readonly name: string;
  readonly key: VerifierKey;
  readonly url: string | null;
}

export interface PolicyGroup {
  readonly name: string;
  /** Number of members that must have cosigned, from 1 to all. */
  readonly threshold: number;
  /** Names of witnesses and groups. */
  readonly members: readonly string[];
}

/** A witness of the policy that has cosigned. */
export interface Witnessed {
  readonly name: string;
  readonly key: VerifierKey;
  /** POSIX seconds that its cosignature states. */
  readonly time: bigint;
}

/** The cosignatures of a checkpoint, measured against a policy's quorum. */
export interface Quorum {
  readonly met: boolean;
  /** The policy's witnesses that have cosigned, in its order, whether or not the quorum needs them. */
  readonly witnesses: readonly Witnessed[];
}

/** `committed`: signed by the log. `witnessed`: also cosigned by the quorum that a policy demands. */
export type ReceiptState = 'committed' | 'witnessed';

export class PolicyError extends Error {
  override readonly name = 'PolicyError';

  /** @param line number from 1; null: the whole file */
  constructor(
    what: string,
    readonly line: number | null,
  ) {
    super(line === null ? what : `line ${line}: ${what}`);
  }
}

const NONE = 'none';
const DECIMAL = /^[1-9][0-9]{0,8}$/;

/**
 * A policy that accepts one log's checkpoints without witnesses.
 * @throws CheckpointError when the key is not a log's
 */
export function logOnly(key: VerifierKey): Policy {
  if (key.type !== KEY_TYPE.ed25519) throw new CheckpointError('not a log key');
  return { logs: [{ key, url: null }], witnesses: [], groups: [], quorum: null };
}

/** The same for a log with several trusted keys. @throws CheckpointError when one is not a log's key */
export function logsOnly(keys: readonly VerifierKey[]): Policy {
  return { logs: keys.flatMap((key) => logOnly(key).logs), witnesses: [], groups: [], quorum: null };
}

/**
 * Reads a policy file strictly (C2SP tlog-policy, "Policy file syntax and structure"). Errors are unknown lines, names
 * not defined above, and a name or key twice. So are a member of two groups, keys of a wrong type, and a missing or
 * second quorum.
 * Names are opaque, so octets that are not UTF-8 stay distinct. ML-DSA-44 keys are not supported and refused: a witness
 * that cannot be checked must not be skipped silently.
 * @throws PolicyError
 */
export function parsePolicy(file: Uint8Array): Policy {
  const { text, keyText } = textOf(file);
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new PolicyError('the last line does not end in a newline', lines.length + 1);
  const draft = new PolicyDraft(keyText);
  for (const [at, line] of lines.entries()) draft.read(line, at + 1);
  return draft.finish();
}

/**
 * The witnesses of the policy that have cosigned, and whether they are its quorum.
 * @param verified signatures that `openNote` verified with the policy's keys
 */
export function quorumOf(policy: Policy, verified: readonly Verified[]): Quorum {
  const witnesses = policy.witnesses.flatMap(({ name, key }): Witnessed[] => {
    const time = verified.find((other) => sameKey(other.key, key))?.time;
    return time === undefined ? [] : [{ name, key, time }];
  });
  const names = new Set(witnesses.map(({ name }) => name));
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => names.has(member)).length >= threshold) names.add(name);
  }
  return { met: policy.quorum === null || names.has(policy.quorum), witnesses };
}

/** The state that a checkpoint gives under a policy. Without a quorum in the policy it is never `witnessed`. */
export function receiptState(policy: Policy, quorum: Quorum): ReceiptState {
  return policy.quorum !== null && quorum.met ? 'witnessed' : 'committed';
}

/**
 * Opens a signed checkpoint of one of the policy's logs. A key with its origin as name must have signed it. Extension
 * lines are refused, since RxLedger never writes them. The caller must check the quorum.
 * @throws NoteError when a signature by a known key is invalid, CheckpointError
 */
export function openWitnessed(policy: Policy, note: string): { checkpoint: Checkpoint; quorum: Quorum } {
  const { text, verified } = openNote(
    note,
    [...policy.logs, ...policy.witnesses].map(({ key }) => key),
  );
  const { origin, size, root, extensions } = parseCheckpoint(text);
  const signed = policy.logs.some(
    ({ key }) => key.name === origin && verified.some((other) => sameKey(other.key, key)),
  );
  if (!signed) throw new CheckpointError('no log of the policy has signed it');
  if (extensions.length > 0) throw new CheckpointError('extension lines');
  return { checkpoint: { origin, size, root }, quorum: quorumOf(policy, verified) };
}

function sameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.type === b.type && equal(a.publicKey, b.publicKey);
}

class PolicyDraft {
  private readonly logs: PolicyLog[] = [];
  private readonly witnesses: PolicyWitness[] = [];
  private readonly groups: PolicyGroup[] = [];
  private readonly names = new Set([NONE]);
  private readonly members = new Set<string>();
  private readonly keyIds = new Set<string>();
  private quorum: string | null | undefined;

  constructor(private readonly keyText: (item: string) => string) {}

  read(line: string, number: number): void {
    const items = line.split(/[ \t]+/).filter((item) => item !== '');
    const [keyword, ...rest] = items;
    if (keyword === undefined || keyword.startsWith('#')) return;
    const fail = (what: string): never => {
      throw new PolicyError(what, number);
    };
    if (keyword === 'log') this.log(rest, fail);
    else if (keyword === 'witness') this.witness(rest, fail);
    else if (keyword === 'group') this.group(rest, fail);
    else if (keyword === 'quorum') this.setQuorum(rest, fail);
    else fail('not a log, witness, group or quorum line');
  }

  finish(): Policy {
    const { logs, witnesses, groups, quorum } = this;
    if (quorum === undefined) throw new PolicyError('there is no quorum line', null);
    return { logs, witnesses, groups, quorum };
  }

  private log([vkey, url, ...more]: string[], fail: Fail): void {
    if (vkey === undefined || more.length > 0) return fail('not `log <vkey> [<url>]`');
    this.logs.push({ key: this.key(vkey, KEY_TYPE.ed25519, this.logs, fail), url: url ?? null });
  }

  private witness([name, vkey, url, ...more]: string[], fail: Fail): void {
    if (name === undefined || vkey === undefined || more.length > 0) {
      return fail('not `witness <name> <vkey> [<url>]`');
    }
    this.define(name, fail);
    this.witnesses.push({ name, key: this.key(vkey, KEY_TYPE.cosignature, this.witnesses, fail), url: url ?? null });
  }

  private group([name, wanted, ...members]: string[], fail: Fail): void {
    if (name === undefined || wanted === undefined || members.length === 0) {
      return fail('not `group <name> all|any|<k> <name>...`');
    }
    const words: Record<string, number> = { all: members.length, any: 1 };
    const threshold = Object.hasOwn(words, wanted) ? words[wanted]! : DECIMAL.test(wanted) ? Number(wanted) : 0;
    if (threshold < 1 || threshold > members.length) {
      return fail('the threshold is not all, any or a number from 1 to the number of members');
    }
    for (const member of members) {
      this.mustBeDefined(member, fail);
      if (member === NONE) return fail('none is no member');
      if (this.members.has(member)) return fail('a name is a member twice');
      this.members.add(member);
    }
    this.define(name, fail);
    this.groups.push({ name, threshold, members });
  }

  private setQuorum([name, ...more]: string[], fail: Fail): void {
    if (name === undefined || more.length > 0) return fail('not `quorum <name>`');
    if (this.quorum !== undefined) return fail('a second quorum line');
    this.mustBeDefined(name, fail);
    this.quorum = name === NONE ? null : name;
  }

  private define(name: string, fail: Fail): void {
    if (this.names.has(name)) fail('the name is taken');
    this.names.add(name);
  }

  private mustBeDefined(name: string, fail: Fail): void {
    if (!this.names.has(name)) fail('a name is not defined above');
  }

  /** Refuses two keys that differ only by name: one key would count twice. */
  private key(vkey: string, type: VerifierKey['type'], others: readonly { key: VerifierKey }[], fail: Fail) {
    const key = verifierKey(this.keyText(vkey), fail);
    if (key.type !== type) {
      return fail(type === KEY_TYPE.cosignature ? "not a witness's key (type 0x04)" : "not a log's key (type 0x01)");
    }
    if (others.some((other) => equal(other.key.publicKey, key.publicKey))) return fail('the key stands above already');
    // A signature line holds only name and id: with both equal, its signer would be ambiguous.
    const id = `${toHex(key.keyId)} ${key.name}`;
    if (this.keyIds.has(id)) return fail('another key above has this name and key id');
    this.keyIds.add(id);
    return key;
  }
}

type Fail = (what: string) => never;

function verifierKey(vkey: string, fail: Fail): VerifierKey {
  try {
    return parseVerifierKey(vkey);
  } catch (error) {
    if (error instanceof NoteError) return fail(`not a verifier key that is known here (${error.message})`);
    throw error;
  }
}

/**
 * The file as text in which different octets stay different: UTF-8 if the whole file is valid, otherwise one character
 * per octet. A verifier key's name is UTF-8 either way.
 */
function textOf(file: Uint8Array): { text: string; keyText: (item: string) => string } {
  let line = 1;
  for (const octet of file) {
    if (octet === 0x0a) line++;
    else if ((octet < 0x20 && octet !== 0x09) || octet === 0x7f) throw new PolicyError('a control character', line);
  }
  const whole = utf8Of(file);
  if (whole !== undefined) return { text: whole, keyText: (item) => item };
  const text = Array.from(file, (octet) => String.fromCharCode(octet)).join('');
  // An item that is not UTF-8 becomes the empty text, which is not a key.
  return { text, keyText: (item) => utf8Of(Uint8Array.from(item, (octet) => octet.charCodeAt(0))) ?? '' };
}

function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (error instanceof EncodingError) return undefined;
    throw error;
  }
}

/** The log name in the entry at this index, for the log that is now called `origin`. */
export function nameInLog({ continued = [] }: Pick<Policy, 'continued'>, origin: string, index: number): string {
  let name = origin;
  // Each step goes back by one name, at most once per renaming.
  for (let steps = continued.length; steps > 0; steps--) {
    name = continued.find((one) => one.origin === name && index < one.size)?.oldOrigin ?? name;
  }
  return name;
}
