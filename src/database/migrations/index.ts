import { Foundation1790000000000 } from './1790000000000-foundation.js';

export const migrations = [Foundation1790000000000];
