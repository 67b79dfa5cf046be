// For `node --import`: kill -9 right after a file was renamed to one whose name ends in KILLED_AFTER_RENAME.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const name = process.env['KILLED_AFTER_RENAME'];
const { renameSync } = fs;
fs.renameSync = (from, to) => {
  renameSync(from, to);
  if (name && String(to).endsWith(name)) process.kill(process.pid, 'SIGKILL');
};
syncBuiltinESMExports();
