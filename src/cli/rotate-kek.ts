import { setTimeout as pause } from 'node:timers/promises';
import { CHAIN_MODELS } from '../chain-models.js';
import { Clock } from '../config/clock.js';
import { Config } from '../config/config.js';
import { type Ledger, openLedger } from '../ledger/open-ledger.js';
import { KEK_SETTLES_MS } from '../ledger/vault.js';
import { type CommonOptions, EXIT, type ExitCode, ProgressLine, type Terminal } from './terminal.js';

export interface RotateOptions extends CommonOptions {
  readonly destroyOld?: boolean;
}

/** Subject keys that are rewrapped in one transaction: others write between them. */
const CHUNK = 500;

/**
 * `rxledger rotate-kek`: a new key-encryption key, all subject keys rewrapped under it, beside a service at work.
 * @param settlesMs how long batches of other processes may be on their way
 */
export async function runRotateKek(
  options: RotateOptions,
  terminal: Terminal,
  settlesMs: number = KEK_SETTLES_MS,
): Promise<ExitCode> {
  const line = new ProgressLine(terminal, options);
  const ledger = await openLedger(Config.parse(terminal.env), new Clock(), CHAIN_MODELS, (event, detail) =>
    terminal.err(`${event} ${JSON.stringify(detail)}`),
  );
  try {
    let rewrapped = 0;
    const count = (more: number): void => {
      rewrapped += more;
      line.show(() => `rewrapping: ${rewrapped} subject keys`);
    };
    const kek = ledger.vault.addKek();
    const settled = performance.now() + settlesMs;
    await rewrap(ledger, count);
    let destroyed: string[] = [];
    if (options.destroyOld) {
      for (let left = settled - performance.now(); left > 0; left = settled - performance.now()) {
        line.show(() => `waiting ${Math.ceil(left / 1000)} s for writes that began before`);
        await pause(Math.min(left, 1000));
      }
      await rewrap(ledger, count);
      destroyed = await ledger.writer.side((db) => ledger.vault.destroyOldKeks(db));
    }
    line.done();
    if (options.json) terminal.out(JSON.stringify({ kek, rewrapped, destroyed }));
    else for (const words of inWords(kek, rewrapped, destroyed)) terminal.out(words);
    return EXIT.ok;
  } finally {
    await ledger.close();
  }
}

async function rewrap({ writer, vault }: Ledger, count: (more: number) => void): Promise<void> {
  for (;;) {
    const done = await writer.side((db) => vault.rewrapSubjects(db, CHUNK));
    if (done === 0) return;
    count(done);
  }
}

function inWords(kek: string, rewrapped: number, destroyed: readonly string[]): string[] {
  return [
    `key-encryption key ${kek} wraps from now on; ${rewrapped} subject keys rewrapped`,
    destroyed.length > 0
      ? `destroyed: ${destroyed.join(', ')}; copies of them in backups of the keys folder are yours to destroy`
      : 'older key-encryption keys are still there: no erasure is complete before they are destroyed (--destroy-old)',
  ];
}
