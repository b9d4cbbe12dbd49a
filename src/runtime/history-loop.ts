/** Looks after the history once an hour; sooner where something was left, but ever more seldom while it is. */
import type { Clock, Log } from '../ports/ambient.ts';
import type { HistoryKeeper } from '../ports/history.ts';
import { createLoop, type Loop } from './loop.ts';

export const HISTORY_REST_MS = 3_600_000;
/** Somebody's transaction was in the way: after that twice as long each time, for whoever comes while we ask waits behind us. */
export const HISTORY_RETRY_MS = 60_000;

export interface HistoryLoopOptions {
  readonly history: HistoryKeeper;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks nothing of the CRM: no failure of it, and no pause, is its business.
 * @param stopping the end of the leader's term
 */
export const createHistoryLoop = ({ history, clock, log }: HistoryLoopOptions, stopping: AbortSignal): Loop => {
  let retryMs = HISTORY_RETRY_MS;
  const round = async (): Promise<number> => {
    if (await history.keepOnce(stopping)) {
      retryMs = HISTORY_RETRY_MS;
      return HISTORY_REST_MS;
    }
    const restMs = retryMs;
    retryMs = Math.min(2 * retryMs, HISTORY_REST_MS);
    return restMs;
  };
  return createLoop({ name: 'history', clock, log, round });
};
