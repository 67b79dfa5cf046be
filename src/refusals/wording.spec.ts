import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { speakPlainly } from './wording.js';

speakPlainly();

const said = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`.trim());

const role = z.discriminatedUnion('role', [
  z.object({ role: z.literal('auditor') }),
  z.object({ role: z.literal('patient') }),
]);

describe('what is wrong with a value', () => {
  it.each<[string, z.ZodType, unknown, string]>([
    ['a missing member', z.object({ a: z.string() }), {}, 'a is required'],
    ['a missing choice', z.object({ a: z.enum(['x', 'y']) }), {}, 'a is required'],
    ['a number for text', z.string(), 1, 'must be text'],
    ['text for a number', z.number(), '1', 'must be a number'],
    ['a fraction', z.number().int(), 1.5, 'must be a whole number'],
    ['an object for a list', z.array(z.string()), {}, 'must be a list'],
    ['a list for an object', z.object({}), [], 'must be an object'],
    ['text for a truth value', z.boolean(), 'true', 'must be true or false'],
    ['what nobody may send', z.never(), 1, 'is not accepted here'],
    ['a long text', z.string().max(3), 'four', 'must have at most 3 characters'],
    ['an empty text', z.string().min(1), '', 'must have at least 1 character'],
    ['a long list', z.array(z.string()).max(1), ['a', 'b'], 'must have at most 1 item'],
    ['a large number', z.number().max(99), 100, 'must be at most 99'],
    ['a number at an open bound', z.number().gt(0), 0, 'must be more than 0'],
    ['a multiple', z.number().multipleOf(5), 7, 'must be a multiple of 5'],
    ['another word', z.enum(['x', 'y']), 'z', 'must be one of x, y'],
    ['not the one word', z.literal('x'), 'z', 'must be x'],
    ['another branch', role, { role: 'x' }, 'role must be one of auditor, patient'],
    ['a day that does not exist', z.iso.date(), '2026-02-30', 'must be a date that exists, written 2026-03-10'],
    ['no branch', z.union([z.string(), z.number()]), null, 'fits none of the accepted forms'],
    ['another form', z.string().regex(/^a$/), 'b', 'does not have the required form'],
    ['members that are not known', z.strictObject({}), { limits: 1, x: 2 }, 'must not have limits, x'],
    ['words of the schema itself', z.string().regex(/^a$/, 'must be a'), 'b', 'must be a'],
  ])('%s', (_, schema, value, words) => {
    expect(said(schema, value)).toEqual([words]);
  });

  it('names the form of an id and of an instant', () => {
    expect(said(z.uuid({ version: 'v4' }), 'x')?.[0]).toMatch(/^must be a UUID of version 4, for example /);
    expect(said(z.iso.datetime({ offset: true }), 'x')?.[0]).toMatch(/^must be an instant .* 2026-03-10T14:05:00Z/);
  });
});
