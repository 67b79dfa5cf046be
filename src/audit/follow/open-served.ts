import type { FetchFile } from '../../ledger/core/tlog/log-client.js';
import { handOver } from '../../ledger/core/statements/key-rotation.js';
import { lossInWords } from '../../ledger/core/statements/continuation.js';
import { parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { formatVerifierKey, splitNote } from '../../ledger/core/tlog/note.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';
import { Alarm } from './alarms.js';
import { fetchContinued } from './continued.js';
import { isNotOurs, openMoved, type Signed } from './kept.js';
import { alongTrust, fetchMoves, type KeyMove } from './key-moves.js';
import { malformedIn } from './malformed.js';
import { SourceError } from './source.js';

export const NO_CHECKPOINT = 'checkpoint: not a signed checkpoint';

/** What a served note is opened with. */
interface Trust {
  readonly policy: Policy;
  readonly fetch: FetchFile;
  /** The replacements of the log's key that the follower knows. */
  readonly moves: readonly KeyMove[];
}

/**
 * Checks that the note has the form of a checkpoint.
 * @throws {SourceError} when it has not and nobody trusted signed it (a proxy may have answered), or the log is away
 * @throws {Alarm} when the log itself signed such a note, with a known key or with one that replaced it
 */
export async function checkForm(note: string, trust: Trust): Promise<void> {
  try {
    parseCheckpoint(splitNote(note).text);
  } catch (error) {
    if (!isNotOurs(error)) throw error;
    checkMalformed(note, trust.policy, trust.moves);
    checkMalformed(note, trust.policy, await movesBeside(trust));
    throw new SourceError(NO_CHECKPOINT);
  }
}

/**
 * The key replacements that are served beside a malformed checkpoint. Malformed replacements raise no alarm here: a
 * proxy may answer every request with the same page.
 * @throws {SourceError}; {Alarm} `fork`
 */
async function movesBeside({ fetch, moves }: Trust): Promise<readonly KeyMove[]> {
  try {
    return await fetchMoves(fetch, moves);
  } catch (error) {
    if (error instanceof Alarm && error.kind === 'signature') return moves;
    throw error;
  }
}

/**
 * Opens the checkpoint that was served. When no known key signed it, the log may have replaced its key. The returned
 * moves then include that replacement, which the old key has signed. Keep them only after the tree that both keys
 * signed is shown to be continued.
 * @throws {Alarm} when neither a known key nor a successor of one signed it
 */
export async function openServed(
  note: string,
  { policy, fetch, moves: known }: Trust,
): Promise<{ signed: Signed; moves: readonly KeyMove[] }> {
  try {
    return { signed: openMoved(policy, known, note), moves: known };
  } catch (error) {
    if (!isNotOurs(error)) throw error;
    const { size } = parseCheckpoint(splitNote(note).text);
    const served = await fetchMoves(fetch, known);
    // The log may have grown between the two requests: replacements after this checkpoint are left to the next look.
    const moves = served.filter(({ receipt }) => handOver(receipt).size <= size);
    try {
      if (moves.length === known.length) throw error;
      return { signed: openMoved(policy, moves, note), moves };
    } catch (other) {
      if (isNotOurs(other)) throw (await wentOn(policy, fetch, served)) ?? new Alarm('signature', other.message);
      throw other;
    }
  }
}

/** Whether a trusted log goes on under another name. Only the auditor can decide to trust that name: hence an alarm. */
async function wentOn(policy: Policy, fetch: FetchFile, moves: readonly KeyMove[]): Promise<Alarm | null> {
  const pinned = policy.logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  const trusted = [...pinned, ...alongTrust(policy, moves).map(({ to }) => to)];
  const [next] = (await fetchContinued(fetch)).filter(({ said }) => trusted.includes(said.from));
  if (!next) return null;
  const words = `the log goes on as ${next.said.origin}, under the key ${next.said.to}: ${lossInWords(next.said)}`;
  const rotations = moves.length > 0 && { rotations: moves.map(({ receipt }) => receipt) };
  return new Alarm('log', words, { continued: [next.receipt], ...rotations });
}

/** @throws {Alarm} when a key of the log, or one that replaced it by these moves, signed a malformed checkpoint */
function checkMalformed(note: string, policy: Policy, moves: readonly KeyMove[]): void {
  const malformed = malformedIn(
    note,
    policy,
    moves.map(({ rotation }) => rotation),
  );
  if (!malformed) return;
  const rotations = moves.length > 0 && { rotations: moves.map(({ receipt }) => receipt) };
  throw new Alarm('signature', `the log has signed a malformed checkpoint: ${malformed.why}`, { ...rotations });
}
