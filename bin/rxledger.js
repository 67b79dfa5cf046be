#!/usr/bin/env -S node --max-semi-space-size=64
// Room for what a burst of writes keeps while it waits for the disk: in Node's 16 MiB it is copied again and again.
import { existsSync } from 'node:fs';

const built = new URL('../dist/src/cli/main.js', import.meta.url);

if (existsSync(built)) {
  await import(built.href);
} else {
  console.error('RxLedger is not built yet: run `npm run build` first.');
  process.exitCode = 3;
}
