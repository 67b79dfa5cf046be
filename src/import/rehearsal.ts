/** A dry run of an import. */
import type { LedgerEvent } from '../ledger/core/record/event.js';
import type { LedgerReader } from '../ledger/ledger.reader.js';
import { type ChainRef, type Command, isNamed, type Outcome, type OutsideName } from '../ledger/model.js';
import type { Clock } from '../time/clock.js';
import type { ImportTarget } from './target.js';

/**
 * A target that decides as the ledger would, from the ledger's content and this run's earlier results. It only reads.
 * Results are held in memory until the run ends; organisations are not made.
 */
export function rehearsal({ reader, db, vault }: Omit<ImportTarget, 'writer'>, clock: Clock): ImportTarget {
  const record = new Rehearsal(reader, clock);
  return { reader, db, vault, writer: { commit: (command) => record.commit(command) } };
}

/** A chain of a command with its state from the ledger or this run; null when it would be new. */
interface Slot {
  readonly id: string;
  readonly chain: ChainRef;
  state: unknown;
}

class Rehearsal {
  /** Results of this run so far: states by chain, and chains by outside name. */
  private readonly states = new Map<string, unknown>();
  private readonly names = new Map<string, string>();

  constructor(
    private readonly reader: LedgerReader,
    private readonly clock: Clock,
  ) {}

  async commit(command: Command): Promise<Outcome> {
    const found = await Promise.all(command.chains.map((ref) => this.find(ref)));
    // From here on nothing is awaited, so that concurrent commands decide one after the other.
    const slots = found.map((slot, at) => this.renewed(slot, command.chains[at]));
    if (slots.some(({ chain, state }) => chain.mode === 'existing' && state === null))
      return { ok: false, refusal: { code: 'ledger.chain-unknown', facts: {} } };
    const now = this.clock.now();
    const ids = slots.map(({ id }) => id);
    const decision = command.decide({ states: slots.map(({ state }) => state), ids, now });
    if ('refusal' in decision) return { ok: false, refusal: decision.refusal };
    for (const { chain, type, data, derived, occurredAt } of decision.events) {
      const slot = slots.find(({ id }) => id === chain);
      if (!slot) throw new Error('an event of a chain that its command does not name');
      const recordedAt = new Date(now).toISOString();
      const { kind } = slot.chain.model;
      this.take(slot, {
        kind,
        chain,
        // Any number will do: no state of an import depends on an event's seq.
        seq: 0,
        type,
        data,
        derived,
        actor: { id: command.actor.id, org: command.actor.org, role: command.actor.role },
        occurredAt: occurredAt ?? recordedAt,
        recordedAt,
      });
    }
    return { ok: true, replayed: false, events: [], receipts: [], ids, states: slots.map(({ state }) => state) };
  }

  private async find(ref: Command['chains'][number]): Promise<Slot> {
    const chain = isNamed(ref) ? ref.otherwise : ref;
    const known = isNamed(ref) ? await this.reader.byName(ref.name) : chain.id;
    const view = known === null ? null : await this.reader.chain(known, chain.model);
    return { id: known ?? chain.id, chain, state: view?.state ?? null };
  }

  /** The slot with the results of this run's earlier commands. */
  private renewed(slot: Slot, ref: Command['chains'][number] | undefined): Slot {
    const id = (ref && isNamed(ref) && this.names.get(textOf(ref.name))) || slot.id;
    return { ...slot, id, state: this.states.get(id) ?? slot.state };
  }

  private take(slot: Slot, event: LedgerEvent): void {
    const { model } = slot.chain;
    slot.state = model.evolve(slot.state, event);
    this.states.set(slot.id, slot.state);
    for (const name of model.names(slot.state)) this.names.set(textOf(name), slot.id);
  }
}

const textOf = ({ domain, parts }: OutsideName): string => JSON.stringify([domain, parts]);
