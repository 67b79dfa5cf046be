import { decrypt } from './aes-gcm.js';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { freshBytes } from './random.js';
import { lengthOf, type Part, Sealer, type Secret } from './sealer.js';
import { examples } from '../../../test/support/length.js';

const sealers: Sealer[] = [];
const reports: string[] = [];

afterEach(async () => {
  await Promise.all(sealers.splice(0).map((sealer) => sealer.close()));
  reports.length = 0;
});

function newSealer(): Sealer {
  const made = new Sealer((event, { error }) => reports.push(`${event} ${error}`));
  sealers.push(made);
  return made;
}

const bytes = fc.uint8Array({ maxLength: 300 });
const secret: fc.Arbitrary<Secret> = fc
  .record({
    plain: bytes,
    aad: fc.string({ unit: 'binary' }),
    kept: fc.boolean(),
  })
  .map(({ plain, aad, kept }) => ({ key: freshBytes(32), aad, plain, ...(kept && { sealed: null }) }));
const parts = (least: number): fc.Arbitrary<Part[]> =>
  fc
    .tuple(fc.array(bytes, { maxLength: 5 }), fc.array(secret, { minLength: least, maxLength: least + 10 }))
    .chain(([clear, secrets]) =>
      fc.shuffledSubarray<Part>([...clear, ...secrets], { minLength: clear.length + secrets.length }),
    );

const seal = (by: Sealer, all: readonly Part[]): Promise<Buffer> =>
  by.seal(
    all,
    all.reduce((sum, part) => sum + lengthOf(part), 0),
  );

/** Decrypts the sealed parts. */
function opened(all: readonly Part[], sealed: Buffer): Buffer[] {
  let at = 0;
  return all.map((part) => {
    const own = sealed.subarray(at, (at += lengthOf(part)));
    return part instanceof Uint8Array ? Buffer.from(own) : decrypt(part.key, part.aad, own);
  });
}
const plain = (all: readonly Part[]): Buffer[] =>
  all.map((part) => Buffer.from(part instanceof Uint8Array ? part : part.plain));

const many = (count: number): Secret[] =>
  Array.from({ length: count }, (_, n) => ({ key: freshBytes(32), aad: `aad ${n}`, plain: Buffer.from(`plain ${n}`) }));

/** A sealer whose thread runs, so that it gets large batches. */
async function withThread(): Promise<{ by: Sealer; thread: NonNullable<Sealer['thread']> }> {
  const by = newSealer();
  await seal(by, many(40));
  return { by, thread: await vi.waitFor(() => (by['online'] ? by['thread']! : Promise.reject(new Error('not yet')))) };
}

describe('a sealed batch', () => {
  it.each([
    ['small, on the spot', 0],
    ['large, by the thread', 40],
  ])('opens with key and AAD of each part, the others as they were: %s', async (_, least) => {
    const { by, thread } = await withThread();
    const told = vi.spyOn(thread, 'postMessage');
    await fc.assert(
      fc.asyncProperty(parts(least), async (all) => {
        told.mockClear();
        const sealed = await seal(by, all);
        expect(opened(all, sealed)).toEqual(plain(all));
        expect(told).toHaveBeenCalledTimes(least === 0 ? 0 : 1);
      }),
      { numRuns: examples(50) },
    );
  });

  it('holds what is stored again as it was sealed first', async () => {
    const { by } = await withThread();
    const kept: Secret = { key: freshBytes(32), aad: 'key', plain: freshBytes(32), sealed: null };
    const first = Buffer.from(await seal(by, [kept, ...many(40)]));
    expect(kept.sealed).toEqual(first.subarray(0, lengthOf(kept)));
    const again = await seal(by, [Buffer.from('before'), kept, ...many(40)]);
    expect(again.subarray(6, 6 + lengthOf(kept))).toEqual(kept.sealed);
  });

  it('uses no nonce twice, and leaves no key where it was sealed', async () => {
    const { by } = await withThread();
    const same = { key: freshBytes(32), aad: 'same', plain: Buffer.from('same') };
    const all = Array.from({ length: 200 }, () => same);
    const sealed = await seal(by, all);
    const nonces = all.map((_, at) => sealed.subarray(at * lengthOf(same), at * lengthOf(same) + 12).toString('hex'));
    expect(new Set(nonces).size).toBe(200);
    expect(by['memory'].includes(same.key)).toBe(false);
  });
});

describe('a sealing thread that is lost', () => {
  it('loses nothing, and is told of once', async () => {
    const { by, thread } = await withThread();
    const all = many(50);
    // Ends the thread while it has the batch.
    const [sealed] = await Promise.all([seal(by, all), thread.terminate()]);
    expect(opened(all, sealed)).toEqual(plain(all));
    const next = many(50);
    expect(opened(next, await seal(by, next))).toEqual(plain(next));
    expect(reports).toEqual(['ledger.sealer-lost exit']);
  });

  it('is lost where none can be had', async () => {
    const by = newSealer();
    vi.spyOn(by as unknown as { start(): never }, 'start').mockImplementation(() => {
      throw new RangeError('no thread');
    });
    for (const all of [many(40), many(50)]) expect(opened(all, await seal(by, all))).toEqual(plain(all));
    expect(reports).toEqual(['ledger.sealer-lost RangeError']);
  });

  it('is not told of when it was closed', async () => {
    const { by } = await withThread();
    await by.close();
    expect(reports).toEqual([]);
  });
});
