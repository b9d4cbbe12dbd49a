/**
 * The one gate in front of every attempt: `lanes.ts` says who goes first and how many at once, `budget.ts` how many a minute.
 */
import type { Clock } from '../ports/ambient.ts';
import type { CallOptions } from '../ports/crm.ts';
import { CallBudget, type RateSigns } from './budget.ts';
import { createLanes } from './lanes.ts';

const CONCURRENCY_DEFAULT = 8;
const SHARE_DEFAULT = 0.9;

export interface PacingOptions {
  readonly clock: Clock;
  /** Ceiling in calls a minute (CRM_RATE_PER_MINUTE); only lowers what the CRM tells. Without it: what is learned, 60 until then. */
  readonly ratePerMinute?: number;
  /** The part of the limit that we use (CRM_RATE_SHARE), over 0 up to 1; 0.9 without. */
  readonly share?: number;
  /** Calls in flight at most, all lanes together; 8 without: a PHP application answers few at a time, and 8 at 50 ms are 9,600 a minute. */
  readonly concurrency?: number;
}

/** What an attempt gives back: its value for the caller, its signs for the budget. */
export interface Attempt<T> {
  readonly value: T;
  readonly signs: RateSigns;
}

export type Paced<T> = { readonly ran: true; readonly value: T } | { readonly ran: false; readonly reason: 'aborted' | 'not_leader' };

export interface PacingStatus {
  /** Calls that we may make a minute now, share and ceiling applied. */
  readonly limitPerMinute: number;
  /** X-RateLimit-Limit as last told, or null. */
  readonly learnedPerMinute: number | null;
  /** Our attempts of the last minute, those in flight included. */
  readonly usedInWindow: number;
  /** End of a 429's pause, milliseconds since 1970 by this process's clock, or null. */
  readonly pausedUntilMs: number | null;
  /** Calls that wait, all lanes. */
  readonly queued: number;
  readonly inFlight: number;
}

export interface Pacing {
  /**
   * Waits for the lane's turn and runs one attempt. `send` is called at most once and must not throw. Nothing is counted when the signal
   * fires first (`aborted`) or `maySend` says no at the turn (`not_leader`); once `send` runs, aborting is its own business.
   */
  run<T>(options: CallOptions, send: () => Promise<Attempt<T>>): Promise<Paced<T>>;
  status(): PacingStatus;
}

/** An attempt that broke: it may have been counted, and told nothing. */
const UNTOLD: RateSigns = { sent: true, limit: null, remaining: null, pauseMs: null };

export const createPacing = (options: PacingOptions): Pacing => {
  const { ratePerMinute = Number.POSITIVE_INFINITY, share = SHARE_DEFAULT, concurrency = CONCURRENCY_DEFAULT, clock } = options;
  if (!(ratePerMinute >= 1)) throw new RangeError(`ratePerMinute must be at least 1, not ${ratePerMinute}`);
  if (!(share > 0 && share <= 1)) throw new RangeError(`share must be over 0 and at most 1, not ${share}`);
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) throw new RangeError(`concurrency must be at least 1, not ${concurrency}`);

  const budget = new CallBudget(ratePerMinute, share);
  const lanes = createLanes(clock, budget, concurrency);

  const attempt = async <T>(send: () => Promise<Attempt<T>>): Promise<Paced<T>> => {
    const ticket = budget.begin();
    lanes.shut();
    let signs = UNTOLD;
    try {
      const done = await send();
      signs = done.signs;
      return { ran: true, value: done.value };
    } finally {
      budget.end(ticket, clock.monotonicMs(), signs);
    }
  };

  const run = async <T>(call: CallOptions, send: () => Promise<Attempt<T>>): Promise<Paced<T>> => {
    const { signal, maySend, lane } = call;
    if (signal?.aborted === true) return { ran: false, reason: 'aborted' };
    // p-queue would also give up a *running* call on its signal, while the write goes on: it only gets to know of it while waiting.
    const leaving = new AbortController();
    const leave = (): void => leaving.abort();
    signal?.addEventListener('abort', leave, { once: true });
    const turn = async (): Promise<Paced<T>> => {
      signal?.removeEventListener('abort', leave);
      if (maySend?.() === false) return { ran: false, reason: 'not_leader' };
      return attempt(send);
    };
    try {
      return await lanes.add(lane, turn, leaving.signal);
    } catch (error) {
      if (leaving.signal.aborted) return { ran: false, reason: 'aborted' };
      throw error;
    }
  };

  const status = (): PacingStatus => {
    const nowMs = clock.monotonicMs();
    const pausedUntil = budget.pausedUntil(nowMs);
    return {
      limitPerMinute: budget.limit,
      learnedPerMinute: budget.learned,
      usedInWindow: budget.used(nowMs),
      pausedUntilMs: pausedUntil === null ? null : clock.now().getTime() + (pausedUntil - nowMs),
      queued: lanes.queued(),
      inFlight: lanes.inFlight(),
    };
  };
  return { run, status };
};
