import type { BeforeApplicationShutdown, OnApplicationShutdown, OnModuleDestroy } from '@nestjs/common';

/** The option of Nest that reports each instance when it is made. */
interface Shown {
  readonly instrument: { instanceDecorator: (instance: unknown) => unknown };
}
type Hooks = OnModuleDestroy & BeforeApplicationShutdown & OnApplicationShutdown;
/** In the order in which Nest calls them at the end of an application. */
const HOOKS = [
  'onModuleDestroy',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
] as const satisfies (keyof Hooks)[];

/**
 * Makes an application, or nothing. If one provider cannot be made, Nest forgets the others: their files stay open, and
 * their connections keep the process alive. Here they are shut down, the last made first.
 * @param make asks Nest for the application, with this option
 * @throws what `make` throws, after the others are shut down
 */
export async function allOrNothing<T>(make: (options: Shown) => Promise<T>): Promise<T> {
  let phase: 'making' | 'made' | 'failed' = 'making';
  const made: unknown[] = [];
  const instanceDecorator = (instance: unknown): unknown => {
    if (phase === 'making') made.push(instance);
    // Nest still makes providers that it has begun with.
    if (phase === 'failed') void shutDown([instance]);
    return instance;
  };
  try {
    const application = await make({ instrument: { instanceDecorator } });
    phase = 'made';
    return application;
  } catch (error) {
    // Providers that Nest is making right now are collected too.
    await new Promise<void>((resolve) => setImmediate(resolve));
    phase = 'failed';
    await shutDown(made.toReversed());
    throw error;
  } finally {
    made.length = 0;
  }
}

async function shutDown(instances: readonly unknown[]): Promise<void> {
  for (const hook of HOOKS) {
    for (const instance of instances) {
      try {
        await (instance as Partial<Hooks> | null | undefined)?.[hook]?.();
      } catch {
        // Report the original error, not those that shutting down causes.
      }
    }
  }
}
