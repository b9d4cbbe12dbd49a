/** The machinery of `npm run mutants`: red is told from broken, and what was spoiled is mended. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { patch } from './mutant.ts';
import { createScratch, whereOf } from './scratch.ts';
import { runTests, type TestRunEnd } from './vitest-run.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

const PROJECT = path.join(import.meta.dirname, '..', '..');
const roots: string[] = [];
afterAll(() => roots.forEach((root) => rmSync(root, { recursive: true, force: true })));

/** A tree with one test file. */
const run = async (source: string, { name, timeoutMs = 30_000 }: { name?: string; timeoutMs?: number } = {}): Promise<TestRunEnd> => {
  const root = mkdtempSync(path.join(tmpdir(), 'relate-mirror-machinery-'));
  roots.push(root);
  symlinkSync(path.join(PROJECT, 'node_modules'), path.join(root, 'node_modules'), 'dir');
  writeFileSync(path.join(root, 'package.json'), '{"type": "module"}');
  writeFileSync(path.join(root, 'one.test.ts'), `import { expect, it } from 'vitest';\n${source}`);
  const test = { file: 'one.test.ts', ...(name === undefined ? {} : { name }) };
  return await runTests({ root, tests: [test], timeoutMs, bail: true, env: process.env });
};

describe.concurrent('a run of tests', () => {
  it('is green where they pass', async () => {
    const end = await run(`it('a (b)', () => expect(1).toBe(1)); it('not asked for', () => expect(1).toBe(2));`, { name: 'a (b)' });
    expect(end).toEqual({ end: 'green', passed: [{ file: 'one.test.ts', test: 'a (b)' }] });
  });

  it('is red where one fails, and names it', async () => {
    const end = await run(`it('good', () => expect(1).toBe(1)); it('bad', () => expect(1).toBe(2));`);
    expect(end).toMatchObject({
      end: 'red',
      file: 'one.test.ts',
      test: 'bad',
      message: expect.stringContaining('expected 1 to be 2') as string,
    });
  });

  it.each([
    ['the file does not load', `throw new Error('does not load');`, {}],
    ['the file is no program', 'const = ;', {}],
    ['the migrations fail', `it('any', () => { throw new Error('The migrations failed on an empty database'); });`, {}],
    ['no test has the name', `it('other', () => expect(1).toBe(1));`, { name: 'wanted' }],
  ])('is broken where %s: that proves nothing', async (_why, source, options) => {
    expect(await run(source, options)).toMatchObject({ end: 'broken' });
  });

  it('is ended where it does not end', async () => {
    expect(await run(`it('for ever', () => new Promise(() => {}), 0);`, { timeoutMs: 3000 })).toEqual({ end: 'hung' });
  });
});

it('a scratch copy is mended after each patch, also where one does not fit or the work fails', async () => {
  const scratch = createScratch(PROJECT);
  try {
    const file = path.join(scratch.root, 'src/domain/backoff.ts');
    const before = readFileSync(file, 'utf8');
    const first = patch('src/domain/backoff.ts', 'export interface BackoffLimits', 'export interface Spoiled');
    expect(await scratch.spoiled([first], async () => readFileSync(file, 'utf8'))).toContain('export interface Spoiled');
    expect(readFileSync(file, 'utf8')).toBe(before);
    const missing = patch('src/domain/backoff.ts', 'export interface BackoffLimits', '');
    await expect(scratch.spoiled([first, missing], async () => 'never')).rejects.toThrow('does not contain');
    await expect(scratch.spoiled([first], () => Promise.reject(new Error('the work fails')))).rejects.toThrow('the work fails');
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(readFileSync(path.join(PROJECT, 'src/domain/backoff.ts'), 'utf8')).toBe(before);
    expect(whereOf(PROJECT, first)).toMatch(/^src\/domain\/backoff\.ts:\d+$/);
  } finally {
    scratch.remove();
  }
});
