#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/src/cli/main.js', import.meta.url);

if (existsSync(built)) {
  await import(built.href);
} else {
  console.error('RxLedger is not built yet: run `npm run build` first.');
  process.exitCode = 3;
}
