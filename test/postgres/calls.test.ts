/** Calls by minute: counted in memory, written when the minute is over, and nothing where nothing was called. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Clock, Log } from '../../src/ports/ambient.ts';
import { createCallRecorder } from '../../src/postgres/calls.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const MINUTE_MS = 60_000;
const START = Date.parse('2026-11-28T10:00:20Z');

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool({ connectionString: database.url, max: 2, applicationName: 'test' });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => void (await pool.query('truncate sync.calls')));

/** Sleeps end when the test says so. */
const handClock = () => {
  let nowMs = START;
  const sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>();
  const clock: Clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: async (ms, signal) =>
      await new Promise<void>((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper = { untilMs: nowMs + ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
  const pass = (ms: number): void => {
    nowMs += ms;
    for (const sleeper of sleepers) {
      if (sleeper.untilMs > nowMs) continue;
      sleepers.delete(sleeper);
      sleeper.wake();
    }
  };
  return { clock, pass, sleeping: () => sleepers.size };
};
const rows = async () =>
  (await pool.query(`select minute, endpoint, outcome, calls::int, seconds from sync.calls order by 1, 2, 3`)).rows as readonly object[];
const eventually = async (look: () => boolean | Promise<boolean>): Promise<void> => {
  for (const deadline = Date.now() + 10_000; !(await look());) {
    if (Date.now() > deadline) throw new Error('not in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

describe('sync.calls', () => {
  it('a minute is written once it is over, one row for each endpoint and outcome, and nothing while nothing is called', async () => {
    const { clock, pass, sleeping } = handClock();
    const recorder = createCallRecorder({ pool, clock, log: silent });
    await recorder.start();
    await eventually(() => sleeping() === 1);
    recorder.callEnded({ endpoint: 'list', outcome: 'ok', seconds: 0.25 });
    recorder.callEnded({ endpoint: 'list', outcome: 'ok', seconds: 0.5 });
    recorder.callEnded({ endpoint: 'update', outcome: 'invalid', seconds: 1 });
    expect(await rows()).toEqual([]);
    pass(41_000);
    await eventually(async () => (await rows()).length === 2);
    const minute = new Date('2026-11-28T10:00:00Z');
    expect(await rows()).toEqual([
      { minute, endpoint: 'list', outcome: 'ok', calls: 2, seconds: 0.75 },
      { minute, endpoint: 'update', outcome: 'invalid', calls: 1, seconds: 1 },
    ]);
    const [before] = (await pool.query(`select pg_current_wal_lsn()::text as at`)).rows as { at: string }[];
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await eventually(() => sleeping() === 1);
      pass(MINUTE_MS);
    }
    await recorder.stop();
    expect(await rows()).toHaveLength(2);
    expect(before?.at).toBeDefined();
  });

  it('what is there is written at a stop, and added to what the minute has', async () => {
    const { clock } = handClock();
    for (let daemon = 0; daemon < 2; daemon += 1) {
      const recorder = createCallRecorder({ pool, clock, log: silent });
      await recorder.start();
      recorder.callEnded({ endpoint: 'get', outcome: 'ok', seconds: 0.5 });
      await recorder.stop();
      await recorder.stop();
    }
    expect(await rows()).toMatchObject([{ endpoint: 'get', calls: 2, seconds: 1 }]);
  });

  it('a database that is away is caught up with, and a stop does not wait for it', async () => {
    const { clock, pass } = handClock();
    let isAway = true;
    const query = async (text: string, values: unknown[]) => {
      if (isAway) throw new Error('away');
      return await pool.query(text, values);
    };
    const recorder = createCallRecorder({ pool: { query } as unknown as Pool, clock, log: silent });
    recorder.callEnded({ endpoint: 'get', outcome: 'ok', seconds: 0.5 });
    await recorder.flush();
    expect(await rows()).toEqual([]);
    recorder.callEnded({ endpoint: 'get', outcome: 'ok', seconds: 0.5 });
    isAway = false;
    await recorder.flush();
    expect(await rows()).toMatchObject([{ calls: 2, seconds: 1 }]);

    const hangs = createCallRecorder({ pool: { query: () => new Promise(() => undefined) } as unknown as Pool, clock, log: silent });
    hangs.callEnded({ endpoint: 'get', outcome: 'ok', seconds: 0.5 });
    const flushed = hangs.flush();
    pass(2_000);
    await flushed;
  });

  it('is pruned with the log', async () => {
    await pool.query(
      `insert into sync.calls values (now() - interval '91 days', 'list', 'ok', 1, 1), (now() - interval '89 days', 'list', 'ok', 1, 1)`,
    );
    await pool.query(`update sync.leader set holder = 'test', epoch = 1, expires_at = 'infinity'`);
    await createMirror({ pool, lease: { epoch: () => 1 }, log: silent }).prune(90);
    expect(await rows()).toHaveLength(1);
  });
});
