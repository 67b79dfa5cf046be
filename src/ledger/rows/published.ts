/** Table `published`, but for `verify`, which reads raw cells. */
import { MoreThan } from 'typeorm';
import type { Db } from '../../database/db.js';
import { published } from '../../database/tables/log-tables.js';
import { readHead } from '../store/tip.js';

/** A published checkpoint with its time. */
export interface PublishedCheckpoint {
  /** Number of entries. */
  readonly size: number;
  /** The signed note. */
  readonly checkpoint: string;
  /** Instant, ms since 1970, as the process that published it saw it. */
  readonly publishedAt: number;
}

/** Stands for the size before the first published checkpoint. */
export const NONE_PUBLISHED = -1;

/**
 * Published checkpoints of fewer than `before` entries, largest first. SQL: `/log/checkpoint` asks it at each request,
 * and a repository takes 0.1 ms longer.
 */
export function publishedBefore(db: Db, before: number, limit: number): Promise<PublishedCheckpoint[]> {
  return db.query<PublishedCheckpoint>(
    'SELECT size, checkpoint, published_at AS "publishedAt" FROM published WHERE size < ? ORDER BY size DESC LIMIT ?',
    [before, limit],
  );
}

/** The smallest published checkpoint of more than that many entries; null when there is none. */
export async function firstPublishedAfter(db: Db, after: number): Promise<PublishedCheckpoint | null> {
  const row = await db.table(published, (rows) =>
    rows.findOne({ where: { size: MoreThan(after) }, order: { size: 'ASC' } }),
  );
  return row && { size: row.size, checkpoint: row.checkpoint, publishedAt: row.published_at };
}

/** The published checkpoint of exactly that many entries. */
export async function publishedAt(db: Db, size: number): Promise<string | null> {
  const row = await db.table(published, (rows) => rows.findOneBy({ size }));
  return row?.checkpoint ?? null;
}

/**
 * Publishes the log's head behind the checkpoint of `newest` entries, if it is larger. For the writer's side jobs.
 * @param now ms since 1970
 * @returns size of the newest published checkpoint
 * @throws {DbError} `conflict` when another process was faster: its row has the same predecessor
 */
export async function publishHead(db: Db, newest: number, now: number): Promise<number> {
  const head = await readHead(db);
  if (head && head.size > newest) await insert(db, newest, head, now);
  return newestSize(db);
}

/**
 * Publishes a checkpoint behind the newest, inside a transaction of the writer's.
 * @param at ms since 1970
 * @throws as {@link publishHead} does
 */
export async function publishBehindNewest(db: Db, checkpoint: Note, at: number): Promise<void> {
  await insert(db, await newestSize(db), checkpoint, at);
}

type Note = Pick<PublishedCheckpoint, 'size' | 'checkpoint'>;

async function insert(db: Db, previous: number, { size, checkpoint }: Note, at: number): Promise<void> {
  await db.table(published, (rows) => rows.insert({ size, previous, checkpoint, published_at: at }));
}

async function newestSize(db: Db): Promise<number> {
  return (await db.table(published, (rows) => rows.maximum('size', {}))) ?? NONE_PUBLISHED;
}
