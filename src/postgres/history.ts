/**
 * Keeps the history going: switched as HISTORY_DAYS says, with partitions for the months ahead, whole from its beginning on, and pruned.
 *
 * On a session of its own, because looking through a million old versions takes longer than any statement of the sync may. A lock above ROW EXCLUSIVE is
 * asked for by functions of the database that wait 100 ms for it at most, and hold it for a change of the catalogue: no version is copied or moved under
 * it. A round that finds nothing to do writes nothing.
 */
import pg from 'pg';
import { errorFields } from '../domain/error-fields.ts';
import type { Log } from '../ports/ambient.ts';
import type { HistoryKeeper } from '../ports/history.ts';
import { openSession, type Session } from './session.ts';

export interface HistoryKeeperOptions {
  /** A direct connection or a pooler's: no state outlives a statement. */
  readonly connectionString: string;
  /** HISTORY_DAYS; 0 = off. */
  readonly days: number;
  readonly log: Log;
}

/** Contacts whose rows are locked at once for their first version; the page of a sweep that meets one reads it again later. */
const SNAPSHOT_BATCH = 200;
const STATEMENT_TIMEOUT_MS = 600_000;
const LOCK_TIMEOUT_MS = 100;
/**
 * lock_not_available, deadlock_detected; check_violation: a version of the month came into the default partition meanwhile;
 * duplicate_table, unique_violation: the leader before us is doing the very same.
 */
const LATER: ReadonlySet<string> = new Set(['55P03', '40P01', '23514', '42P07', '23505']);

const isLater = (error: unknown): boolean => error instanceof pg.DatabaseError && LATER.has(error.code ?? '');

const valueOf = async <T>(session: Session, sql: string, values: readonly unknown[] = []): Promise<T> => {
  const [row] = await session.query<{ value: T }>(sql, values);
  if (row === undefined) throw new Error(`No row: ${sql}`);
  return row.value;
};

const switchTo = async (session: Session, { days, log }: HistoryKeeperOptions): Promise<void> => {
  // Room first: what is written from now on goes to its own month.
  if (days > 0) await session.query('select sync.add_history_months()');
  if (!(await valueOf<boolean>(session, 'select sync.switch_history($1) as value', [days > 0]))) return;
  if (days > 0) log.info({ history_days: days }, 'every version of a contact is kept from now on');
  else log.warn({}, 'HISTORY_DAYS is 0: versions are no longer kept; those that were stay until sync.forget_history()');
};

const snapshot = async (session: Session, signal: AbortSignal, log: Log): Promise<void> => {
  if (await valueOf<boolean>(session, 'select sync.is_history_whole() as value')) return;
  let after: number | null = 0;
  while (after !== null && !signal.aborted) {
    after = await valueOf<number | null>(session, 'select sync.snapshot_history($1, $2) as value', [after, SNAPSHOT_BATCH]);
  }
  if (after === null) log.info({}, 'the history is whole from now on');
};

const prune = async (session: Session, signal: AbortSignal, { days, log }: HistoryKeeperOptions): Promise<void> => {
  for (;;) {
    if (signal.aborted) return;
    const removed = await valueOf<number | null>(session, 'select sync.prune_history($1) as value', [days]);
    if (removed === null) return;
    if (removed > 0) log.info({ versions: removed }, 'removed old versions of contacts');
  }
};

export const createHistoryKeeper = (options: HistoryKeeperOptions): HistoryKeeper => {
  const { connectionString, days, log } = options;
  const limits = { statementTimeoutMs: STATEMENT_TIMEOUT_MS, lockTimeoutMs: LOCK_TIMEOUT_MS, answerTimeoutMs: 0 };
  /** @returns false where a step failed, or found somebody in its way */
  const withSession = async (signal: AbortSignal, steps: readonly ((session: Session) => Promise<void>)[]): Promise<boolean> => {
    if (signal.aborted) return true;
    let session: Session | null = null;
    const giveUp = (): void => void session?.close();
    signal.addEventListener('abort', giveUp);
    try {
      session = await openSession({ connectionString, applicationName: 'relate-mirror history', ...limits }, signal);
      for (const step of steps) await step(session);
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      // No reason to keep edits waiting: the triggers write versions without us, into the default partition if need be.
      if (isLater(error)) log.debug({}, 'the upkeep of the history waits for somebody; it is tried again');
      else log.error(errorFields(error), 'the upkeep of the history failed; it is tried again');
      return false;
    } finally {
      signal.removeEventListener('abort', giveUp);
      await session?.close();
    }
  };
  const begin = (session: Session) => switchTo(session, options);
  return {
    begin: async (signal) => void (await withSession(signal, [begin])),
    keepOnce: (signal) => {
      const upkeep = [(session: Session) => snapshot(session, signal, log), (session: Session) => prune(session, signal, options)];
      return withSession(signal, days > 0 ? [begin, ...upkeep] : [begin]);
    },
  };
};
