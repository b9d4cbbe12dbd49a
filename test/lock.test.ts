import { expect, test } from 'vitest';
import { lockProblems } from '../script/check-lock.ts';

const manifest = { dependencies: { a: '1.0.0' }, devDependencies: { b: '2.0.0' }, optionalDependencies: {} };
const packages = {
  '': manifest,
  'node_modules/a': { integrity: 'sha512-a', dependencies: { '@x/c': '^1.0.0', d: '1' } },
  'node_modules/a/node_modules/d': { integrity: 'sha512-d', dependencies: { '@x/c': '1', e: '1' } },
  'node_modules/a/node_modules/e': { integrity: 'sha512-e' },
  'node_modules/@x/c': { integrity: 'sha512-c' },
  'node_modules/b': { integrity: 'sha512-b', optionalDependencies: { 'b-linux-x64': '2.0.0' } },
  'node_modules/b-linux-x64': { integrity: 'sha512-bl' },
};
const problemsOf = (changed: Record<string, unknown>): readonly string[] =>
  lockProblems(JSON.stringify(manifest), JSON.stringify({ lockfileVersion: 3, packages: { ...packages, ...changed } }));

test('a lock that fits has no problems', () => expect(problemsOf({})).toEqual([]));

test('a download address is one', () => {
  expect(problemsOf({ 'node_modules/b-linux-x64': { integrity: 'x', resolved: 'https://mirror.example/b.tgz' } })).toEqual([
    'node_modules/b-linux-x64: names a download address',
  ]);
});

test('a platform’s package that was left out is one', () => {
  expect(problemsOf({ 'node_modules/b-linux-x64': undefined })).toEqual(['node_modules/b: asks for b-linux-x64, which is not in the lock']);
});

test('a package is found where Node would find it, not elsewhere', () => {
  expect(problemsOf({ 'node_modules/@x/c': { integrity: 'sha512-c', dependencies: { e: '1' } } })).toEqual([
    'node_modules/@x/c: asks for e, which is not in the lock',
  ]);
});

test('another version than package.json’s is one, and so is a package that it no longer has', () => {
  expect(
    problemsOf({
      '': { dependencies: { a: '1.0.1' }, devDependencies: { b: '2.0.0' }, optionalDependencies: { f: '1' } },
      'node_modules/f': { integrity: 'f' },
    }),
  ).toEqual([
    'a: package.json asks for 1.0.0, the lock was made for 1.0.1',
    'f: the lock has it among the optionalDependencies, package.json does not',
  ]);
});

test('a missing checksum is one', () =>
  expect(problemsOf({ 'node_modules/b-linux-x64': {} })).toEqual(['node_modules/b-linux-x64: has no checksum']));
