// Starts the command line given as JSON `[command, ...arguments]`, says the child's process id, and lives until killed.
import { spawn } from 'node:child_process';

const [command, ...args] = JSON.parse(process.argv[2]);
const child = spawn(command, args, { detached: true, stdio: 'ignore' });
child.once('spawn', () => console.log(`pid ${child.pid}`));
process.once('SIGTERM', () => process.exit(7));
setInterval(() => {}, 60_000);
