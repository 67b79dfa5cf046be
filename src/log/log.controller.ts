import { PublicRoute } from '../http/public-route.js';
import { Controller, Get, Param, Query, Req } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from '../http/body/whole-number.js';
import { refuseRequest } from '../http/problem/problem.js';
import { receipt } from '../http/write/receipt-schema.js';
import { Action } from '../identity/guard/access.js';
import { parseTilePath, type TilePath } from '../ledger/core/tlog/tiles.js';
import { LogFile } from './file-headers.js';
import { LogFiles } from './log-files.js';
import { ServedCheckpoint } from './checkpoints/served.js';

const listQuery = z.strictObject({
  before: wholeNumber(0).default(Number.MAX_SAFE_INTEGER).describe('`next` of the page before'),
  limit: wholeNumberOr(100, 1, 1000),
});
const chainQuery = z.strictObject({
  after: wholeNumber(0).optional().describe('`next` of the page before'),
  limit: wholeNumberOr(100, 1, 200),
});
const base64 = z.string().describe('base64');
const chainPage = z.object({
  items: z.array(
    z
      .object({
        index: z.number().int().describe('log index; `/log/proof/{index}` shows the entry in the tree'),
        entry: base64.describe('the bytes that are hashed, base64'),
        salt: base64.describe('base64; payload and salt give the commitment of the entry'),
        payload: base64.describe('canonical JSON, base64'),
      })
      .meta({ title: 'LogChainEvent' }),
  ),
  next: z.string().nullable(),
});
const rotations = z.object({
  items: z.array(receipt.omit({ state: true }).meta({ title: 'LogKeyRotation' })).readonly(),
});
const continued = z.object({
  items: z.array(receipt.omit({ state: true }).meta({ title: 'LogContinuation' })).readonly(),
});
const page = z.object({
  items: z.array(
    z
      .object({
        size: z.number().int().describe('number of entries'),
        publishedAt: z.iso.datetime().describe('by the clock of the server; nothing proves it'),
        checkpoint: z.string().describe('C2SP tlog-checkpoint in a signed note, with the cosignatures that it has'),
        witnessed: z.boolean().describe('whether they are the quorum of `WITNESS_POLICY`'),
      })
      .meta({ title: 'PublishedCheckpoint' }),
  ),
  next: z.string().nullable(),
});

const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;
const number = { type: 'string', pattern: NUMBER.source } as const;
const tileSchema = { type: 'string', example: '0/x001/x234/067.p/112' } as const;
const bundleSchema = { type: 'string', example: 'x001/x234/067.p/112' } as const;

/** The log as files, as C2SP tlog-tiles says, and proofs from them. Nothing beyond the checkpoint that is served. */
@ApiTags('log')
@Controller('log')
export class LogController {
  constructor(
    private readonly files: LogFiles,
    private readonly served: ServedCheckpoint,
  ) {}

  @Get('checkpoint')
  @PublicRoute()
  @ApiOperation({
    summary:
      'The newest published checkpoint, with witnesses the newest at quorum (C2SP tlog-checkpoint in a signed note)',
  })
  @LogFile('text', 'moving', 'Signed note')
  async checkpoint(): Promise<string> {
    return found((await this.served.newest())?.checkpoint);
  }

  @Get('checkpoints')
  @PublicRoute()
  @ApiOperation({ summary: 'Every checkpoint that was published, newest first' })
  @ApiOkResponse({ standardSchema: page })
  async checkpoints(
    @Query({ schema: listQuery }) { before, limit }: z.output<typeof listQuery>,
  ): Promise<z.output<typeof page>> {
    const rows = await this.served.page(before, limit);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return {
      items: rows.map((row) => ({ ...row, publishedAt: new Date(row.publishedAt).toISOString() })),
      next: last ? String(last.size) : null,
    };
  }

  @Get('chain')
  @PublicRoute()
  @ApiOperation({
    summary:
      "The log's own chain, from its beginning: its own keys, and whose keys were enrolled and revoked, and when",
    description: 'Payloads stand in the clear and hold nothing personal. Nothing beyond the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: chainPage })
  async chain(
    @Query({ schema: chainQuery }) { after = -1, limit }: z.output<typeof chainQuery>,
  ): Promise<z.output<typeof chainPage>> {
    const items = await this.files.chain(after, limit);
    const last = items.length === limit ? items.at(-1) : undefined;
    return { items, next: last ? String(last.index) : null };
  }

  @Get('rotations')
  @PublicRoute()
  @ApiOperation({
    summary:
      "How the log's key was replaced, oldest first: receipts under checkpoints that the old and the new key signed",
    description:
      'Whoever has pinned a verifier key of the log can follow from it to the newest. Nothing beyond the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: rotations })
  async rotations(): Promise<z.output<typeof rotations>> {
    return { items: await this.files.rotations() };
  }

  @Get('continued')
  @PublicRoute()
  @ApiOperation({
    summary:
      'Of a log that goes on under another name, what it continues and how much was lost: receipts, oldest first',
    description:
      'Its database was set back. Entries before such an event carry the name of before. Nobody who has pinned a key of before can take that for the same log: no trust passes on. Nothing beyond the checkpoint that is served.',
  })
  @ApiOkResponse({ standardSchema: continued })
  async continued(): Promise<z.output<typeof continued>> {
    return { items: await this.files.continued() };
  }

  @Get('tile/entries/*')
  @Action('ledger.read')
  @ApiOperation({ summary: 'An entry bundle (C2SP tlog-tiles): each entry after its length, a big-endian uint16' })
  @ApiParam({ name: 'path', schema: bundleSchema, description: '`<N>[.p/<W>]`, may hold slashes' })
  @LogFile('bytes', 'guarded', 'Entry bundle')
  async bundle(@Req() request: FastifyRequest): Promise<Uint8Array> {
    const { level, index, width } = tileOf(request);
    if (level !== 'entries') throw refuseRequest('log.malformed');
    return found(await this.files.bundle(index, width));
  }

  @Get('tile/*')
  @PublicRoute()
  @ApiOperation({ summary: 'A hash tile (C2SP tlog-tiles, height 8): 32 bytes a hash' })
  @ApiParam({ name: 'path', schema: tileSchema, description: '`<L>/<N>[.p/<W>]`, may hold slashes' })
  @LogFile('bytes', 'immutable', 'Hash tile')
  async tile(@Req() request: FastifyRequest): Promise<Uint8Array> {
    const { level, index, width } = tileOf(request);
    // Whatever the router takes for a tile: bundles are not public.
    if (level === 'entries') throw refuseRequest('log.malformed');
    return found(await this.files.tile(level, index, width));
  }

  @Get('proof/:index')
  @PublicRoute()
  @ApiOperation({ summary: 'Inclusion proof of an entry in the served tree (C2SP tlog-proof@v1)' })
  @ApiParam({ name: 'index', schema: number, description: 'log index of the entry' })
  @LogFile('text', 'moving', 'tlog-proof')
  async proof(@Param('index') index: string): Promise<string> {
    return found(await this.files.proof(numberOf(index)));
  }

  @Get('consistency/:old/:new')
  @PublicRoute()
  @ApiOperation({
    summary: 'Consistency proof between two tree sizes (RFC 9162 section 2.1.4.1), base64, one hash a line',
    description:
      'Both sizes at most that of `/log/checkpoint`, the old one first. No lines when the sizes are equal or the old one is 0: from the empty tree there is nothing to prove.',
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

/** The tile that a request names: one spelling each, so the address as it was sent, not as a router decodes it. */
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
