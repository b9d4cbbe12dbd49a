/** What the simulation has found: mended, it must not be found again. */
import { describe, expect, it } from 'vitest';
import { MENDED } from './findings.ts';
import { live } from './life.ts';
import type { Schedule } from './schedule.ts';

const brokenBy = async (schedule: Schedule): Promise<readonly string[]> => (await live(schedule)).broken;

describe('what the simulation once found', () => {
  it.each(Object.entries(MENDED))('%s', async (_what, schedule) => {
    expect(await brokenBy(schedule)).toEqual([]);
  });
});
