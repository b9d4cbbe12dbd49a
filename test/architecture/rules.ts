/**
 * The rules of the house, as data and a function from files to violations. docs/ARCHITECTURE.md#imports says why each of them is there.
 */
import path from 'node:path';
import { type Module, type SourceFile, parseModule } from './parse.ts';

export const WHERE_TO_READ = 'docs/ARCHITECTURE.md#imports';

export type Rule =
  | 'layer'
  | 'package'
  | 'cycle'
  | 'barrel'
  | 'default-export'
  | 'any'
  | 'environment'
  | 'process'
  | 'outside-src'
  | 'unresolved'
  | 'file-name';

export interface Violation {
  readonly rule: Rule;
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

interface Place {
  /** Which other places it may import from; `*`: all but the command line. */
  readonly from: readonly string[] | '*';
  /** All that it may import from packages and Node; left out: whatever has no owner elsewhere. */
  readonly packages?: readonly string[];
}

/** Places: the folders of src, and its files that stand in no folder. What is missing here is refused, so that a new one is a decision. */
const PLACES: Readonly<Record<string, Place>> = {
  domain: { from: [], packages: ['node:crypto'] },
  ports: { from: ['domain'], packages: [] },
  sync: { from: ['domain', 'ports'], packages: ['node:crypto'] },
  crm: { from: ['domain', 'ports'] },
  postgres: { from: ['domain', 'ports'] },
  phones: { from: ['ports'] },
  runtime: { from: ['domain', 'ports', 'sync'] },
  admin: { from: ['domain', 'ports', 'runtime'] },
  sandbox: { from: ['domain', 'ports'] },
  'settings.ts': { from: [] },
  'config.ts': { from: ['settings.ts', 'domain'] },
  'sync-settings.ts': { from: ['config.ts', 'sync'] },
  'logger.ts': { from: ['domain', 'ports'] },
  'app.ts': { from: '*' },
  'cli.ts': { from: '*' },
  commands: { from: '*' },
};

/** Packages that only one place may import: to change the library, one place is changed. */
const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  got: ['crm'],
  'p-queue': ['crm'],
  pg: ['postgres'],
  'pg-copy-streams': ['postgres'],
  'drizzle-orm': ['postgres'],
  pino: ['logger.ts'],
  'pino-pretty': ['logger.ts'],
  'node-cron': ['runtime', 'settings.ts'],
  fastify: ['admin', 'sandbox'],
  '@fastify/static': ['admin'],
  '@fastify/helmet': ['admin'],
  uplot: ['admin'],
  'prom-client': ['admin'],
  'libphonenumber-js': ['phones'],
  'i18n-iso-countries': ['phones'],
  commander: ['cli.ts', 'commands'],
  'cli-progress': ['cli.ts', 'commands'],
  'log-update': ['commands'],
  // The global under another name.
  'node:process': ['cli.ts'],
  process: ['cli.ts'],
};

const BANNED_NAMES = /^(utils?|helpers?|common|misc|shared|index)$/;
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** `src/crm/pacing.ts` → `crm`; `src/cli.ts` → `cli.ts`; null outside src. */
const placeOf = (file: string): string | null => {
  const [root, place] = file.split('/');
  return root === 'src' && place !== undefined ? place : null;
};

const packageOf = (specifier: string): string =>
  specifier.startsWith('node:') ? specifier : specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

const isRelative = (specifier: string): boolean => /^\.{1,2}(\/|$)/.test(specifier);
const targetOf = (file: string, specifier: string): string => path.posix.join(path.posix.dirname(file), specifier);

type Found = Omit<Violation, 'file'>;

function* checkPlace(place: string, target: string, line: number): Generator<Found> {
  const targetPlace = placeOf(target);
  if (targetPlace === null) {
    yield { rule: 'outside-src', line, what: `imports ${target}: src must stand without test, bench and script` };
    return;
  }
  const from = PLACES[place]?.from ?? [];
  const inside = place === targetPlace && !place.endsWith('.ts');
  const allowed =
    from === '*' ? targetPlace !== 'cli.ts' && !(place === 'app.ts' && targetPlace === 'commands') : from.includes(targetPlace);
  if (!inside && !allowed && PLACES[place] !== undefined) {
    const may = from === '*' ? 'all but the command line' : ['itself', ...from].join(', ');
    yield { rule: 'layer', line, what: `imports ${target}, but ${place} may import from ${may} only` };
  }
}

