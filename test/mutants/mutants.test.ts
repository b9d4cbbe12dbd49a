/** The list of mutants is in step with the code: each patch fits, each test exists. Whether a test goes red is `npm run mutants`. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from './list.ts';
import { applied, patch, patternOf, type Catcher } from './mutant.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** A test file with the contracts and findings that it runs: their names stand there. */
const sourceOf = (file: string): string => {
  const text = read(file);
  const contracts = [...text.matchAll(/from '(\.[^']*(?:\.contract|\/findings)\.ts)'/g)].map(([, target = '']) =>
    path.join(path.dirname(file), target),
  );
  return [text, ...contracts.map(sourceOf)].join('\n');
};

const isThere = ({ file, name }: Catcher): boolean => {
  if (!existsSync(path.join(ROOT, file))) return false;
  const source = sourceOf(file).replaceAll('\\', '');
  return name === undefined || ["'", '"', '`'].some((quote) => source.includes(`${quote}${name}${quote}`));
};

describe('the list of mutants', () => {
  it('has a name for each', () => {
    const names = MUTANTS.map(({ name }) => name);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
    expect(names.length).toBeGreaterThanOrEqual(25);
  });

  it.each(MUTANTS)('$name: fits the code, and its tests exist', ({ patches, tests }) => {
    const texts = new Map<string, string>();
    for (const each of patches) {
      const before = texts.get(each.file) ?? read(each.file);
      const after = applied(before, each);
      expect(after).not.toBe(before);
      texts.set(each.file, after);
    }
    expect(tests.filter((test) => !isThere(test))).toEqual([]);
  });

  it('covers every promise', () => {
    expect([...new Set(MUTANTS.map(({ promise }) => promise))].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });
});

describe('a patch', () => {
  it('fits in one place only', () => {
    expect(applied('a b c', patch('f', 'b', '$& d'))).toBe('a $& d c');
    expect(() => applied('a b c', patch('f', 'x', ''))).toThrow('f does not contain: x');
    expect(() => applied('aba', patch('f', 'a', ''))).toThrow('f contains more than once: a');
  });

  it('is looked for by the names that its tests have when they run', () => {
    expect('in documented mode: cut (documented).').toMatch(new RegExp(patternOf('cut (%s).')));
    expect('cut documented').not.toMatch(new RegExp(patternOf('cut (%s).')));
  });
});
