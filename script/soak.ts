/**
 * The long proof: for a given time, everything that chance may do to edits, processes, Postgres, wires and the CRM.
 *
 *   npm run soak -- --minutes 20            simulation on fakes, on PostgreSQL, and the process run, within twenty minutes
 *   npm run soak -- --ci                    small budgets of everything, about two minutes
 *   npm run soak -- --only process --seed 7 one of: sim, sim-pg, process, creates, quiet; may be repeated
 *   CREATES=20000 npm run soak -- --only creates
 *
 * Prints one table; exit code 1 if any promise was seen broken, 2 for an option that is not known. SOAK_SEED or --seed plays the same edits
 * and the same blows again; what processes and sockets do in between is theirs.
 */
import { parseArgs } from 'node:util';
import { runCreates } from '../test/soak/creates-run.ts';
import { runProcesses } from '../test/soak/process-run.ts';
import { runQuiet } from '../test/soak/quiet-run.ts';
import { runSimulations } from '../test/soak/simulations.ts';
import { tableOf } from '../test/soak/table.ts';
import type { Progress, Verdict } from '../test/soak/verdict.ts';

const PARTS = ['sim', 'sim-pg', 'process', 'creates', 'quiet'] as const;
type Part = (typeof PARTS)[number];

interface Plan {
  readonly parts: readonly Part[];
  readonly minutes: number;
  readonly seed: number;
  readonly creates: number;
  readonly ci: boolean;
}

const MINUTES_DEFAULT = 5;
const CREATES_DEFAULT = 20_000;
/** How the time is shared out where the three that take any time run together. */
const SHARES: { readonly [K in Part]: number } = { sim: 0.3, 'sim-pg': 0.3, process: 0.4, creates: 0, quiet: 0 };
/** Of the process run, what comes before its first edit and after its last. */
const AROUND_MINUTES = 0.4;
const CI = { sim: 200, simPg: 5, processMinutes: 0.4, creates: 300, kills: 3, quietMinutes: 0.4 } as const;

class UsageError extends Error {}

const numberOf = (name: string, text: string, min: number): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < min)
    throw new UsageError(`${name}="${text}": allowed is a number from ${min}.`);
  return value;
};

const toPlan = (): Plan => {
  const { values } = parseArgs({
    options: { minutes: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string', multiple: true }, ci: { type: 'boolean' } },
  });
  const isPart = (name: string): name is Part => (PARTS as readonly string[]).includes(name);
  const unknown = values.only?.find((name) => !isPart(name));
  if (unknown !== undefined) throw new UsageError(`--only "${unknown}": allowed is ${PARTS.join(', ')}.`);
  const seed = values.seed ?? process.env['SOAK_SEED'] ?? '';
  const ci = values.ci ?? false;
  return {
    parts: values.only?.filter(isPart) ?? (ci ? PARTS : ['sim', 'sim-pg', 'process']),
    minutes: numberOf('--minutes', values.minutes ?? String(MINUTES_DEFAULT), 0.1),
    seed: seed === '' ? Math.floor(Date.now() / 1_000) : Math.floor(numberOf('--seed', seed, 0)),
    creates: Math.floor(numberOf('CREATES', process.env['CREATES'] ?? String(ci ? CI.creates : CREATES_DEFAULT), 1)),
    ci,
  };
};

const LINE_EVERY_MS = 10_000;

/** On a terminal one line that changes; elsewhere a line now and then. */
const createProgress = (part: Part): Progress => {
  let toldMs = Number.NEGATIVE_INFINITY;
  return (line) => {
    if (process.stderr.isTTY) return void process.stderr.write(`\r\u001b[2K${part}: ${line}`);
    if (performance.now() - toldMs < LINE_EVERY_MS) return;
    toldMs = performance.now();
    process.stderr.write(`${part}: ${line}\n`);
  };
};

const runPart = async (part: Part, plan: Plan): Promise<readonly Verdict[]> => {
  const { seed, ci, creates } = plan;
  const progress = createProgress(part);
  const share = SHARES[part] / plan.parts.reduce((sum, other) => sum + SHARES[other], 0);
  const minutes = Number.isFinite(share) && share > 0 ? plan.minutes * share : plan.minutes;
  switch (part) {
    case 'sim':
      return [await runSimulations({ on: 'fakes', seed, msMax: minutes * 60_000, progress, ...(ci && { runsMax: CI.sim }) })];
    case 'sim-pg':
      return [await runSimulations({ on: 'postgres', seed, msMax: minutes * 60_000, progress, ...(ci && { runsMax: CI.simPg }) })];
    case 'process': {
      const alone = plan.parts.length === 1;
      const meant = ci ? CI.processMinutes : alone ? minutes : Math.max(0.2, minutes - AROUND_MINUTES);
      return [await runProcesses({ minutes: meant, seed, progress })];
    }
    case 'creates':
      return [await runCreates({ creates, seed, progress, ...(ci && { kills: CI.kills }) })];
    case 'quiet': {
      const options = { minutes: ci ? CI.quietMinutes : minutes, seed, progress };
      return [await runQuiet({ ...options, schedule: 'default' }), await runQuiet({ ...options, schedule: 'busy' })];
    }
  }
};

const soak = async (plan: Plan): Promise<number> => {
  console.log(`soak: ${plan.parts.join(', ')}; seed ${plan.seed}`);
  const verdicts: Verdict[] = [];
  for (const part of plan.parts) verdicts.push(...(await runPart(part, plan)));
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[2K');
  console.log(tableOf(verdicts));
  return verdicts.some(({ violations }) => violations.length > 0) ? 1 : 0;
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  process.exitCode = await soak(toPlan());
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { readonly code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
  console.error(isUsage ? (error as Error).message : error);
  process.exitCode = isUsage ? 2 : 1;
}
