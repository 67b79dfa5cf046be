import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toBase64 } from '../../ledger/core/bytes.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import type { LogClient, LogFileError } from '../../ledger/core/tlog/log-client.js';
import { consistencyProof, inclusionProof } from '../../ledger/core/tlog/merkle.js';
import { tileNodeReader } from '../../ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { writeDurably } from './durable.js';
import type { AlarmKind, Evidence } from './evidence.js';

/** A fault of the log, with the content of its evidence file. */
export class Alarm extends Error {
  override readonly name = 'Alarm';

  constructor(
    readonly kind: AlarmKind,
    readonly what: string,
    readonly more: Pick<Evidence, 'prefix' | 'entries' | 'files' | 'successors' | 'continued' | 'rotations'> & {
      readonly kept?: string;
    } = {},
  ) {
    super(`${kind}: ${what}`);
  }
}

const FOLDER = 'evidence';

/** The folder `evidence`. No file is ever removed from it. */
export class EvidenceFolder {
  constructor(private readonly folder: string) {}

  /** @returns path of the durable file. Evidence that is there already, whatever its time, keeps its first file. */
  async keep(evidence: Evidence): Promise<string> {
    const { at: _, ...content } = evidence;
    const name = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
    const file = join(this.folder, FOLDER, `${evidence.alarm}-${name}.json`);
    const known = (await this.names()).includes(`${evidence.alarm}-${name}.json`);
    if (!known) await writeDurably(file, `${JSON.stringify(evidence, null, 2)}\n`);
    return file;
  }

  async count(): Promise<number> {
    return (await this.names()).length;
  }

  private async names(): Promise<string[]> {
    try {
      return (await readdir(join(this.folder, FOLDER))).filter((name) => name.endsWith('.json'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

/** The root that the tree of `size` entries had at `older` entries, with its consistency proof. */
export async function prefixOf(
  client: LogClient,
  older: number,
  size: number,
): Promise<NonNullable<Evidence['prefix']>> {
  const root = await client.rootAt(older);
  const proof = older === 0 ? [] : await consistencyProof(nodeHasher, older, size, nodesOf(client));
  return { root: toBase64(root), proof: proof.map(toBase64) };
}

/** Entries of the signed tree, each with its inclusion proof. */
export async function entriesOf(
  client: LogClient,
  { size }: Pick<Checkpoint, 'size'>,
  indexes: readonly number[],
): Promise<NonNullable<Evidence['entries']>> {
  const shown: NonNullable<Evidence['entries']> = [];
  for (const index of indexes) {
    const proof = await inclusionProof(nodeHasher, index, size, nodesOf(client));
    for await (const { entries } of client.bundles(index)) {
      shown.push({ index, entry: toBase64(entries[0]!), proof: proof.map(toBase64) });
      break;
    }
  }
  return shown;
}

/** @param served the last files that were served, by path; null: not there */
export function fileAlarm({ path, reason }: LogFileError, served: ReadonlyMap<string, Uint8Array | null>): Alarm {
  const words = { missing: 'is not there', length: 'has another length', hash: 'is not the one that is signed' }[
    reason
  ];
  // The tiles at the right edge give the root only together, so the evidence holds all files that were served.
  const edge = path === 'checkpoint';
  const files = [...served].flatMap(([name, bytes]) =>
    edge || name === path ? [{ path: name, bytes: bytes && toBase64(bytes) }] : [],
  );
  const what = edge ? 'the tiles at the right edge do not give the signed root' : `${path} ${words}`;
  return new Alarm('files', what, { files });
}

function nodesOf(client: LogClient) {
  return tileNodeReader(nodeHasher, (level, index) => client.tile(level, index));
}
