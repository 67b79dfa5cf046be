import { ApiExtension } from '@nestjs/swagger';
import type { RefusalCode } from '../../refusals/refusals.js';

/**
 * Names the refusals that this route can answer. What every route of its kind can answer (tokens, roles, idempotency
 * keys, signatures, malformed bodies) the document adds by itself: see `operations.ts`.
 */
export function Refuses(...codes: readonly RefusalCode[]): MethodDecorator {
  return ApiExtension(REFUSES, [...codes]);
}

export const REFUSES = 'x-refusals';
