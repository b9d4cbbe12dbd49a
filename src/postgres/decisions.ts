/**
 * What waits for a person, and what he decides. Works with or without a daemon: the decisions are the SQL functions that anybody may call, and
 * whoever leads next carries them out.
 */
import pg from 'pg';
import { z } from 'zod';
import { OPEN_HOLDS } from './sql/operations.ts';

export { LINES_SHOWN } from './sql/operations.ts';

const PlanLine = z.looseObject({
  contact_id: z.number().nullable(),
  crm_id: z.number().nullable(),
  op: z.string().nullable(),
  fields: z.array(z.string()).optional(),
  links: z.record(z.string(), z.array(z.number())).optional(),
});
export type PlanLine = z.infer<typeof PlanLine>;

/** An open hold with a summary of its plan; the whole plan is in `sync.holds`. */
const HoldRow = z.object({
  id: z.coerce.number(),
  direction: z.enum(['push', 'pull']),
  cause: z.string(),
  reason: z.string(),
  rows: z.coerce.number(),
  created_at: z.date(),
  /** How many contacts, by op. */
  counts: z.record(z.string(), z.coerce.number()),
  first: z.array(PlanLine),
});
export type HoldRow = z.infer<typeof HoldRow>;

const ConflictRow = z.object({
  id: z.coerce.number(),
  contact_id: z.coerce.number(),
  crm_id: z.coerce.number().nullable(),
  field: z.string(),
  base: z.unknown(),
  local: z.unknown(),
  remote: z.unknown(),
  policy: z.string().nullable(),
  at: z.date(),
});
export type ConflictRow = z.infer<typeof ConflictRow>;

export interface Decisions {
  openHolds(): Promise<readonly HoldRow[]>;
  /** Answers why it was refused, in the database's words, or null where it was decided. */
  decideHold(holdId: number, how: 'approve' | 'reject'): Promise<string | null>;
  openConflicts(): Promise<readonly ConflictRow[]>;
  /** `choice`: crm, mirror or a value as JSON. Answers as decideHold. */
  resolveConflict(conflictId: number, choice: string): Promise<string | null>;
  /** Stops both directions, or lets them go on; the pause outlives restarts. */
  setPaused(paused: boolean): Promise<void>;
  /** Has a change tried again now, a parked one included. */
  retry(changeId: number): Promise<Retried>;
  /** All that are parked or wait, but for those that are decided one by one. Answers how many. */
  retryAll(): Promise<number>;
}

/** The change's state by now, or why nothing was done, in the database's words. */
export type Retried = { readonly state: string } | { readonly refusal: string };

const OPEN_CONFLICTS = `
  select f.id, f.contact_id, s.crm_id, f.field, f.base, f.local, f.remote, f.policy, f.at
  from sync.conflicts f left join lateral (select crm_id from sync.contact_status where contact_id = f.contact_id) s on true
  where f.state = 'open' order by f.id`;
const DECIDE = { approve: 'select sync.approve($1)', reject: 'select sync.reject($1)' } as const;
const RESOLVE = 'select sync.resolve($1, $2)';
const PAUSE = { true: 'select sync.pause()', false: 'select sync.resume()' } as const;
const RETRY = 'select sync.retry($1) as state';
const RETRY_ALL = 'select sync.retry_all() as retried';

/**
 * no_data_found and object_not_in_prerequisite_state: not there, or decided already. The others: the value chosen is none that the field can
 * hold; what their messages quote is what the person has just typed.
 */
const REFUSALS: ReadonlySet<string> = new Set(['P0002', '55000', '22023', '22P02', '23514']);

/** What a function of the schema `sync` answers, or why it refused. */
const ask = async (
  pool: pg.Pool,
  text: string,
  values: readonly unknown[],
): Promise<{ readonly row: unknown } | { readonly refusal: string }> => {
  try {
    return { row: (await pool.query(text, [...values])).rows[0] };
  } catch (error) {
    if (error instanceof pg.DatabaseError && REFUSALS.has(error.code ?? '')) return { refusal: error.message };
    throw error;
  }
};

const refusalOf = async (pool: pg.Pool, text: string, values: readonly unknown[]): Promise<string | null> => {
  const answer = await ask(pool, text, values);
  return 'refusal' in answer ? answer.refusal : null;
};

export const createDecisions = (pool: pg.Pool): Decisions => ({
  openHolds: async () => z.array(HoldRow).parse((await pool.query(OPEN_HOLDS)).rows),
  decideHold: async (holdId, how) => await refusalOf(pool, DECIDE[how], [holdId]),
  openConflicts: async () => z.array(ConflictRow).parse((await pool.query(OPEN_CONFLICTS)).rows),
  resolveConflict: async (conflictId, choice) => await refusalOf(pool, RESOLVE, [conflictId, choice]),
  setPaused: async (paused) => void (await pool.query(PAUSE[`${paused}`])),
  retry: async (changeId) => {
    const answer = await ask(pool, RETRY, [changeId]);
    return 'refusal' in answer ? answer : z.object({ state: z.string() }).parse(answer.row);
  },
  retryAll: async () => z.object({ retried: z.coerce.number() }).parse((await pool.query(RETRY_ALL)).rows[0]).retried,
});
