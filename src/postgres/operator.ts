/**
 * What the commands ask of a mirror, whoever leads: how it is going, and requests to the leader. Needs no leadership and writes nothing but
 * requests. Column names are those of the SQL views.
 */
import type pg from 'pg';
import { z } from 'zod';
import { createDecisions, type Decisions } from './decisions.ts';

const timestamp = z.date().nullable();

/** `sync.status`, one row; see docs for the meaning of each column. */
const Status = z.object({
  leader: z.string().nullable(),
  paused: z.boolean(),
  pull_lag_seconds: z.number().nullable(),
  push_lag_seconds: z.number(),
  queue_depth: z.coerce.number(),
  last_complete_sweep_at: timestamp,
  budget_limit: z.number().nullable(),
  budget_used: z.number().nullable(),
  parked: z.coerce.number(),
  held: z.coerce.number(),
  unknown: z.coerce.number(),
  open_conflicts: z.coerce.number(),
  retry: z.coerce.number(),
  contacts: z.coerce.number(),
  first_sweep_done: z.boolean(),
  identity_hold: z.coerce.number().nullable().default(null),
  crm_error_code: z.string().nullable(),
  crm_seen_seconds: z.number().nullable(),
  pull_late: z.boolean(),
});
export type Status = z.infer<typeof Status>;

/** A run as its row tells it. `expected` and `pass` come from the walk's cursor; `marks` is how many contacts still have to be read by id. */
const RunRow = z.object({
  id: z.number(),
  kind: z.string(),
  state: z.enum(['requested', 'running', 'done', 'partial', 'failed']),
  complete: z.boolean().nullable(),
  with_links: z.boolean(),
  rows_seen: z.coerce.number(),
  rows_written: z.coerce.number(),
  expected: z.number().nullable(),
  pass: z.number().nullable(),
  error: z.string().nullable(),
  marks: z.coerce.number(),
});
export type RunRow = z.infer<typeof RunRow>;

export interface Operator extends Decisions {
  status(): Promise<Status>;
  /** Asks the leader for a run; a like one that is already asked for or running is answered instead. */
  request(kind: 'sync' | 'resync' | 'audit', withLinks: boolean): Promise<number>;
  run(runId: number): Promise<RunRow | null>;
  /** How many edits reached the CRM while this run went, whoever sent them. */
  pushedDuring(runId: number): Promise<number>;
  /** The sweep or resync that runs, or ended last. */
  currentRun(): Promise<RunRow | null>;
  /** CAPTURE_NOTIFY, where the capture triggers look for it. */
  setCaptureNotify(on: boolean): Promise<void>;
}

const RUN = `
  select r.id, r.kind, r.state, r.complete, r.with_links, r.rows_seen, r.rows_written, r.error,
    (r.cursor->>'total')::float8 as expected, (r.cursor->>'pass')::float8 as pass,
    (select count(*) from sync.marks where reason in ('links', 'activities')) as marks
  from sync.runs r`;
const RUN_BY_ID = `${RUN} where r.id = $1`;
const PUSHED_DURING = `
  select count(*) as pushed from sync.change_log l, sync.runs r
  where r.id = $1 and l.state = 'done' and l.settled_at between r.started_at and coalesce(r.finished_at, now())`;
const CURRENT_RUN = `${RUN} where r.kind in ('sweep', 'resync') and r.started_at is not null order by r.state = 'running' desc, r.id desc limit 1`;

export const createOperator = (pool: pg.Pool): Operator => {
  return {
    ...createDecisions(pool),
    status: async () => Status.parse((await pool.query('select * from sync.status')).rows[0]),
    request: async (kind, withLinks) =>
      z.object({ id: z.number() }).parse((await pool.query('select sync.request_run($1, $2) as id', [kind, withLinks])).rows[0]).id,
    run: async (runId) => await runOf(pool, RUN_BY_ID, [runId]),
    pushedDuring: async (runId) => z.object({ pushed: z.coerce.number() }).parse((await pool.query(PUSHED_DURING, [runId])).rows[0]).pushed,
    currentRun: async () => await runOf(pool, CURRENT_RUN, []),
    setCaptureNotify: async (on) => void (await pool.query('update sync.account set notify = $1 where notify <> $1', [on])),
  };
};

const runOf = async (pool: pg.Pool, text: string, values: unknown[]): Promise<RunRow | null> => {
  const [row] = (await pool.query(text, values)).rows as readonly unknown[];
  return row === undefined ? null : RunRow.parse(row);
};
