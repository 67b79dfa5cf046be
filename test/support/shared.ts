import { fileURLToPath } from 'node:url';

/** A path in the folder of third-party data beside the project, which may be absent. */
export const sharedPath = (path: string): string => fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
