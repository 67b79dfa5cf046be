/** How far what follows the log has come. */
import { bigint, key, table, text } from '../declare.js';

/** `next`: the log index of the first entry that was not taken over yet. */
export const relayCursor = table({ name: 'relay_cursor', columns: { name: key(text), next: bigint } });

/** Up to which seq a chain's book was judged. */
export const judged = table({ name: 'judged', columns: { chain: key(bigint), seq: bigint } });
