/** What is installed where the token is. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
}
const ROOT = path.join(import.meta.dirname, '../..');
const read = (file: string): unknown => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8'));
const { packages } = read('package-lock.json') as { packages: Record<string, Locked> };
const production = Object.entries(packages).filter(
  ([name, locked]) => name !== '' && !locked.dev && !locked.optional && !locked.devOptional,
);

it('no package of production runs a script when it is installed, and each is known by its content', () => {
  expect(production.length).toBeGreaterThan(50);
  expect(production.filter(([, locked]) => locked.hasInstallScript === true).map(([name]) => name)).toEqual([]);
  expect(production.filter(([, locked]) => locked.integrity?.startsWith('sha512-') !== true).map(([name]) => name)).toEqual([]);
});

it('grows by a decision only', () => {
  // 151 with fastify and its plug-ins (November 2026). Each is code that runs beside the token.
  expect(production.length).toBeLessThanOrEqual(160);
});

it('what is asked for directly is one exact version', () => {
  const { dependencies, devDependencies } = read('package.json') as Record<'dependencies' | 'devDependencies', Record<string, string>>;
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version));
  expect(loose).toEqual([]);
});
