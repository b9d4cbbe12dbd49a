/** The pool that the mirror's transactions run on. */
import pg from 'pg';
import type { Log } from '../ports/ambient.ts';
import { errorCode, toClientConfig } from './connection.ts';

export type Pool = pg.Pool;

export interface PoolOptions {
  readonly connectionString: string;
  /** Connections at most. */
  readonly max: number;
  readonly applicationName: string;
  readonly log?: Log;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
}

const STATEMENT_TIMEOUT_MS = 30_000;
/** Below the server's deadlock check (1 s by default): in a tangle with a user's transaction it is the daemon that steps back. */
const LOCK_TIMEOUT_MS = 100;
/** After the server's own limit has had its chance, silence means that the connection is dead. */
const ANSWER_GRACE_MS = 2_000;
const IDLE_TIMEOUT_MS = 60_000;

/**
 * A pool of connections with the session limits of `connection.ts`. A connection that breaks, idle or checked out, is logged and replaced;
 * it never ends the process. A client whose query failed without an answer of the server must be released with the error.
 * @throws ConnectionStringError
 */
export const createPool = (options: PoolOptions): Pool => {
  const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
  const pool = new pg.Pool({
    ...toClientConfig({
      connectionString: options.connectionString,
      applicationName: options.applicationName,
      statementTimeoutMs,
      lockTimeoutMs: options.lockTimeoutMs ?? LOCK_TIMEOUT_MS,
      answerTimeoutMs: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + ANSWER_GRACE_MS,
    }),
    max: options.max,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
  });
  const broke = (error: Error): void => {
    if (!pool.ending) options.log?.warn({ code: errorCode(error) }, 'a connection to Postgres broke');
  };
  // The pool listens to idle clients only; one that breaks while it is checked out and no query runs would otherwise end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', broke);
  return pool;
};