function* checkPackage(place: string, specifier: string, line: number): Generator<Found> {
  const name = packageOf(specifier);
  const owners = PACKAGE_OWNERS[name];
  const list = PLACES[place]?.packages;
  if (owners !== undefined && !owners.includes(place)) {
    yield { rule: 'package', line, what: `imports ${name}, which belongs to ${owners.join(' and ')} alone` };
  } else if (list !== undefined && !list.includes(name)) {
    yield { rule: 'package', line, what: `imports ${name}, but ${place} may import ${list.join(', ') || 'no package'} only` };
  }
}

function* checkImports(module: Module, files: ReadonlySet<string>): Generator<Found> {
  const place = placeOf(module.path);
  if (place !== null && PLACES[place] === undefined) {
    yield { rule: 'layer', line: 1, what: `stands in src/${place}, for which there is no rule: decide what it may import` };
  }
  for (const { specifier, line } of module.imports) {
    if (specifier === null) {
      if (place !== null) yield { rule: 'unresolved', line, what: 'imports something computed, which no rule can check' };
    } else if (!isRelative(specifier)) {
      if (place !== null) yield* checkPackage(place, specifier, line);
    } else {
      const target = targetOf(module.path, specifier);
      if (place !== null) yield* checkPlace(place, target, line);
      if (!files.has(target) && (place === null ? !target.startsWith('..') && target.endsWith('.ts') : placeOf(target) !== null)) {
        yield { rule: 'unresolved', line, what: `imports ${specifier}, which is no file of the project (imports end in .ts)` };
      }
    }
  }
}

function* checkProcess(module: Module): Generator<Found> {
  const place = placeOf(module.path);
  if (place === null) return;
  for (const { member, line } of module.processUses) {
    if (member === 'env') {
      if (place !== 'config.ts') yield { rule: 'environment', line, what: 'reads process.env, which src/config.ts alone may read' };
    } else if (place !== 'cli.ts') {
      yield { rule: 'process', line, what: `uses process${member === null ? '' : `.${member}`}, which src/cli.ts alone may use` };
    }
  }
}

function* checkShape(module: Module): Generator<Found> {
  const isConfig = /^[^/]+\.config\.ts$/.test(module.path);
  if (module.onlyReExports) {
    yield { rule: 'barrel', line: 1, what: 'only passes on what other files export: import from those' };
  }
  for (const line of isConfig ? [] : module.defaultExports) {
    yield { rule: 'default-export', line, what: 'has a default export: name it, so that it is called the same everywhere' };
  }
  for (const line of module.anyTypes) yield { rule: 'any', line, what: 'says any: use unknown and look at it' };
  for (const part of module.path.split('/')) {
    const name = part.split('.')[0] ?? '';
    if (name === '') continue;
    if (BANNED_NAMES.test(name)) yield { rule: 'file-name', line: 1, what: `is called "${name}", which says nothing of what is in it` };
    else if (!KEBAB_CASE.test(name)) yield { rule: 'file-name', line: 1, what: `has "${part}" in its path, which is not kebab-case` };
  }
}

/** Each ring of imports once, told at the file of it that comes first in the alphabet. */
function* findCycles(modules: readonly Module[]): Generator<Violation> {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const told = new Set<string>();
  const walk = function* (file: string, trail: readonly string[]): Generator<Violation> {
    const start = trail.indexOf(file);
    if (start >= 0) {
      const ring = trail.slice(start);
      const first = ring.toSorted()[0] ?? file;
      const key = ring.toSorted().join(' ');
      if (told.has(key)) return;
      told.add(key);
      const at = ring.indexOf(first);
      const shown = [...ring.slice(at), ...ring.slice(0, at), first].join(' → ');
      const next = ring[(at + 1) % ring.length];
      const line = byPath.get(first)?.imports.find(({ specifier }) => specifier !== null && targetOf(first, specifier) === next)?.line ?? 1;
      yield { rule: 'cycle', file: first, line, what: `imports itself in a ring: ${shown}` };
      return;
    }
    if (done.has(file)) return;
    for (const { specifier } of byPath.get(file)?.imports ?? []) {
      if (specifier !== null && isRelative(specifier)) yield* walk(targetOf(file, specifier), [...trail, file]);
    }
    done.add(file);
  };
  for (const { path: file } of modules) yield* walk(file, []);
}

/** All violations, in the order of the files. */
export const checkArchitecture = (files: readonly SourceFile[]): readonly Violation[] => {
  const modules = files.map(parseModule);
  const paths = new Set(files.map((file) => file.path));
  const found: Violation[] = [];
  for (const module of modules) {
    for (const check of [checkImports(module, paths), checkProcess(module), checkShape(module)]) {
      for (const violation of check) found.push({ ...violation, file: module.path });
    }
  }
  return [...found, ...findCycles(modules)];
};

export const formatViolation = ({ rule, file, line, what }: Violation): string => `${file}:${line} ${what} [${rule}, see ${WHERE_TO_READ}]`;
