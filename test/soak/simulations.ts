/** The simulation for as long as there is time: its test file run again and again, each time with seeds that were not there before. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Progress, Verdict } from './verdict.ts';

export interface SimulationsOptions {
  readonly on: 'fakes' | 'postgres';
  readonly seed: number;
  readonly msMax: number;
  /** At most so many lives; without it only the time ends it. */
  readonly runsMax?: number;
  readonly progress: Progress;
}

const PROJECT = path.join(import.meta.dirname, '..', '..');
const VITEST = path.join(PROJECT, 'node_modules', 'vitest', 'vitest.mjs');

/** `first`: lives of the first go, which tells how fast they are. */
const PLACES = {
  fakes: { file: 'test/sim/simulation.test.ts', runs: 'SIM_RUNS', first: 200 },
  postgres: { file: 'test/sim/postgres.test.ts', runs: 'SIM_PG_RUNS', first: 5 },
} as const;
/** A go is never longer, so that the progress moves and a failure is told soon. */
const GO_MS_MAX = 60_000;
/** What a failure says goes to the table's foot in full, up to this. */
const TOLD_CHARS_MAX = 6_000;

interface Went {
  readonly code: number | null;
  readonly said: string;
  readonly ms: number;
}

const go = async (file: string, env: NodeJS.ProcessEnv): Promise<Went> => {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [VITEST, 'run', file], {
    cwd: PROJECT,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said, ms: performance.now() - startedMs };
};

/** The words of the failure without the runner's frame around them. */
const toldBy = (said: string): string => said.slice(Math.max(0, said.search(/FAIL|Error/))).slice(0, TOLD_CHARS_MAX);

export const runSimulations = async ({
  on,
  seed,
  msMax,
  runsMax = Number.POSITIVE_INFINITY,
  progress,
}: SimulationsOptions): Promise<Verdict> => {
  const { file, runs: runsName, first } = PLACES[on];
  const startedMs = performance.now();
  const violations: string[] = [];
  let [runs, chunk] = [0, Math.min(first, runsMax)];
  let msPerRun = 0;
  while (chunk > 0 && violations.length === 0) {
    progress(`${runs} lives on ${on}, ${chunk} more from seed ${seed + runs}`);
    const went = await go(file, { [runsName]: String(chunk), SIM_FROM: String(seed + runs) });
    if (went.code !== 0) violations.push(`a life from seed ${seed + runs} (${chunk} lives) broke a promise:\n${toldBy(went.said)}`);
    runs += chunk;
    msPerRun = went.ms / chunk;
    const leftMs = msMax - (performance.now() - startedMs);
    chunk = Math.min(runsMax - runs, Math.floor(Math.min(leftMs, GO_MS_MAX) / msPerRun));
  }
  return {
    name: `simulation on ${on}`,
    seed,
    runs,
    ms: performance.now() - startedMs,
    figures: { 'ms a life': Math.round(msPerRun) },
    violations,
  };
};
