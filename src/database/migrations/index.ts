import { Foundation1790000000000 } from './1790000000000-foundation.js';
import { Clients1790000100000 } from './1790000100000-clients.js';
import { Published1790000200000 } from './1790000200000-published.js';
import { OldestKek1790000300000 } from './1790000300000-oldest-kek.js';
import { Cosignatures1790000500000 } from './1790000500000-cosignatures.js';
import { Served1790000600000 } from './1790000600000-served.js';
import { Erasures1790000700000 } from './1790000700000-erasures.js';

export const migrations = [
  Foundation1790000000000,
  Clients1790000100000,
  Published1790000200000,
  OldestKek1790000300000,
  Cosignatures1790000500000,
  Served1790000600000,
  Erasures1790000700000,
];
