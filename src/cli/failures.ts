import { VaultError } from '../ledger/crypto/aes-gcm.js';
import { ConfigError } from '../config/config.js';
import { DbError } from '../database/db.js';
import { KeyFileError } from '../ledger/crypto/key-files.js';
import { StartRefused } from '../ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { ExportError } from '../ledger/verify/export-file.js';
import { fileFault } from './files.js';
import { RedisMissing } from './service/redis-finder.js';
import { EnvironmentError, EXIT, type ExitCode, UsageError } from './terminal.js';

export interface Failure {
  readonly exitCode: ExitCode;
  /** One line; it holds no health data and no secret. */
  readonly message: string;
}

/** Exit code and message for an error that ended a command. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message };
  if (error instanceof ExportError) return { exitCode: EXIT.usage, message: `not an export: ${error.message}` };
  if (error instanceof ConfigError) return { exitCode: EXIT.outage, message: `settings: ${error.message}` };
  if (error instanceof LedgerUnavailable) {
    return { exitCode: EXIT.outage, message: `the ledger is not available: ${error.message}` };
  }
  if (
    error instanceof EnvironmentError ||
    error instanceof StartRefused ||
    error instanceof KeyFileError ||
    error instanceof VaultError ||
    error instanceof RedisMissing ||
    error instanceof DbError
  ) {
    return { exitCode: EXIT.outage, message: error.message };
  }
  const code = codeOf(error);
  if (code && isOfListening(error)) {
    return { exitCode: EXIT.outage, message: `HOST and PORT (${error.port}) cannot be listened on: ${code}` };
  }
  if (code && hasPath(error)) return { exitCode: EXIT.outage, message: fileFault(error.path, code) };
  if (code) return { exitCode: EXIT.outage, message: `the machine or the database refused: ${code}` };
  const name = error instanceof Error ? error.name : typeof error;
  return { exitCode: EXIT.outage, message: `internal error (${name}); LOG_LEVEL=debug shows where` };
}

const hasPath = (error: unknown): error is Error & { path: string } =>
  error instanceof Error && 'path' in error && typeof error.path === 'string';

const isOfListening = (error: unknown): error is Error & { port: number } =>
  error instanceof Error && 'syscall' in error && error.syscall === 'listen' && 'port' in error;

/** Error code of the operating system or the database. Their messages are left out, since they may contain data. */
function codeOf(error: unknown): string | null {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  const code = inner instanceof Error && 'code' in inner ? inner.code : null;
  return typeof code === 'string' && /^[A-Z0-9_]{2,40}$/.test(code) ? code : null;
}
