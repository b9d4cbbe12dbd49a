/** The admin API's questions and decisions, on Postgres. What the views do not show, contacts' values aside, is not shown here either. */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { OperationRefused, type Item, type Operations, type Overview, type RefusalKind, type Run } from '../ports/operations.ts';
import { errorCode } from './connection.ts';
import { queryOn, type Query } from './mirror-session.ts';
import { CALLS, CONFLICTS, HOLDS, OVERVIEW, PARKED, RUNS, RUNS_UNDER_WAY } from './sql/operations.ts';

export interface OperationsOptions {
  /** For looks: few connections with short limits, so that a watcher never waits for, or takes away, what the sync works with. */
  readonly watchPool: pg.Pool;
  /** The sync's own, for decisions; its load is what `pool()` tells. */
  readonly pool: pg.Pool;
}

const KIND_BY_STATE: { readonly [sqlState: string]: RefusalKind } = {
  P0002: 'not_found',
  '55000': 'conflict',
  '22023': 'invalid',
  '22P02': 'invalid',
  '23514': 'invalid',
  '55P03': 'busy',
  '40001': 'busy',
  '40P01': 'busy',
  '57014': 'busy',
};
/** With the pool's lock_timeout of 100 ms: some three seconds. */
const ATTEMPTS_MAX = 20;
const PAUSE_MS = 50;

const BUSY = 'The database did not come to it in time: something holds what this needs. Ask again.';
const UNAVAILABLE = 'The database does not answer.';
const UNKNOWN = 'The database was asked and has not answered: it may have been done. Look before you ask again.';

/** Connections that end or do not come about: class 08, a server that stops or starts, one without free connections; or no word at all. */
const isUnavailable = (error: unknown): boolean =>
  !(error instanceof pg.DatabaseError) || /^(08|57P|53)/.test(error.code ?? '') || error.code === undefined;

/** No connection came about, so nothing was asked. */
const NEVER_ASKED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT']);
/** The server's own refusal undoes the statement; silence, or a connection that breaks, does not say what became of it. */
const isInDoubt = (error: unknown): boolean => !(error instanceof pg.DatabaseError) && !NEVER_ASKED.has(errorCode(error) ?? '');

const refusalOf = (error: unknown, decides: boolean): unknown => {
  const kind = error instanceof pg.DatabaseError ? KIND_BY_STATE[error.code ?? ''] : undefined;
  if (kind === 'busy') return new OperationRefused(kind, BUSY, { cause: error });
  // Our own functions' words: they quote what was asked, and nothing of a contact.
  if (kind !== undefined) return new OperationRefused(kind, (error as Error).message, { cause: error });
  if (error instanceof RangeError || error instanceof TypeError) return error;
  if (decides && isInDoubt(error)) return new OperationRefused('unknown', UNKNOWN, { cause: error });
  return isUnavailable(error) ? new OperationRefused('unavailable', UNAVAILABLE, { cause: error }) : error;
};

const guarded = (query: Query, { decides = false } = {}): Query => {
  return async <T>(sql: string, values?: readonly unknown[]) => {
    try {
      return await query<T>(sql, values);
    } catch (error) {
      throw refusalOf(error, decides);
    }
  };
};

/** A person who decides should not have to know that the sync holds the row just now: one statement, all of it or nothing, is asked again. */
const patient = (query: Query): Query => {
  return async <T>(sql: string, values?: readonly unknown[]) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await query<T>(sql, values);
      } catch (error) {
        if (!(error instanceof OperationRefused) || error.kind !== 'busy' || attempt === ATTEMPTS_MAX) throw error;
      }
      await pause(PAUSE_MS);
    }
  };
};

type OverviewRow = Overview['status'] & {
  readonly oldest_pending_seconds: number;
  readonly holds_open: number;
  readonly sweep_age_seconds: number | null;
};

export const createOperations = ({ watchPool, pool }: OperationsOptions): Operations => {
  const look = guarded(queryOn(watchPool));
  const act = patient(guarded(queryOn(pool), { decides: true }));
  const list = async (sql: string, values: readonly unknown[]): Promise<readonly Item[]> => (await look<Item>(sql, values)).rows;
  const one = async <T>(query: Query, sql: string, values: readonly unknown[] = []): Promise<T> => {
    const [row] = (await query<T>(sql, values)).rows;
    if (row === undefined) throw new TypeError('a statement that always answers a row answered none');
    return row;
  };
  return {
    ping: async () => void (await look('select 1')),
    overview: async () => {
      const row = await one<OverviewRow>(look, OVERVIEW);
      const { oldest_pending_seconds: oldestPendingSeconds, holds_open: holdsOpen, sweep_age_seconds: sweepAgeSeconds, ...status } = row;
      return { status, oldestPendingSeconds, holdsOpen, sweepAgeSeconds };
    },
    runsUnderWay: async (andIds) => (await look<Run>(RUNS_UNDER_WAY, [andIds])).rows,
    runs: async ({ limit, state }) => await list(RUNS, [limit, state]),
    parked: async ({ limit }) => await list(PARKED, [limit]),
    holds: async ({ limit, state }) => await list(HOLDS, [limit, state]),
    conflicts: async ({ limit, state }) => await list(CONFLICTS, [limit, state]),
    calls: async (minutes) => await list(CALLS, [minutes]),

    requestResync: async (withLinks) => (await one<{ id: number }>(act, 'select sync.request_resync($1) as id', [withLinks])).id,
    pause: async () => void (await act('select sync.pause()')),
    resume: async () => void (await act('select sync.resume()')),
    retry: async (changeIds) => (await act('select sync.retry(id) from unnest($1::bigint[]) id', [changeIds])).count,
    retryAll: async () => (await one<{ edits: number }>(act, 'select sync.retry_all() as edits')).edits,
    decideHold: async (holdId, how) => void (await act(how === 'approve' ? 'select sync.approve($1)' : 'select sync.reject($1)', [holdId])),
    resolveConflict: async (conflictId, choice) => void (await act('select sync.resolve($1, $2)', [conflictId, choice])),
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
  };
};
