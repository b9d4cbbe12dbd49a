/** One minute, fixed, that begins with the first call in it. */
const WINDOW_MS = 60_000;

export interface RateVerdict {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until the window ends, rounded up. */
  readonly retryAfterSeconds: number;
  /** Unix seconds. */
  readonly resetAtSeconds: number;
}

export interface RateLimit {
  /** Counts one call. Null: no limit. A refused call does not count. */
  hit(): RateVerdict | null;
  /** Calls of the same user elsewhere: other tokens and open browser tabs share the count. */
  spend(calls: number): void;
  setLimit(ratePerMinute: number | null): void;
}

/** `ratePerMinute` null or 0: unlimited. */
export const createRateLimit = (clock: { now(): Date }, ratePerMinute: number | null): RateLimit => {
  let limit = ratePerMinute;
  let windowEndMs = Number.NEGATIVE_INFINITY;
  let used = 0;
  const enterWindow = (): number => {
    const nowMs = clock.now().getTime();
    if (nowMs >= windowEndMs) {
      windowEndMs = nowMs + WINDOW_MS;
      used = 0;
    }
    return nowMs;
  };
  return {
    hit() {
      if (limit === null || limit === 0) return null;
      const nowMs = enterWindow();
      const allowed = used < limit;
      if (allowed) used += 1;
      return {
        allowed,
        limit,
        remaining: Math.max(0, limit - used),
        retryAfterSeconds: Math.max(1, Math.ceil((windowEndMs - nowMs) / 1000)),
        resetAtSeconds: Math.ceil(windowEndMs / 1000),
      };
    },
    spend(calls) {
      enterWindow();
      used += calls;
    },
    setLimit(next) {
      limit = next;
    },
  };
};
