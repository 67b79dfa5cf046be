import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const shared = {
  // Many times what they take: a busy machine fails no test.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  pool: 'forks',
  restoreMocks: true,
  unstubEnvs: true,
  unstubGlobals: true,
} as const;

/**
 * In a process of their own: the longest, begun first; files that replace what a process shares (fetch, PATH); and
 * those that look for secrets in files, where nobody else's could stand.
 */
const alone = [
  'test/faults/**/*.spec.ts',
  'test/int/{follow,redis-finder}.spec.ts',
  'test/e2e/byte-scan.spec.ts',
  'src/identity/identity.spec.ts',
];

export default defineConfig({
  test: {
    globalSetup: 'test/support/global-setup.ts',
    reporters: ['default', ['json', { outputFile: 'test-report.json' }]],
    // Two at least: much of the time goes by in waiting for other processes. Vitest would leave one core free.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // They run in the order of their names. Without isolation the files of a worker share their imports, which take
    // longer than most tests: each file restores what it replaces, and ends what it starts.
    projects: [
      { test: { ...shared, name: 'alone', include: alone } },
      { test: { ...shared, name: 'system', include: ['test/**/*.spec.ts'], exclude: alone, isolate: false } },
      { test: { ...shared, name: 'unit', include: ['src/**/*.spec.ts'], exclude: alone, isolate: false } },
    ],
  },
});
