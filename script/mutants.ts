/**
 * Switches each guard of the protocol off, one at a time, in a scratch copy of the tree, and asks whether a test notices.
 *
 *   npm run mutants                  all of them; exit code 1 if one survives or its patch does not fit any more
 *   npm run mutants -- --list        names, promises and places
 *   npm run mutants -- --only NAME   those whose name contains this; may be repeated
 *   npm run mutants -- --sample 5    five by chance; --seed N takes the same ones again
 *   npm run mutants -- --workers 1   copies side by side; two without
 *   npm run mutants -- --why         with the words of the test that failed: red for the right reason?
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { MUTANTS } from '../test/mutants/list.ts';
import { patternOf, type Catcher, type Mutant } from '../test/mutants/mutant.ts';
import { createScratch, whereOf, type Scratch } from '../test/mutants/scratch.ts';
import { runTests, type TestRunEnd } from '../test/mutants/vitest-run.ts';
import { startTestServer } from '../test/postgres-server.ts';
import { createDice } from '../test/sim/dice.ts';

const PROJECT = path.join(import.meta.dirname, '..');
const TIMEOUT_MS = 120_000;
const BASELINE_TIMEOUT_MS = 600_000;

const { values: options } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    sample: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '2' },
    why: { type: 'boolean', default: false },
  },
});

const numberOf = (name: 'sample' | 'seed' | 'workers', min: number): number => {
  const value = Number(options[name]);
  if (!Number.isSafeInteger(value) || value < min) throw new RangeError(`--${name} has to be a whole number from ${min}`);
  return value;
};

const chosen = (): readonly Mutant[] => {
  const named = MUTANTS.filter(({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)));
  if (options.only.length > 0 && named.length === 0)
    throw new RangeError(`no mutant is called ${options.only.join(', ')}; --list shows all`);
  if (options.sample === undefined) return named;
  const seed = options.seed === undefined ? Math.floor(Date.now() / 1000) : numberOf('seed', 0);
  console.log(`seed ${seed}`);
  const dice = createDice(seed);
  const left = [...named];
  return Array.from({ length: Math.min(numberOf('sample', 1), left.length) }, () => left.splice(dice.below(left.length), 1)).flat();
};

interface Verdict {
  readonly mutant: Mutant;
  readonly caught: boolean;
  readonly by: string;
  readonly seconds: number;
  readonly detail?: string;
}

const nameOf = ({ file, name }: Catcher): string => (name === undefined ? file : `${file}: ${name}`);

const judge = async (scratch: Scratch, mutant: Mutant, env: NodeJS.ProcessEnv): Promise<Omit<Verdict, 'mutant' | 'seconds'>> => {
  for (const test of mutant.tests) {
    const run = await runTests({ root: scratch.root, tests: [test], timeoutMs: TIMEOUT_MS, bail: true, env });
    if (run.end === 'red') return { caught: true, by: `${run.file}: ${run.test}`, detail: run.message };
    if (run.end === 'hung' && mutant.hangs === true) return { caught: true, by: `${nameOf(test)} (did not end)` };
    if (run.end === 'hung') return { caught: false, by: `DID NOT END: ${nameOf(test)}` };
    if (run.end === 'broken') return { caught: false, by: `BROKEN: ${nameOf(test)}`, detail: run.message };
  }
  return { caught: false, by: 'SURVIVED' };
};

/** Without a patch every test that is to go red has to be green. Answers what is not. */
const checkBaseline = async (scratch: Scratch, mutants: readonly Mutant[], env: NodeJS.ProcessEnv): Promise<readonly string[]> => {
  const all = mutants.flatMap(({ tests }) => tests);
  const problems: string[] = [];
  // Names choose within all files at once, so that those which are run whole have a run of their own.
  for (const tests of [all.filter(({ name }) => name !== undefined), all.filter(({ name }) => name === undefined)]) {
    if (tests.length === 0) continue;
    const run: TestRunEnd = await runTests({ root: scratch.root, tests, timeoutMs: BASELINE_TIMEOUT_MS, bail: false, env });
    if (run.end === 'red') problems.push(`${run.file}: ${run.test} is red without a mutant\n${run.message}`);
    else if (run.end !== 'green') problems.push(`${tests.map(nameOf).join(', ')}: ${run.end === 'broken' ? run.message : run.end}`);
    else {
      const ran = ({ file, name }: Catcher): boolean =>
        run.passed.some((passed) => passed.file === file && (name === undefined || new RegExp(patternOf(name)).test(passed.test)));
      problems.push(...tests.filter((test) => !ran(test)).map((test) => `${nameOf(test)}: there is no such test`));
    }
  }
  return [...new Set(problems)];
};

