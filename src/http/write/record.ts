/** The way of a command from a service to the ledger and back. */
import type { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { Receipt } from '../../ledger/core/record/receipt.js';
import type {
  Actor,
  ChainModel,
  ChainRef,
  Command,
  CommittedEvent,
  Decision,
  NamedChainRef,
} from '../../ledger/model.js';
import { answer } from '../problem/problem.js';
import type { By } from './by.js';

type Ref = ChainRef | NamedChainRef;

/** What `decide` sees of a chain: null where it may not exist yet. */
type StateOf<R> =
  R extends ChainRef<infer S>
    ? R extends { readonly mode: 'existing' }
      ? S
      : S | null
    : R extends NamedChainRef<infer S>
      ? S | null
      : never;

/** What `decide` is given beside the states. */
export interface DecideContext {
  /** Id of the command's first chain, to which its events go. */
  readonly chain: string;
  /** Instant of the batch, ms since 1970. */
  readonly now: number;
  readonly actor: Actor;
}

/** What was recorded. */
export interface Recorded<S> {
  /** The state of the command's first chain after its events; for a repeated request, as it was then. */
  readonly state: S;
  readonly events: readonly CommittedEvent[];
  readonly receipts: readonly Receipt[];
}

/**
 * Records what `decide` makes of the chains that a command names.
 * @param chains the first is the one that the answer is about
 * @throws {RefusalException} with the refusal of `decide` or of the ledger; {LedgerUnavailable}
 */
export async function record<const R extends readonly [Ref, ...Ref[]]>(
  writer: LedgerWriter,
  { actor, idempotency, signature }: Omit<By, 'signature'> & Pick<Command, 'signature'>,
  chains: R,
  decide: (states: { readonly [I in keyof R]: StateOf<R[I]> }, context: DecideContext) => Decision,
): Promise<Recorded<NonNullable<StateOf<R[0]>>>> {
  const { states, events, receipts } = answer(
    await writer.commit({
      actor,
      chains,
      signature,
      ...(idempotency && { idempotency }),
      decide: (view) => {
        const [chain] = view.ids;
        if (chain === undefined) throw new Error('a command names no chain');
        // The writer gives states by the position of their chain, each made by the model of its reference.
        return decide(view.states as { readonly [I in keyof R]: StateOf<R[I]> }, { chain, now: view.now, actor });
      },
    }),
  );
  // An accepted command has made the first chain exist; its state is of the model of its reference, as above.
  return { state: states[0] as NonNullable<StateOf<R[0]>>, events, receipts };
}

/** {@link record} for the many commands on one chain that exists; `ledger.chain-unknown` when it does not. */
export function recordOn<S>(
  writer: LedgerWriter,
  by: By,
  model: ChainModel<S>,
  id: string,
  decide: (state: S, context: DecideContext) => Decision,
): Promise<Recorded<S>> {
  return record(writer, by, [existing(model, id)], ([state], context) => decide(state, context)) as Promise<
    Recorded<S>
  >;
}

/** How a command names a chain that exists. */
export function existing<S>(model: ChainModel<S>, id: string) {
  return { id, model, mode: 'existing' } as const;
}
