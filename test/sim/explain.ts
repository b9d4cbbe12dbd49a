/** The shortest schedule found that breaks one of the same promises, told. */
import type { Verdict } from './life.ts';
import { tellSchedule, tellStory } from './report.ts';
import type { Schedule } from './schedule.ts';
import { shrink } from './shrink.ts';

export const explain = async (
  schedule: Schedule,
  broken: readonly string[],
  live: (schedule: Schedule) => Promise<Verdict>,
  { runsMax, withStory }: { readonly runsMax?: number; readonly withStory: boolean },
): Promise<string> => {
  const kinds = new Set(broken.map(kindOf));
  const short = await shrink(
    schedule,
    async (candidate) => (await live(candidate)).broken.some((line) => kinds.has(kindOf(line))),
    runsMax,
  );
  const verdict = await live(short);
  // Where chance of its own plays a part, the last one may have gone well: then the longer story is told.
  const told = verdict.broken.length > 0 ? verdict.broken : broken;
  return `${tellSchedule(short, told)}${withStory ? `\n${tellStory(verdict)}` : ''}`;
};

/** What kind of promise is broken, without who and what: a shrunk schedule has to break the same one. */
const kindOf = (line: string): string => (line.split('\n')[0] ?? '').replaceAll(/\b[LRP]\d+|"[^"]*"|\d+/g, '#');
