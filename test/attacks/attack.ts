import type { AlarmKind } from '../../src/audit/follow/evidence.js';
import type { Careless } from './careless.js';
import type { Line } from './lines.js';
import type { Party } from './parties.js';
import type { Serving } from './shown.js';
import type { HonestWorld } from './world.js';

/** One thing that an operator with root may do, and what is true of it. */
export interface Attack {
  readonly name: string;
  /** `naive` edits bytes; `clever` makes again, with the log's own keys, whatever the name does not leave undone. */
  readonly form: 'naive' | 'clever';
  /** Where it belongs in the README's upper table; null for what nobody catches: that stands among the limits. */
  readonly line: Line | null;
  /** In a log whose key was replaced; otherwise in one that has had one key. */
  readonly onLog?: 'with another key';
  /** Does it for real, on a data folder of its own. @returns what is served otherwise than the folder has it */
  readonly mutate: (folder: string, world: HonestWorld) => Promise<Serving | void>;
  /** Everybody who notices; all other parties do not, and the suite holds them to it. */
  readonly caughtBy: readonly Party[];
  /** What `follow` raises where it notices, if that is no fork; `away`: it takes this for an outage, which is no alarm. */
  readonly alarm?: AlarmKind | 'away';
  /** What `verify` blames: a table and, where it is one row, its place. */
  readonly blames?: (world: HonestWorld) => {
    readonly table: string;
    readonly where?: Readonly<Record<string, number>>;
  };
  /** A careless verifier, as others were written, that takes it for honest. */
  readonly fools?: Careless;
  /** Caught by none of the parties that there are: who will. */
  readonly waitsFor?: string;
}

export const entryAt = (index: number) => ({ table: 'entry', where: { index } });
export const payloadAt = (index: number) => ({ table: 'payload', where: { index } });

/** Whoever kept something from before the attack: who rewrites everything is caught by nobody else. */
export const MEMORY = ['follow', 'witness', 'policy', 'receipt', 'kept checkpoint'] as const satisfies Party[];
