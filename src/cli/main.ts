import { run } from './program.js';
import { processTerminal } from './terminal.js';

const code = await run(process.argv.slice(2), processTerminal());
// What was said is written out first.
for (const stream of [process.stdout, process.stderr]) await new Promise((written) => stream.write('', written));
// With Redis away BullMQ leaves timers behind that would keep a process which is done for another ten seconds.
process.exit(code);
