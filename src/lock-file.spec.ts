import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';

const lockFile = z.object({ packages: z.record(z.string(), z.object({ integrity: z.string().optional() })) });

it('the lock file has the hash of every package, also of those that other machines install', () => {
  const text = readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8');
  const packages = Object.entries(lockFile.parse(JSON.parse(text)).packages).filter(([path]) => path !== '');
  expect(packages.length).toBeGreaterThan(300);
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
});
