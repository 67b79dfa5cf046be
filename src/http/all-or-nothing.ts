import type { BeforeApplicationShutdown, OnApplicationShutdown, OnModuleDestroy } from '@nestjs/common';

/** The part of Nest's options that shows each instance as it is made. */
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
 * Makes an application as a whole. When one provider cannot be made, Nest forgets the others: their files would stay
 * open, and their connections would keep the process for ever. Here they are told to shut down, the last made first.
 * @param make asks Nest for the application, with this option
 * @throws what `make` throws, once that is done
 */
export async function allOrNothing<T>(make: (options: Shown) => Promise<T>): Promise<T> {
  let phase: 'making' | 'made' | 'failed' = 'making';
  const made: unknown[] = [];
  const instanceDecorator = (instance: unknown): unknown => {
    if (phase === 'making') made.push(instance);
    // Nest goes on with what it has begun.
    if (phase === 'failed') void shutDown([instance]);
    return instance;
  };
  try {
    const application = await make({ instrument: { instanceDecorator } });
    phase = 'made';
    return application;
  } catch (error) {
    // What only waited for its turn, too.
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
        // The fault that the application ends of is told, not one that follows from it.
      }
    }
  }
}
