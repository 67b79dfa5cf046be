import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IdFile } from './id-file.js';

describe('the file of erased ids', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rxledger-test-'));
    path = join(folder, 'erased');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()] as const;

  it('remembers what was added, once, for its owner alone', async () => {
    const file = IdFile.ofErased(path);
    expect(await file.read()).toEqual(new Set());
    await file.add([]);
    await file.add([a, b]);
    await IdFile.ofErased(path).add([b, c]);
    expect(await file.read()).toEqual(new Set([a, b, c]));
    expect(readFileSync(path, 'utf8').split('\n').filter(Boolean)).toEqual([a, b, c]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['a line that a crash cut off', b.slice(0, 20)],
    ['a line without its end', b],
    ['something else', 'no id at all\n'],
  ])('passes over %s and goes on behind it', async (_, torn) => {
    const file = IdFile.ofErased(path);
    await file.add([a]);
    appendFileSync(path, torn);
    await file.add([c]);
    expect(await file.read()).toEqual(new Set(torn === b ? [a, b, c] : [a, c]));
  });

  it('is shared by several that append at once', async () => {
    const ids = Array.from({ length: 40 }, () => randomUUID());
    await Promise.all(ids.map((id) => IdFile.ofErased(path).add([id])));
    expect(await IdFile.ofErased(path).read()).toEqual(new Set(ids));
  });
});
