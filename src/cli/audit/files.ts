import { readFile } from 'node:fs/promises';
import { EnvironmentError } from '../terminal.js';

/** Content of a file named on the command line. @throws {EnvironmentError} when it cannot be read */
export async function contentOf(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new EnvironmentError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}