const judgeAll = async (scratches: readonly Scratch[], mutants: readonly Mutant[], env: NodeJS.ProcessEnv): Promise<readonly Verdict[]> => {
  const queue = [...mutants];
  const verdicts = new Map<Mutant, Verdict>();
  await Promise.all(
    scratches.map(async (scratch) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const startedMs = performance.now();
        const current = mutant;
        const verdict = await scratch
          .spoiled(current.patches, () => judge(scratch, current, env))
          .catch((error: unknown) => ({ caught: false, by: `DOES NOT APPLY: ${error instanceof Error ? error.message : String(error)}` }));
        const seconds = (performance.now() - startedMs) / 1000;
        verdicts.set(current, { mutant: current, seconds, ...verdict });
        console.log(
          `${verdict.caught ? 'caught ' : 'NOT CAUGHT'} ${current.name} (${seconds.toFixed(1)} s)${verdict.caught ? '' : `: ${verdict.by}`}`,
        );
        if ((options.why || !verdict.caught) && 'detail' in verdict && verdict.detail !== undefined) console.log(verdict.detail);
      }
    }),
  );
  return mutants.flatMap((mutant) => verdicts.get(mutant) ?? []);
};

const whereFor = ({ patches: [first] }: Mutant): string => {
  try {
    return whereOf(PROJECT, first);
  } catch {
    return `${first.file}:?`;
  }
};

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
};

const main = async (): Promise<void> => {
  const mutants = chosen();
  if (options.list) {
    const rows = mutants.map((mutant) => [mutant.name, String(mutant.promise), whereFor(mutant), mutant.tests.map(nameOf).join('; ')]);
    console.log(table([['guard switched off', 'promise', 'where', 'tests'], ...rows]));
    return;
  }
  const server = await startTestServer();
  const env = { ...process.env, TEST_DATABASE_URL: server.url };
  const scratches = Array.from({ length: Math.min(numberOf('workers', 1), mutants.length) }, () => createScratch(PROJECT));
  // Whoever interrupts it leaves no copy behind; the children end by their own exit handler.
  process.once('exit', () => scratches.forEach((scratch) => scratch.remove()));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  try {
    const [first] = scratches;
    const problems = first === undefined ? ['there is nothing to do'] : await checkBaseline(first, mutants, env);
    if (problems.length > 0) {
      console.error(problems.join('\n'));
      process.exitCode = 1;
      return;
    }
    console.log(`All tests are green without a mutant; ${mutants.length} mutants.`);
    const verdicts = await judgeAll(scratches, mutants, env);
    const rows = verdicts.map(({ mutant, by, seconds }) => [mutant.name, String(mutant.promise), whereFor(mutant), by, seconds.toFixed(1)]);
    console.log(table([['guard switched off', 'promise', 'where', 'caught by', 's'], ...rows]));
    const alive = verdicts.filter(({ caught }) => !caught);
    console.log(`${verdicts.length - alive.length} of ${verdicts.length} caught`);
    if (alive.length > 0) process.exitCode = 1;
  } finally {
    for (const scratch of scratches) scratch.remove();
    await server.stop();
  }
};

try {
  await main();
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
