import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SourceFile } from './architecture/parse.ts';
import { type Rule, WHERE_TO_READ, checkArchitecture, formatViolation } from './architecture/rules.ts';

const ROOT = path.join(import.meta.dirname, '..');

const projectFiles = (): readonly SourceFile[] =>
  globSync(['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'script/**/*.ts', '*.config.ts'], { cwd: ROOT }).map((file) => ({
    path: file.split(path.sep).join('/'),
    text: readFileSync(path.join(ROOT, file), 'utf8'),
  }));

test('the project keeps the rules of the house', () => {
  const files = projectFiles();
  expect(files.length).toBeGreaterThan(20);
  expect(checkArchitecture(files).map(formatViolation)).toEqual([]);
});

test('the place that the messages point to exists', () => {
  const [file = '', heading] = WHERE_TO_READ.split('#');
  expect(existsSync(path.join(ROOT, file))).toBe(true);
  expect(readFileSync(path.join(ROOT, file), 'utf8').toLowerCase()).toMatch(new RegExp(`^#+ ${heading}$`, 'm'));
});

/** A small made-up project that keeps all rules; each case below adds what breaks one. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/domain/contact.ts': "import { createHash } from 'node:crypto';\nexport const hash = createHash;\n",
  'src/ports/crm.ts': "import type { hash } from '../domain/contact.ts';\nexport type Hash = typeof hash;\n",
  'src/sync/pull.ts': "import type { Hash } from '../ports/crm.ts';\nexport const pull = (hash: Hash): Hash => hash;\n",
  'src/crm/client.ts': "import got from 'got';\nexport const client = got;\n",
  'src/postgres/pool.ts': "import pg from 'pg';\nimport { sql } from 'drizzle-orm/pg-core';\nexport const pool = [pg, sql];\n",
  'src/logger.ts': "import pino from 'pino';\nexport const logger = pino;\n",
  'src/config.ts': 'export const env = process.env;\n',
  'src/app.ts': "import { pull } from './sync/pull.ts';\nimport { client } from './crm/client.ts';\nexport const app = [pull, client];\n",
  'src/cli.ts': "import { app } from './app.ts';\nprocess.exitCode = app.length;\n",
  'test/pull.test.ts': "import { pull } from '../src/sync/pull.ts';\nvoid pull;\nvoid process.env;\n",
  'vitest.config.ts': 'export default {};\n',
};

const violations = (more: Readonly<Record<string, string>>): readonly string[] =>
  checkArchitecture(Object.entries({ ...CLEAN, ...more }).map(([file, text]) => ({ path: file, text }))).map(formatViolation);

test('the made-up project is clean', () => expect(violations({})).toEqual([]));

const BROKEN: readonly (readonly [rule: Rule, how: string, files: Readonly<Record<string, string>>, at: string])[] = [
  ['layer', 'sync imports crm', { 'src/sync/a.ts': "\nimport { client } from '../crm/client.ts';\nvoid client;" }, 'src/sync/a.ts:2'],
  [
    'layer',
    'domain imports ports',
    { 'src/domain/a.ts': "import type { Hash } from '../ports/crm.ts';\nexport type A = Hash;" },
    'src/domain/a.ts:1',
  ],
  ['layer', 'crm imports postgres', { 'src/crm/a.ts': "export const a = import('../postgres/pool.ts');" }, 'src/crm/a.ts:1'],
  ['layer', 'postgres imports crm', { 'src/postgres/a.ts': "export type A = import('../crm/client.ts').client;" }, 'src/postgres/a.ts:1'],
  [
    'layer',
    'sandbox imports crm',
    { 'src/sandbox/a.ts': "import { client } from '../crm/client.ts';\nvoid client;" },
    'src/sandbox/a.ts:1',
  ],
  ['layer', 'crm imports the app', { 'src/crm/a.ts': "import { app } from '../app.ts';\nvoid app;" }, 'src/crm/a.ts:1'],
  [
    'layer',
    'the app imports the command line',
    { 'src/commands/a.ts': 'export const a = 1;', 'src/app.ts': "import { a } from './commands/a.ts';\nexport const app = [a];" },
    'src/app.ts:1',
  ],
  ['layer', 'a folder without a rule', { 'src/new/a.ts': 'export const a = 1;' }, 'src/new/a.ts:1'],
  ['package', 'got outside crm', { 'src/sandbox/a.ts': "import got from 'got';\nvoid got;" }, 'src/sandbox/a.ts:1'],
  ['package', 'pg outside postgres', { 'src/app.ts': "import type { Pool } from 'pg';\nexport const app: Pool[] = [];" }, 'src/app.ts:1'],
  ['package', 'a part of drizzle outside postgres', { 'src/runtime/a.ts': "import 'drizzle-orm/node-postgres';" }, 'src/runtime/a.ts:1'],
  ['package', 'pino outside the logger', { 'src/runtime/a.ts': "import pino from 'pino';\nvoid pino;" }, 'src/runtime/a.ts:1'],
  ['package', 'a package in domain', { 'src/domain/a.ts': "import { z } from 'zod';\nvoid z;" }, 'src/domain/a.ts:1'],
  ['package', 'files in domain', { 'src/domain/a.ts': "import 'node:fs';" }, 'src/domain/a.ts:1'],
  ['package', 'process under another name', { 'src/crm/a.ts': "import { env } from 'node:process';\nvoid env;" }, 'src/crm/a.ts:1'],
  ['package', 'require', { 'src/crm/a.ts': "const pg = require('pg');\nvoid pg;" }, 'src/crm/a.ts:1'],
  [
    'cycle',
    'three files in a ring',
    {
      'src/sync/b.ts': "import './c.ts';\nexport const b = 1;",
      'src/sync/c.ts': "import './a.ts';\nexport const c = 1;",
      'src/sync/a.ts': "import '../domain/contact.ts';\nimport './b.ts';\nexport const a = 1;",
    },
    'src/sync/a.ts:2',
  ],
  [
    'cycle',
    'two files that import types of each other',
    {
      'src/sync/a.ts': "import type { B } from './b.ts';\nexport type A = B;",
      'src/sync/b.ts': "import type { A } from './a.ts';\nexport type B = A | 1;",
    },
    'src/sync/a.ts:1',
  ],
  ['barrel', 'export from', { 'src/crm/all.ts': "export { client } from './client.ts';" }, 'src/crm/all.ts:1'],
  ['barrel', 'export everything', { 'src/crm/all.ts': "export * from './client.ts';" }, 'src/crm/all.ts:1'],
  ['barrel', 'import and export', { 'src/crm/all.ts': "import { client } from './client.ts';\nexport { client };" }, 'src/crm/all.ts:1'],
  ['default-export', 'a value', { 'src/crm/a.ts': '\n\nexport default 1;' }, 'src/crm/a.ts:3'],
  ['default-export', 'under the name of default', { 'src/crm/a.ts': 'const a = 1;\nexport { a as default };' }, 'src/crm/a.ts:2'],
  ['default-export', 'in a test', { 'test/a.test.ts': 'export default 1;' }, 'test/a.test.ts:1'],
  ['any', 'in a type', { 'src/crm/a.ts': "// any\nexport const any = 'any';\nexport const a: any = any;" }, 'src/crm/a.ts:3'],
  ['any', 'in a cast of a test', { 'test/a.test.ts': 'void (1 as any);' }, 'test/a.test.ts:1'],
  ['environment', 'outside config', { 'src/crm/a.ts': "// process.env\nvoid process.env['A'];" }, 'src/crm/a.ts:2'],
  ['environment', 'in the command line', { 'src/cli.ts': 'void process.env;' }, 'src/cli.ts:1'],
  ['environment', 'by its global', { 'src/crm/a.ts': "void globalThis.process['env'];" }, 'src/crm/a.ts:1'],
  ['process', 'outside the command line', { 'src/crm/a.ts': 'process.exit(1);' }, 'src/crm/a.ts:1'],
  ['process', 'taken apart', { 'src/crm/a.ts': 'const { env } = process;\nvoid env;' }, 'src/crm/a.ts:1'],
  ['process', 'in config, for more than the environment', { 'src/config.ts': 'void process.env;\nvoid process.cwd();' }, 'src/config.ts:2'],
  ['outside-src', 'src imports test', { 'src/crm/a.ts': "import '../../test/pull.test.ts';" }, 'src/crm/a.ts:1'],
  ['unresolved', 'a file that is not there', { 'src/crm/a.ts': "import './client.js';" }, 'src/crm/a.ts:1'],
  ['unresolved', 'something computed', { 'src/crm/a.ts': 'export const a = (name: string) => import(name);' }, 'src/crm/a.ts:1'],
  ['file-name', 'utils', { 'src/crm/utils.ts': 'export const a = 1;' }, 'src/crm/utils.ts:1'],
  ['file-name', 'a folder called helpers', { 'test/helpers/a.ts': 'export const a = 1;' }, 'test/helpers/a.ts:1'],
  ['file-name', 'camel case', { 'src/crm/rateLimit.ts': 'export const a = 1;' }, 'src/crm/rateLimit.ts:1'],
];

describe('goes red where a rule is broken', () => {
  test.each(BROKEN)('%s: %s', (rule, _how, files, at) => {
    expect(violations(files)).toEqual([expect.stringMatching(new RegExp(`^${at} .*\\[${rule}, see docs/ARCHITECTURE\\.md#imports\\]$`))]);
  });
});

test('what only looks like a broken rule is left alone', () => {
  const text = [
    "import { spawn } from 'node:child_process';",
    '/* process.env, any, export default */',
    "export const text = 'process.env: any';",
    'export const own = { process: 1, any: 2 };',
    'export const member = own.process;',
    'export const child = spawn;',
    'export const run = (process: () => void): void => process();',
  ];
  expect(violations({ 'src/crm/a.ts': text.join('\n'), 'src/crm/b.ts': "export { text } from './a.ts';\nexport const b = 1;" })).toEqual(
    [],
  );
});
