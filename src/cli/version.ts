import { existsSync, readFileSync } from 'node:fs';

/** @returns the version in the project's package.json */
export function version(): string {
  // The first is there when the sources run, the second when what is built from them runs.
  const places = ['../../package.json', '../../../package.json'].map((path) => new URL(path, import.meta.url));
  const manifest = places.find((place) => existsSync(place));
  if (!manifest) throw new Error('package.json is missing');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
