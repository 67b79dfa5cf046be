import { PublicRoute } from '../http/public-route.js';
import { Controller, Get, Param, Query, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { listQuery, nextAfter, numberCursor, pageOf, slicePage } from '../http/body/paging.js';
import { Refuses } from '../http/openapi/refuses.js';
import { refuseRequest } from '../http/problem/problem.js';
import { receipt } from '../http/write/receipt-schema.js';
import { Action } from '../identity/guard/access.js';
import { parseTilePath, type TilePath } from '../ledger/core/tlog/tiles.js';
import { LogFile } from './file-headers.js';
import { LogFiles } from './log-files.js';
import { ServedCheckpoint } from './checkpoints/served.js';

const pageQuery = listQuery(numberCursor, {});
const base64 = z.string().describe('base64');
const logEvent = z
  .object({
    index: z.number().int().describe('log index; `/log/proof/{index}` shows the entry in the tree'),
    entry: base64.describe('the bytes that are hashed, base64'),
    salt: base64.describe('base64; payload and salt give the commitment of the entry'),
    payload: base64.describe('canonical JSON, base64'),
  })
  .meta({ id: 'LogEvent', title: 'LogEvent' });
const chainPage = pageOf(logEvent, 'LogEventPage');
const logReceipt = receipt.omit({ state: true }).meta({
  id: 'LogReceipt',
  title: 'LogReceipt',
  description: 'The receipt of an event in the life of the log itself.',
});
const receiptPage = pageOf(logReceipt, 'LogReceiptPage');
const published = z
  .object({
    size: z.number().int().describe('number of entries'),
    publishedAt: z.iso.datetime().describe('by the clock of the server; nothing proves it'),
    checkpoint: z.string().describe('C2SP tlog-checkpoint in a signed note, with the cosignatures that it has'),
    witnessed: z.boolean().describe('whether they are the quorum of `WITNESS_POLICY`'),
  })
  .meta({ id: 'PublishedCheckpoint', title: 'PublishedCheckpoint' });
const page = pageOf(published, 'CheckpointPage');

const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;
const number = { type: 'string', pattern: NUMBER.source } as const;
const tileSchema = { type: 'string', example: '0/000.p/1' } as const;
const bundleSchema = { type: 'string', example: '000.p/1' } as const;

/** The log as files in the layout of C2SP tlog-tiles, and proofs from them. Nothing beyond the served checkpoint. */
@ApiTags('log')
@Controller('log')
export class LogController {
  constructor(
    private readonly files: LogFiles,
    private readonly served: ServedCheckpoint,
  ) {}

  @Get('checkpoint')
  @PublicRoute()
  @Refuses('log.not-there')
  @ApiOperation({
    summary: 'Get the newest published checkpoint',
    description:
      'C2SP tlog-checkpoint in a signed note. With witnesses it is the newest that enough of them have signed.',
  })
  @LogFile('text', 'moving', 'Signed note')
  async checkpoint(): Promise<string> {
    return found((await this.served.newest())?.checkpoint);
  }

  @Get('checkpoints')
  @PublicRoute()
  @ApiOperation({ summary: 'List the published checkpoints, newest first' })
  @ApiOkResponse({ standardSchema: page })
  async checkpoints(
    @Query({ schema: pageQuery }) { after = Number.MAX_SAFE_INTEGER, limit }: z.output<typeof pageQuery>,
  ): Promise<z.output<typeof page>> {
    const rows = await this.served.page(after, limit);
    return {
      items: rows.map((row) => ({ ...row, publishedAt: new Date(row.publishedAt).toISOString() })),
      next: nextAfter(rows, limit, ({ size }) => size),
    };
  }

  @Get('chain')
  @PublicRoute()
  @ApiOperation({
    summary: "List the events of the log's own life, from its beginning",
    description:
      'Its own keys, and which account enrolled or revoked which key. Anybody can read them; they hold nothing personal. They end with the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: chainPage })
  async chain(
    @Query({ schema: pageQuery }) { after = -1, limit }: z.output<typeof pageQuery>,
  ): Promise<z.output<typeof chainPage>> {
    const items = await this.files.chain(after, limit);
    return { items, next: nextAfter(items, limit, ({ index }) => index) };
  }

  @Get('rotations')
  @PublicRoute()
  @ApiOperation({
    summary: "List how the log's key was replaced, oldest first",
    description:
      'Receipts under checkpoints that the previous and the new key signed: whoever keeps an older verifier key can follow from it to the newest. They end with the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: receiptPage })
  async rotations(
    @Query({ schema: pageQuery }) query: z.output<typeof pageQuery>,
  ): Promise<z.output<typeof receiptPage>> {
    return slicePage(await this.files.rotations(), query);
  }

  @Get('continued')
  @PublicRoute()
  @ApiOperation({
    summary: 'List how the log went on under another name, oldest first',
    description:
      'Receipts that say which log it continues and how much was lost when its database was set back. Entries before such an event carry the previous name. No trust passes on: whoever keeps a previous key must not take it for the same log. They end with the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: receiptPage })
  async continued(
    @Query({ schema: pageQuery }) query: z.output<typeof pageQuery>,
  ): Promise<z.output<typeof receiptPage>> {
    return slicePage(await this.files.continued(), query);
  }

  @Get('tile/entries/*')
  @Action('ledger.read')
  @Refuses('log.malformed', 'log.not-there')
  @ApiOperation({
    summary: 'Get a bundle of entries (C2SP tlog-tiles)',
    description: 'Each entry follows its length, a big-endian uint16.',
  })
  @ApiParam({ name: 'path', schema: bundleSchema, description: '`<N>[.p/<W>]`, may hold slashes' })
  @LogFile('bytes', 'guarded', 'Entry bundle')
  async bundle(@Req() request: FastifyRequest): Promise<Uint8Array> {
    const { level, index, width } = tileOf(request);
    if (level !== 'entries') throw refuseRequest('log.malformed');
    return found(await this.files.bundle(index, width));
  }

  @Get('tile/*')
  @PublicRoute()
  @Refuses('log.malformed', 'log.not-there')
  @ApiOperation({ summary: 'Get a tile of hashes (C2SP tlog-tiles, height 8)', description: '32 bytes a hash.' })
  @ApiParam({ name: 'path', schema: tileSchema, description: '`<L>/<N>[.p/<W>]`, may hold slashes' })
  @LogFile('bytes', 'immutable', 'Hash tile')
  async tile(@Req() request: FastifyRequest): Promise<Uint8Array> {
    const { level, index, width } = tileOf(request);
    // The router would also take `entries` for a level, but bundles are not public.
    if (level === 'entries') throw refuseRequest('log.malformed');
    return found(await this.files.tile(level, index, width));
  }

  @Get('proof/:index')
  @PublicRoute()
  @Refuses('log.malformed', 'log.not-there')
  @ApiOperation({ summary: 'Prove that an entry is in the served tree (C2SP tlog-proof@v1)' })
  @ApiParam({ name: 'index', schema: number, description: 'number of the entry in the log, from 0' })
  @LogFile('text', 'moving', 'tlog-proof')
  async proof(@Param('index') index: string): Promise<string> {
    return found(await this.files.proof(numberOf(index)));
  }

  @Get('consistency/:old/:new')
  @PublicRoute()
  @Refuses('log.malformed', 'log.not-there')
  @ApiOperation({
    summary: 'Prove that the tree of one size continues the tree of another (RFC 9162 section 2.1.4.1)',
    description:
      'Hashes in base64, one a line. Send the older size first; neither may be beyond `/log/checkpoint`. There are no lines when the sizes are equal or the older is 0: then there is nothing to prove.',
  })
  @ApiParam({ name: 'old', schema: number, description: 'number of entries' })
  @ApiParam({ name: 'new', schema: number, description: 'number of entries' })
  @LogFile('text', 'immutable', 'Lines of base64, each ended by a newline')
  async consistency(@Param('old') older: string, @Param('new') newer: string): Promise<string> {
    const [size1, size2] = [numberOf(older), numberOf(newer)];
    if (size1 > size2) throw refuseRequest('log.malformed');
    return found(await this.files.consistency(size1, size2));
  }
}

/**
 * The tile that a request names. It parses the address as sent, not as the router decodes it, since each tile has
 * exactly one spelling.
 */
function tileOf({ url }: FastifyRequest): TilePath {
  const [path = ''] = url.split('?');
  const tile = parseTilePath(path.replace(/^\/log\//, ''));
  if (!tile) throw refuseRequest('log.malformed');
  return tile;
}

function numberOf(text: string): number {
  const value = Number(text);
  if (!NUMBER.test(text) || !Number.isSafeInteger(value)) throw refuseRequest('log.malformed');
  return value;
}

function found<T>(file: T | null | undefined): T {
  if (file === null || file === undefined) throw refuseRequest('log.not-there');
  return file;
}
