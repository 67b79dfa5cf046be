/** How far what follows the log has come. */
import { EntitySchema } from 'typeorm';
import { bigint, key, text } from '../declare.js';

/** `next`: the log index of the first entry that was not taken over yet. */
export const relayCursor = new EntitySchema({ name: 'relay_cursor', columns: { name: key(text), next: bigint } });

/** Up to which seq a chain's book was judged. */
export const judged = new EntitySchema({ name: 'judged', columns: { chain: key(bigint), seq: bigint } });
