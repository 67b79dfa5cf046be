import { fileURLToPath } from 'node:url';

/** A path in the folder of data that the project did not write. It stands beside the project, or is absent. */
export const sharedPath = (path: string): string => fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
