/**
 * Waiting for Postgres: a daemon is often started beside it, or while it restarts. What a wait can mend is waited for, without end and ever
 * less often; what it cannot (a wrong password, a missing database, a certificate) is the operator's, at once.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import type { Clock, Log, Random } from '../ports/ambient.ts';
import { errorCode } from './connection.ts';
import { MigrationError } from './migrate.ts';

/** The way to the server, or the server itself, is not there just now. */
const AWAY_CODES: ReadonlySet<string> = new Set([
  // Of the network; a name may not be known yet where a container's neighbour is just being made.
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ETIMEDOUT',
  'ENOENT',
  // Of the server: shutting down, crashed, starting up, out of connections, a standby that is still to be promoted.
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '25006',
  '08000',
  '08001',
  '08003',
  '08006',
]);
/** What `pg` throws without any code; whole messages. */
const AWAY_MESSAGES: ReadonlySet<string> = new Set([
  'timeout expired',
  'Connection terminated unexpectedly',
  'Connection terminated',
  'Connection terminated due to connection timeout',
  'timeout exceeded when trying to connect',
]);

/** Whether the same may work later without anybody doing anything about relate-mirror. */
export const isAway = (error: unknown): boolean => {
  // Somebody else migrates, for longer than we wait for a lock.
  if (error instanceof MigrationError) return error.code === 'busy' || (error.code === 'failed' && isAway(error.cause));
  return AWAY_CODES.has(errorCode(error) ?? '') || (error instanceof Error && AWAY_MESSAGES.has(error.message));
};

const PAUSE = { minMs: 200, maxMs: 5_000 };

export interface Waiting {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Does the work, again and again as long as Postgres is away; the work may be cut off anywhere.
 * @returns false where the signal fired first
 * @throws whatever the work throws of other causes
 */
export const whenReachable = async ({ clock, random, log, signal }: Waiting, work: () => Promise<void>): Promise<boolean> => {
  const startedMs = clock.monotonicMs();
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      await work();
      if (failures > 0) log.info({ waited_ms: Math.round(clock.monotonicMs() - startedMs) }, 'Postgres is there');
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (!isAway(error)) throw error;
      if (failures === 0) log.warn({ code: errorCode(error) }, 'Postgres cannot be worked with now; waiting for it');
      await clock.sleep(retryDelayMs(failures + 1, PAUSE, random()), signal);
    }
  }
  return false;
};
