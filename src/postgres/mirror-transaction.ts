/**
 * Begin, check the epoch, run the steps, commit; again from the start where a lock did not come in time.
 *
 * `lock_timeout` lies below the server's deadlock check (1 s by default), so that in a tangle with a user's transaction it is always we who
 * step back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { Log, Random } from '../ports/ambient.ts';
import { LostLeadership, MirrorBusy } from '../ports/mirror-errors.ts';
import { createSession, queryOn, type Origin, type Session } from './mirror-session.ts';

export interface TransactorOptions {
  readonly pool: pg.Pool;
  readonly lease: { epoch(): number | null };
  readonly log: Log;
  readonly random: Random;
}
export type Transactor = <T>(steps: (session: Session) => Promise<T>, origin?: Origin) => Promise<T>;

const LOCK_TIMEOUT_MS = 100;
const ATTEMPTS_MAX = 12;
const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 250;

/** deadlock_detected, lock_not_available, serialization_failure: the server says that the same steps may work when run again. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['40P01', '55P03', '40001']);

const sqlStateOf = (error: unknown): string | null => (error instanceof pg.DatabaseError ? (error.code ?? null) : null);
export const isTryAgain = (error: unknown): boolean => TRY_AGAIN.has(sqlStateOf(error) ?? '');

// One round trip for three statements. The epoch is read without a lock: a lock would stand in the way of the lease's renewal.
const BEGIN = `begin isolation level read committed;
set local lock_timeout = '${LOCK_TIMEOUT_MS}ms';
select epoch::text from sync.leader`;

const begin = async (client: pg.PoolClient, epoch: number): Promise<void> => {
  // pg answers several statements in one text with an array of results, which its types do not say.
  const results = (await client.query(BEGIN)) as unknown as readonly pg.QueryResult<{ epoch: string }>[];
  if (results[2]?.rows[0]?.epoch !== String(epoch)) throw new LostLeadership();
};

const runOnce = async <T>({ pool, lease }: TransactorOptions, steps: (session: Session) => Promise<T>, origin?: Origin): Promise<T> => {
  const epoch = lease.epoch();
  if (epoch === null) throw new LostLeadership();
  const client = await pool.connect();
  // A connection that breaks between two statements reports it here as well as on the next one; unheard, it would end the process.
  const ignore = (): void => undefined;
  client.on('error', ignore);
  let broken: Error | undefined;
  try {
    await begin(client, epoch);
    const result = await steps(createSession(queryOn(client), epoch, origin));
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error('rollback failed', { cause });
    });
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(broken);
  }
};

export const createTransactor =
  (options: TransactorOptions): Transactor =>
  async (steps, origin) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await runOnce(options, steps, origin);
      } catch (error) {
        if (!isTryAgain(error)) throw error;
        if (attempt === ATTEMPTS_MAX) throw new MirrorBusy(attempt, error);
        options.log.debug({ attempt, sqlState: sqlStateOf(error) }, 'mirror transaction runs again');
        const ceiling = Math.min(PAUSE_MS_MIN * 2 ** attempt, PAUSE_MS_MAX);
        await pause(PAUSE_MS_MIN + options.random() * ceiling);
      }
    }
  };
