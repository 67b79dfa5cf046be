import { existsSync, readFileSync } from 'node:fs';

/** @returns the version in the project's package.json */
export function version(): string {
  // The first place is for running the sources, the second for the built files.
  const places = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url));
  const manifest = places.find((place) => existsSync(place));
  if (!manifest) throw new Error('package.json is missing');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
