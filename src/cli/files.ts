import { readFile } from 'node:fs/promises';
import { EnvironmentError } from './terminal.js';

/** Content of a file named on the command line. @throws {EnvironmentError} when it cannot be read */
export async function contentOf(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new EnvironmentError(fileFault(file, code));
  }
}

/** What is wrong with a file or folder, by the code of the operating system. */
export function fileFault(path: string, code: string): string {
  return code === 'ENOENT' || code === 'ENOTDIR' ? `there is no ${path}` : `${path} cannot be used (${code})`;
}
