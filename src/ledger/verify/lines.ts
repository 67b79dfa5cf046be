import { createReadStream } from 'node:fs';

const CHUNK = 1024 * 1024;
/** Characters; far longer than any line of an export. */
const LONGEST = 16 * CHUNK;

/**
 * The lines of a UTF-8 text file, one chunk's lines at a time: one by one they would cost more than their hashes.
 * Overlong lines are cut, so that a file without line breaks does not fill the memory.
 * @throws errors of the file system
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
