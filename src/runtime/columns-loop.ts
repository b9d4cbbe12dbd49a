/** Keeps the columns of bi.contacts up to date: one look at a few rows where nothing changed. */
import type { Clock, Log } from '../ports/ambient.ts';
import type { BiKeeper } from '../ports/bi.ts';
import type { Loop } from './loop.ts';
import { createUpkeepLoop } from './upkeep-loop.ts';

const COLUMNS_REST_MS = 5_000;
/** A report that runs for an hour holds a new column up for as long; it is there this long after the report at the latest. */
const COLUMNS_RETRY_MS_MAX = 60_000;

export interface ColumnsLoopOptions {
  readonly bi: BiKeeper;
  readonly clock: Clock;
  readonly log: Log;
}

/** @param stopping the end of the leader's term */
export const createColumnsLoop = ({ bi, clock, log }: ColumnsLoopOptions, stopping: AbortSignal): Loop => {
  const times = { restMs: COLUMNS_REST_MS, retryMs: COLUMNS_REST_MS, retryMsMax: COLUMNS_RETRY_MS_MAX };
  return createUpkeepLoop({ name: 'columns', keepOnce: (signal) => bi.keepOnce(signal), ...times, clock, log }, stopping);
};
