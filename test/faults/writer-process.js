// One of several processes on one log: writes until SIGTERM, repeats what was answered by an outage under the same
// idempotency key, and says each acknowledged write. At SIGUSR2 it stops itself (SIGSTOP) while it decides a batch
// that has already lost several races, which is when the writer holds the head's lock.
// Needs the built files. Arguments: data folder, name, writes in flight, chain ids separated by commas.
import { count, openTestLedger, testActor, testConfig } from '../../dist/test/support/ledger.js';

const RACES = 3;

const [dataDir, name, flights, chains] = process.argv.slice(2);
const ids = chains.split(',');
const ledger = await openTestLedger(testConfig(dataDir, { DATABASE_URL: process.env.DATABASE_URL }));
const ending = new AbortController();
let armed = false;
let written = 0;
process.once('SIGTERM', () => ending.abort());
process.on('SIGUSR2', () => (armed = true));
console.log('ready');

await Promise.all(
  Array.from({ length: Number(flights) }, async () => {
    while (!ending.signal.aborted) await write(`${name}-${written++}`);
  }),
);
await ledger.close();
console.log('done');

async function write(tag) {
  for (;;) {
    try {
      const outcome = await ledger.writer.commit(command(tag));
      if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.code}`);
      const { index, entry } = outcome.receipts[0];
      console.log(`ack ${tag} ${index} ${entry}`);
      return;
    } catch (error) {
      if (error.name !== 'LedgerUnavailable') throw error;
      console.log(`outage ${tag} ${error.message}`);
    }
  }
}

function command(tag) {
  const id = ids[written % ids.length];
  const idempotency = { client: testActor.id, key: tag, request: tag };
  const { decide, ...rest } = count(id, 1, { data: { tag }, idempotency });
  let attempts = 0;
  return {
    ...rest,
    decide: (input) => {
      attempts++;
      if (armed && attempts >= RACES) {
        armed = false;
        console.log(`stops ${tag}`);
        process.kill(process.pid, 'SIGSTOP');
      }
      return decide(input);
    },
  };
}
