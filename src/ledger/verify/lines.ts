import { createReadStream } from 'node:fs';

const CHUNK = 1024 * 1024;
/** Far longer than a line of an export. */
const LONGEST = 16 * CHUNK;

/**
 * The lines of a UTF-8 text file, as many at a time as were read: handed over one by one they cost more than to hash
 * them. What is too long for a line of an export is cut, so that a file without lines does not fill the memory.
 * @throws what the file system says
 */
export async function* linesOf(file: string): AsyncGenerator<readonly string[]> {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: CHUNK })) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST) {
      lines.push(rest);
      rest = '';
    }
    yield lines.map(withoutReturn);
  }
  if (rest !== '') yield [withoutReturn(rest)];
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line);
