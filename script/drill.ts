/**
 * The operator's drill: each thing that docs/operations.md tells what to do about, done to the built daemon with a real PostgreSQL, people
 * who go on editing on both sides, and a real Prometheus with the rules of deploy/monitoring. Each has to raise its alert, to be over
 * after what the document says, and to lose nothing.
 *
 *   npm run drill                      in full: the CRM is down for ten minutes, rules and settings as they are; about a quarter of an hour
 *   npm run drill -- --ci              in small: minutes are seconds, in the rules and in the daemon's waits; a few minutes
 *   npm run drill -- --only disk       those whose name contains this; may be repeated
 *   npm run drill -- --list            their names
 *
 * Needs `prometheus`; and, for two of them, root (to mount a small file system) and `pg_dump`. What cannot be held is said, and is a failure
 * only with --strict. Prints one table; exit code 1 if anything was not as it should be, 2 for an option that is not known.
 */
import { parseArgs } from 'node:util';
import { BRAKE } from '../test/drill/brake.ts';
import { CRM_DOWN, TOKEN_REVOKED } from '../test/drill/crm.ts';
import { LOG_FULL, TABLES_FULL } from '../test/drill/disk.ts';
import type { Drill, Outcome } from '../test/drill/drill.ts';
import { POSTGRES_KILLED, POSTGRES_RESTARTED } from '../test/drill/postgres.ts';
import { RESTORED, ROLLED_BACK } from '../test/drill/restore.ts';
import { drillTable, type Held } from '../test/drill/table.ts';
import { hasPrometheus } from '../test/monitoring/prometheus.ts';

/** The long ones first. */
const DRILLS: readonly Drill[] = [
  CRM_DOWN,
  TABLES_FULL,
  LOG_FULL,
  TOKEN_REVOKED,
  POSTGRES_RESTARTED,
  POSTGRES_KILLED,
  RESTORED,
  ROLLED_BACK,
  BRAKE,
];
/** A full drill waits most of the time; in small they would only slow each other down. */
const AT_ONCE = { small: 2, full: 4 } as const;
/** Each drill's daemon and Prometheus end with this process. */
process.setMaxListeners(50);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

class UsageError extends Error {}

const { values: options } = parseArgs({
  options: {
    ci: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string' },
    list: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
});

const chosen = (): readonly Drill[] => {
  const drills = DRILLS.filter(({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)));
  if (drills.length === 0) throw new UsageError(`--only "${options.only.join(', ')}": there is no such drill; --list names them.`);
  return drills;
};

const seedOf = (text: string | undefined): number => {
  const seed = text === undefined ? Math.floor(Date.now() / 1_000) : Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError(`--seed "${text}": allowed is a whole number from 0.`);
  return seed;
};

const hold = async (drill: Drill, seed: number): Promise<Held> => {
  const startedMs = performance.now();
  const outcome = await drill.run({ small: options.ci, seed, progress: () => undefined }).catch((error: unknown): Outcome => ({
    violations: [`broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`],
    alertSeconds: null,
    recoverySeconds: null,
    notes: [],
  }));
  const seconds = (performance.now() - startedMs) / 1_000;
  const end =
    outcome.skipped === undefined
      ? outcome.violations.length === 0
        ? 'as it should be'
        : 'NOT as it should be'
      : `not held: ${outcome.skipped}`;
  console.log(`${drill.name}: ${end} (${seconds.toFixed(0)} s)`);
  return { drill, outcome, seconds };
};

const main = async (): Promise<void> => {
  if (options.list) return console.log(DRILLS.map(({ name, what }) => `${name.padEnd(22)}${what}`).join('\n'));
  const drills = chosen();
  const seed = seedOf(options.seed);
  if (!(await hasPrometheus())) throw new UsageError('prometheus is not installed; on Debian: apt-get install prometheus');
  console.log(`seed ${seed}, ${options.ci ? 'in small: a minute of the rules is a second' : 'in full: rules and waits as they are'}`);
  const [queue, held] = [[...drills], [] as Held[]];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) held.push(await hold(next, seed));
  };
  await Promise.all(Array.from({ length: options.ci ? AT_ONCE.small : AT_ONCE.full }, worker));
  console.log(drillTable(held.toSorted((a, b) => drills.indexOf(a.drill) - drills.indexOf(b.drill))));
  const isFailed = ({ outcome }: Held): boolean => outcome.violations.length > 0 || (options.strict && outcome.skipped !== undefined);
  if (held.some(isFailed)) process.exitCode = 1;
};

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
// What a drill that broke off has left behind, people who wait for a database among it, ends here.
process.exit();
