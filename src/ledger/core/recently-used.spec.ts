import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Recent } from './recently-used.js';

describe('Recent', () => {
  it('gives the value stored last, or nothing, and never keeps more than its limit', () => {
    const key = fc.integer({ min: 0, max: 12 });
    const step = fc.oneof(
      fc.tuple(fc.constant('set' as const), key),
      fc.tuple(fc.constant('get' as const), key),
      fc.tuple(fc.constant('delete' as const), key),
    );
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
        const recent = new Recent<number, number>(limit);
        const stored = new Map<number, number>();
        for (const [at, [what, k]] of steps.entries()) {
          if (what === 'set') {
            recent.set(k, at);
            stored.set(k, at);
          } else if (what === 'delete') {
            recent.delete(k);
            stored.delete(k);
          } else expect([stored.get(k), undefined]).toContain(recent.get(k));
        }
        const kept = [...Array(13).keys()].filter((k) => recent.get(k) !== undefined);
        expect(kept.length).toBeLessThanOrEqual(limit);
      }),
    );
  });

  it('keeps what is used while it lets go of the rest', () => {
    const recent = new Recent<number, string>(10);
    recent.set(0, 'used');
    for (let at = 1; at < 100; at++) {
      recent.set(at, 'passing');
      expect(recent.get(0)).toBe('used');
    }
    expect(recent.get(50)).toBeUndefined();
  });
});
