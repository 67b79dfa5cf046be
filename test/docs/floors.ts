/** The floors of the source, from what the files import, and their drawing in `src/README.md`. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** From the ground up. A folder imports its own floor and those below, never one above. */
export const FLOORS: readonly (readonly string[])[] = [
  ['time', 'refusals', 'net', 'config', 'sqlite'],
  ['database'],
  ['ledger'],
  ['queue'],
  ['http'],
  ['identity'],
  ['prescription'],
  ['patient'],
  ['access'],
  ['prescribing', 'dispensing', 'adherence', 'reconciliation'],
  ['log', 'audit', 'import', 'fhir', 'seed'],
  ['app.module.ts', 'chain-models.ts', 'main.ts', 'console', 'demo', 'cli'],
];

const SOURCES = 'src';

export interface Import {
  /** File, from `src`. */
  readonly from: string;
  readonly to: string;
}

/** Files that are no tests, from `src`. */
export const sources: readonly string[] = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
  (file) => /\.(ts|tsx)$/.test(file) && !/\.(spec|fixture)\.tsx?$/.test(file),
);

/** What each of {@link sources} imports of the others. */
export const imports: readonly Import[] = sources.flatMap((from) =>
  [...readFileSync(join(SOURCES, from), 'utf8').matchAll(/(?:from |import\(|import )'(\.{1,2}\/[^']+)'/g)].map(
    ([, specifier = '']) => ({ from, to: normalize(join(dirname(from), specifier)).replace(/\.js$/, '.ts') }),
  ),
);

/** A folder of `src`, or a file that stands at its root. */
export const folderOf = (file: string): string => file.split('/')[0] ?? '';
export const floorOf = (file: string): number => FLOORS.findIndex((floor) => floor.includes(folderOf(file)));

/**
 * The arrows of the drawing: what each folder imports directly, without what it reaches by another one all the same.
 * @throws {Error} when folders import each other in a circle
 */
export function arrows(): (readonly [from: string, to: string])[] {
  const direct = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [folder, other] = [folderOf(from), folderOf(to)];
    if (folder !== other) direct.set(folder, (direct.get(folder) ?? new Set()).add(other));
  }
  const reached = new Map<string, ReadonlySet<string>>();
  const reach = (folder: string, way: readonly string[]): ReadonlySet<string> => {
    if (way.includes(folder)) throw new Error(`folders import each other: ${[...way, folder].join(' -> ')}`);
    const known = reached.get(folder);
    if (known) return known;
    const others = [...(direct.get(folder) ?? [])];
    const all = new Set(others.flatMap((other) => [other, ...reach(other, [...way, folder])]));
    reached.set(folder, all);
    return all;
  };
  return [...direct]
    .flatMap(([folder, others]) =>
      [...others]
        .filter((other) => ![...others].some((between) => between !== other && reach(between, [folder]).has(other)))
        .map((other) => [folder, other] as const),
    )
    .toSorted(([a, b], [c, d]) => (`${a} ${b}` < `${c} ${d}` ? -1 : 1));
}

/** The drawing as Mermaid, the top floor first. */
export function drawing(): string {
  const there = new Set(imports.flatMap(({ from, to }) => [folderOf(from), folderOf(to)]));
  const floors = FLOORS.flatMap((names, at) => {
    const drawn = names.filter((name) => there.has(name));
    return drawn.length === 0
      ? []
      : [[`  subgraph floor${at}[" "]`, ...drawn.map((name) => `    ${node(name)}`), '  end']];
  });
  return ['flowchart TB', ...floors.toReversed().flat(), ...arrows().map(([from, to]) => `  ${id(from)} --> ${id(to)}`)]
    .map((line) => `${line}\n`)
    .join('');
}

// Dots and dashes have a meaning of their own in Mermaid.
const id = (name: string): string => name.replaceAll(/\W/g, '_');
const node = (name: string): string => (id(name) === name ? name : `${id(name)}["${name}"]`);
