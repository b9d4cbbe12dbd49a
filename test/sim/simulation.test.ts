/**
 * Whole lives, simulated: edits on both sides, faults, crashes, frozen leaders and people's decisions in random order, on fakes and a fake clock,
 * and the promises checked at the end of each. Some lives are new in every run and some always the same; a failure prints its seed and the
 * shortest schedule found that fails the same way.
 *
 * `SIM_SEED=n` lives that one again and tells its whole story; `SIM_RUNS=n` soaks, from `SIM_FROM` (default: a seed of this moment). With
 * `SIM_PG=1` the seed is meant for `postgres.test.ts`.
 */
import { describe, expect, it } from 'vitest';
import { explain } from './explain.ts';
import { live } from './life.ts';
import { tellStory } from './report.ts';
import { makeSchedule } from './make-schedule.ts';
import { budget } from './settings.ts';

/** The same in every run: what once was found is found again. */
const FIXED = { runs: 500, from: 3000 };
const NEW_RUNS_DEFAULT = 150;
const MS_A_RUN_MAX = 100;

const { seed, from, count } = budget('SIM_RUNS', NEW_RUNS_DEFAULT, process.env['SIM_PG'] !== '1');
const isAsked = seed !== null || (process.env['SIM_RUNS'] ?? '') !== '';

/** Told for the first few that break a promise. */
const brokenIn = async (first: number, runs: number): Promise<string> => {
  const failed: string[] = [];
  for (let at = first; at < first + runs && failed.length < 3; at += 1) {
    const schedule = makeSchedule(at);
    const { broken } = await live(schedule);
    if (broken.length > 0) failed.push(await explain(schedule, broken, live, { withStory: seed !== null }));
  }
  return failed.join('\n\n');
};

describe('the simulation', () => {
  it(
    `keeps every promise in ${count} lives from seed ${from}`,
    async () => {
      expect(await brokenIn(from, count)).toBe('');
    },
    60_000 + count * MS_A_RUN_MAX,
  );

  it.skipIf(isAsked)(`keeps every promise in the ${FIXED.runs} lives that are the same in every run`, { timeout: 120_000 }, async () => {
    expect(await brokenIn(FIXED.from, FIXED.runs)).toBe('');
  });

  it('lives the same life again from the same seed', async () => {
    const [once, again] = [await live(makeSchedule(from)), await live(makeSchedule(from))];
    expect(tellStory(again)).toBe(tellStory(once));
  });
});
