/** Looks after the history once an hour; sooner where something was left, but ever more seldom while it is. */
import type { Clock, Log } from '../ports/ambient.ts';
import type { HistoryKeeper } from '../ports/history.ts';
import type { Loop } from './loop.ts';
import { createUpkeepLoop } from './upkeep-loop.ts';

export const HISTORY_REST_MS = 3_600_000;
export const HISTORY_RETRY_MS = 60_000;

export interface HistoryLoopOptions {
  readonly history: HistoryKeeper;
  readonly clock: Clock;
  readonly log: Log;
}

/** @param stopping the end of the leader's term */
export const createHistoryLoop = ({ history, clock, log }: HistoryLoopOptions, stopping: AbortSignal): Loop => {
  const times = { restMs: HISTORY_REST_MS, retryMs: HISTORY_RETRY_MS, retryMsMax: HISTORY_REST_MS };
  return createUpkeepLoop({ name: 'history', keepOnce: (signal) => history.keepOnce(signal), ...times, clock, log }, stopping);
};
