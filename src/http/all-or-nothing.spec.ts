import { describe, expect, it } from 'vitest';
import { allOrNothing } from './all-or-nothing.js';

describe('an application', () => {
  const calls: string[] = [];
  const part = (name: string) => ({
    onModuleDestroy: () => void calls.push(`${name} destroy`),
    beforeApplicationShutdown: () => Promise.reject(new Error(`${name} does not stop`)),
    onApplicationShutdown: async () => void calls.push(`${name} shutdown`),
  });

  it('that cannot be made is let go of, what is made late as well', async () => {
    const fault = new Error('no such file');
    let late: Promise<void> | undefined;
    const making = allOrNothing(async ({ instrument: { instanceDecorator: make } }) => {
      for (const one of [part('ledger'), null, 'a setting', part('queue')]) expect(make(one)).toBe(one);
      late = new Promise((resolve) =>
        setImmediate(() => {
          make(part('in time'));
          resolve();
        }),
      );
      throw fault;
    });
    await late;
    await expect(making).rejects.toBe(fault);
    expect(calls.splice(0)).toEqual(
      ['destroy', 'shutdown'].flatMap((hook) => ['in time', 'queue', 'ledger'].map((name) => `${name} ${hook}`)),
    );
  });

  it('that cannot be made lets go of what comes after that', async () => {
    const makers: ((instance: unknown) => unknown)[] = [];
    await expect(
      allOrNothing(({ instrument }) => {
        makers.push(instrument.instanceDecorator);
        return Promise.reject(new Error('no such file'));
      }),
    ).rejects.toThrow('no such file');
    for (const make of makers) make(part('late'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls.splice(0)).toEqual(['late destroy', 'late shutdown']);
  });

  it('that is made goes on', async () => {
    const made = await allOrNothing(async ({ instrument }) => instrument.instanceDecorator(part('ledger')));
    expect(made).toHaveProperty('onModuleDestroy');
    expect(calls).toEqual([]);
  });
});
