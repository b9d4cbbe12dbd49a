/**
 * Calls of the CRM, counted by minute in `sync.calls`. Counted in memory and written when a minute is over: where no calls were made nothing
 * is written, and a database that is away is caught up with. It is bookkeeping for charts; nothing is decided by it, so no lease guards it.
 */
import type pg from 'pg';
import { errorFields } from '../domain/error-fields.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import { createService, type Service } from '../ports/service.ts';
import type { Telemetry } from '../ports/telemetry.ts';

export interface CallRecorder extends Service, Pick<Telemetry, 'callEnded'> {
  /** Writes what there is, the minute that goes on included. Never rejects, and gives up soon. */
  flush(): Promise<void>;
}
export interface CallRecorderOptions {
  readonly pool: Pick<pg.Pool, 'query'>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Row {
  readonly minute: string;
  readonly endpoint: string;
  readonly outcome: string;
  calls: number;
  seconds: number;
}

const MINUTE_MS = 60_000;
/** Behind the end of a minute, for calls that end with it. */
const LATE_MS = 500;
/** Some hours of a busy mirror whose database is away; the oldest go first. */
const ROWS_MAX = 5_000;
/** Of a stop. */
const FLUSH_MS_MAX = 2_000;

const WRITE = `
insert into sync.calls as c (minute, endpoint, outcome, calls, seconds)
select minute, endpoint, outcome, calls, seconds
from jsonb_to_recordset($1::jsonb) as r(minute timestamptz, endpoint text, outcome text, calls bigint, seconds double precision)
on conflict (minute, endpoint, outcome) do update set calls = c.calls + excluded.calls, seconds = c.seconds + excluded.seconds`;

export const createCallRecorder = ({ pool, clock, log }: CallRecorderOptions): CallRecorder => {
  let rows = new Map<string, Row>();
  const minuteOf = (at: Date): string => new Date(Math.floor(at.getTime() / MINUTE_MS) * MINUTE_MS).toISOString();

  const keep = (unwritten: readonly Row[]): void => {
    // In front, so that the oldest go first when there are too many.
    const known = new Map(unwritten.map((row) => [keyOf(row), row]));
    for (const [key, row] of rows) {
      const before = known.get(key);
      known.set(key, before === undefined ? row : { ...row, calls: row.calls + before.calls, seconds: row.seconds + before.seconds });
    }
    rows = new Map([...known].slice(-ROWS_MAX));
  };
  const write = async (isWanted: (row: Row) => boolean): Promise<void> => {
    const wanted = [...rows.values()].filter(isWanted);
    if (wanted.length === 0) return;
    for (const row of wanted) rows.delete(keyOf(row));
    try {
      await pool.query(WRITE, [JSON.stringify(wanted)]);
    } catch (error) {
      keep(wanted);
      log.warn(
        { ...errorFields(error), rows: wanted.length },
        'the calls of the last minutes could not be counted in the database; tried again',
      );
    }
  };
  const flush = async (): Promise<void> => {
    const over = new AbortController();
    await Promise.race([write(() => true), clock.sleep(FLUSH_MS_MAX, over.signal)]);
    over.abort();
  };
  const service = createService(async (signal) => {
    while (!signal.aborted) {
      await clock.sleep(MINUTE_MS - (clock.now().getTime() % MINUTE_MS) + LATE_MS, signal);
      const now = minuteOf(clock.now());
      if (!signal.aborted) await write(({ minute }) => minute < now);
    }
    await flush();
  });
  return {
    ...service,
    flush,
    callEnded: ({ endpoint, outcome, seconds }) => {
      const fresh = { minute: minuteOf(clock.now()), endpoint, outcome, calls: 0, seconds: 0 };
      const row = rows.get(keyOf(fresh)) ?? fresh;
      row.calls += 1;
      row.seconds += seconds;
      rows.set(keyOf(row), row);
    },
  };
};

const keyOf = ({ minute, endpoint, outcome }: Pick<Row, 'minute' | 'endpoint' | 'outcome'>): string => `${minute} ${endpoint} ${outcome}`;
