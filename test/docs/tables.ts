/** What `npm run docs` writes into the pages, tables and a drawing: each is made from the code that it describes. */
import type { Command } from 'commander';
import { buildProgram, commandsOf } from '../../src/cli/program.js';
import { EXIT_MEANINGS } from '../../src/cli/program-help.js';
import type { Terminal } from '../../src/cli/terminal.js';
import { Config, settings } from '../../src/config/config.js';
import { IMPORT_REASONS } from '../../src/import/reasons.js';
import { REFUSALS } from '../../src/refusals/refusals.js';
import { attacksInMarkdown, linesInMarkdown } from '../attacks/readme.js';
import { drawing } from './floors.js';
import { code, markdownTable } from './markdown.js';

/** By the name that stands in a page's markers. */
export const TABLES: Readonly<Record<string, () => string>> = {
  settings: settingsInMarkdown,
  commands: commandsInMarkdown,
  'exit-codes': exitCodesInMarkdown,
  refusals: refusalsInMarkdown,
  'import-reasons': importReasonsInMarkdown,
  'attack-lines': linesInMarkdown,
  attacks: attacksInMarkdown,
  floors: () => `\`\`\`mermaid\n${drawing()}\`\`\`\n`,
};

function settingsInMarkdown(): string {
  const [usual, production] = [Config.parse({}).env, Config.parse({ NODE_ENV: 'production' }).env];
  const rows = Object.entries(settings.in.shape).map(([name, { description = '' }]) => {
    const [value, inProduction] = [usual, production].map((env) => inWords(env[name as keyof typeof env]));
    const otherwise = name === 'NODE_ENV' || value === inProduction ? '' : `, in production ${inProduction}`;
    return [code(name), `${value}${otherwise}`, description];
  });
  return markdownTable([['setting', 'default', 'meaning'], ...rows]);
}

const inWords = (value: string | number | boolean | undefined): string =>
  value === undefined ? '' : code(String(value));

function commandsInMarkdown(): string {
  const program = buildProgram({} as Terminal, () => undefined);
  const rows = commandsOf(program).map(({ words, command }) => [
    code(`rxledger ${[words, ...argumentsOf(command)].join(' ')}`),
    command.description(),
    command.options.map(({ flags }) => code(flags)).join(', '),
  ]);
  return markdownTable([['command', 'what it does', 'options'], ...rows]);
}

function argumentsOf(command: Command): string[] {
  return command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
}

function exitCodesInMarkdown(): string {
  return markdownTable([['exit code', 'meaning'], ...Object.entries(EXIT_MEANINGS)]);
}

function refusalsInMarkdown(): string {
  const rows = Object.entries(REFUSALS).map(([name, { status, title }]) => [code(name), String(status), title]);
  return markdownTable([['code', 'status', 'title'], ...rows]);
}

function importReasonsInMarkdown(): string {
  return markdownTable([
    ['reason', 'meaning'],
    ...Object.entries(IMPORT_REASONS).map(([name, why]) => [code(name), why]),
  ]);
}
