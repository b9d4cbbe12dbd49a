/** Looks after something of the database's own once in a while; sooner where something was left, but ever more seldom while it is. */
import type { Clock, Log } from '../ports/ambient.ts';
import { createLoop, type Loop } from './loop.ts';

export interface UpkeepLoopOptions {
  readonly name: string;
  /** Answers false where something was left. */
  readonly keepOnce: (signal: AbortSignal) => Promise<boolean>;
  readonly restMs: number;
  /** Somebody's transaction was in the way: after that twice as long each time, for whoever comes while we ask waits behind us. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks nothing of the CRM: no failure of it, and no pause, is its business.
 * @param stopping the end of the leader's term
 */
export const createUpkeepLoop = (options: UpkeepLoopOptions, stopping: AbortSignal): Loop => {
  const { name, keepOnce, restMs, retryMs, retryMsMax, clock, log } = options;
  let nextRetryMs = retryMs;
  const round = async (): Promise<number> => {
    if (await keepOnce(stopping)) {
      nextRetryMs = retryMs;
      return restMs;
    }
    const pauseMs = nextRetryMs;
    nextRetryMs = Math.min(2 * nextRetryMs, retryMsMax);
    return pauseMs;
  };
  return createLoop({ name, clock, log, round });
};
