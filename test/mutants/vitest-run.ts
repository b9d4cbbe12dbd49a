/** Runs chosen tests of a tree in a process of their own, and says how that ended. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { patternOf, type Catcher } from './mutant.ts';

const Results = z.object({
  success: z.boolean(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().default(''),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() })),
    }),
  ),
});

export interface TestRun {
  /** The tree to run them in. */
  readonly root: string;
  readonly tests: readonly Catcher[];
  readonly timeoutMs: number;
  /** Stops at the first test that fails. */
  readonly bail: boolean;
  readonly env: { readonly [name: string]: string | undefined };
}

export type TestRunEnd =
  | { readonly end: 'green'; readonly passed: readonly { readonly file: string; readonly test: string }[] }
  | { readonly end: 'red'; readonly file: string; readonly test: string; readonly message: string }
  /** No test was run, or none of them failed and the run did: the tree does not load, or its migrations fail. It proves nothing. */
  | { readonly end: 'broken'; readonly message: string }
  | { readonly end: 'hung' };

/** Either all tests have a name or none. */
export const runTests = async ({ root, tests, timeoutMs, bail, env }: TestRun): Promise<TestRunEnd> => {
  const output = path.join(root, 'results.json');
  rmSync(output, { force: true });
  const names = tests.flatMap(({ name }) => (name === undefined ? [] : [patternOf(name)]));
  const files = [...new Set(tests.map(({ file }) => file))];
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...files, '--reporter=json', `--outputFile=${output}`];
  if (bail) args.push('--bail=1');
  if (names.length > 0) args.push('-t', `(${names.join('|')})`);
  const { hung, log } = await runChild(root, args, env, timeoutMs);
  if (hung) return { end: 'hung' };
  if (!existsSync(output)) return { end: 'broken', message: log };
  return judge(root, Results.parse(JSON.parse(readFileSync(output, 'utf8'))), log);
};

const LOG_LENGTH_MAX = 2000;

const runChild = async (
  cwd: string,
  args: readonly string[],
  env: { readonly [name: string]: string | undefined },
  timeoutMs: number,
): Promise<{ readonly hung: boolean; readonly log: string }> => {
  // A group of its own, so that its workers end with it.
  const child = spawn(process.execPath, args, { cwd, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-LOG_LENGTH_MAX)));
  let hung = false;
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Gone by itself.
    }
  };
  const timer = setTimeout(() => {
    hung = true;
    end();
  }, timeoutMs);
  process.once('exit', end);
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  process.removeListener('exit', end);
  return { hung, log };
};

const judge = (root: string, { success, testResults }: z.infer<typeof Results>, log: string): TestRunEnd => {
  const all = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((result) => ({ ...result, file: path.relative(root, name) })),
  );
  const failed = all.find(({ status }) => status === 'failed');
  const message = failed?.failureMessages?.join('\n') ?? '';
  if (failed !== undefined && !message.includes('The migrations failed')) {
    return { end: 'red', file: failed.file, test: failed.fullName, message: message.slice(0, LOG_LENGTH_MAX) };
  }
  const passed = all.filter(({ status }) => status === 'passed').map(({ file, fullName }) => ({ file, test: fullName }));
  if (success && passed.length > 0) return { end: 'green', passed };
  const why = testResults.flatMap((file) => (file.status === 'failed' ? [file.message] : [])).join('\n');
  return { end: 'broken', message: (message || why || log || 'no test ran').slice(0, LOG_LENGTH_MAX) };
};
