import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonBody, unpackBody } from '../../src/crm/answer-body.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const text = (unpacked: Awaited<ReturnType<typeof unpackBody>>): string =>
  'bytes' in unpacked ? Buffer.from(unpacked.bytes).toString() : unpacked.problem;

describe('unpackBody', () => {
  it.each<[string | undefined, Buffer]>([
    [undefined, bytes('hello')],
    ['', bytes('hello')],
    ['identity', bytes('hello')],
    [' GZIP ', gzipSync('hello')],
    ['x-gzip', gzipSync('hello')],
    ['deflate', deflateSync('hello')],
    ['br', brotliCompressSync('hello')],
  ])('undoes "%s"', async (coding, packed) => {
    expect(text(await unpackBody(packed, coding, 100))).toBe('hello');
  });

  it.each<[string, Buffer]>([
    ['zstd', zstdCompressSync('hello')],
    ['gzip, gzip', gzipSync(gzipSync('hello'))],
    ['constructor', bytes('hello')],
    ['gzip', bytes('hello')],
    ['gzip', gzipSync('hello').subarray(0, 12)],
  ])('refuses "%s" that it cannot undo', async (coding, packed) => {
    expect(await unpackBody(packed, coding, 100)).toEqual({ problem: 'corrupt' });
  });

  it.each<[string, (data: Buffer) => Buffer]>([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('ends at the limit of what %s becomes', async (coding, pack) => {
    expect(text(await unpackBody(pack(Buffer.alloc(1000, 'x')), coding, 1000))).toBe('x'.repeat(1000));
    expect(await unpackBody(pack(Buffer.alloc(1001, 'x')), coding, 1000)).toEqual({ problem: 'too_large' });
  });
});

describe('parseJsonBody', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(parseJsonBody(bytes(json))).toEqual({ value: JSON.parse(json) as unknown });
      }),
    );
  });

  it.each([
    ['nothing', '', { value: null }],
    ['half a document', '{"a":', { problem: 'not_json' }],
    ['a string without an end', `"${'x'.repeat(400_000)}`, { problem: 'not_json' }],
    ['300,000 values', `[${'1,'.repeat(299_997)}1]`, { value: Array(299_998).fill(1) }],
    ['more values', `[${'1,'.repeat(300_000)}1]`, { problem: 'too_large' }],
    ['more lists', '[]'.repeat(300_001), { problem: 'too_large' }],
    ['more objects', '{}'.repeat(300_001), { problem: 'too_large' }],
  ])('%s', (_name, json, expected) => {
    expect(parseJsonBody(bytes(json))).toEqual(expected);
  });

  it.each(['"', '\\\\', '\\"', 'é', '€', '😀', '\\\\\\"'])('does not count what stands in strings, next to %s', (odd) => {
    const value = `${odd}${','.repeat(400_000)}[{${odd}`;
    const json = JSON.stringify({ [value]: value });
    expect(parseJsonBody(bytes(json))).toEqual({ value: { [value]: value } });
    expect(parseJsonBody(bytes(`[${json}${',1'.repeat(300_000)}]`))).toEqual({ problem: 'too_large' });
  });
});
