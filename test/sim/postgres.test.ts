/**
 * The same lives on a real PostgreSQL: real locks, real captures, the real adapter.
 *
 * `SIM_PG=1 SIM_SEED=n` lives that one again; `SIM_PG_RUNS=n` soaks, from `SIM_FROM`. The schedule is the same again, its steps nearly so: how
 * long a lock is waited for, and what a clock says, is PostgreSQL's.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSimPostgres, type SimPostgres } from './database-postgres.ts';
import { MENDED } from './findings.ts';
import { live, type Verdict } from './life.ts';
import { explain } from './explain.ts';
import { makeSchedule } from './make-schedule.ts';
import type { Schedule } from './schedule.ts';
import { budget } from './settings.ts';

const RUNS_DEFAULT = 25;
/** Half a second on a machine that does nothing else. */
const MS_A_RUN_MAX = 8000;
const { from, count, seed } = budget('SIM_PG_RUNS', RUNS_DEFAULT, process.env['SIM_PG'] === '1');
const isAsked = seed !== null || (process.env['SIM_PG_RUNS'] ?? '') !== '';

describe('the simulation on PostgreSQL', () => {
  let server: SimPostgres;
  beforeAll(async () => {
    server = await openSimPostgres();
  });
  afterAll(async () => await server.close());

  const liveHere = async (schedule: Schedule): Promise<Verdict> => {
    const database = await server.make();
    try {
      return await live(schedule, database);
    } finally {
      await database.close();
    }
  };

  it(
    `keeps every promise in ${count} lives from seed ${from}`,
    async () => {
      const failed: string[] = [];
      for (let at = from; at < from + count && failed.length < 3; at += 1) {
        const schedule = makeSchedule(at);
        const { broken } = await liveHere(schedule);
        if (broken.length > 0) failed.push(await explain(schedule, broken, liveHere, { runsMax: 60, withStory: seed !== null }));
      }
      expect(failed.join('\n\n')).toBe('');
    },
    60_000 + count * MS_A_RUN_MAX,
  );

  it.skipIf(isAsked).each(Object.entries(MENDED))('%s', { timeout: 60_000 }, async (_what, schedule) => {
    expect((await liveHere(schedule)).broken).toEqual([]);
  });
});
