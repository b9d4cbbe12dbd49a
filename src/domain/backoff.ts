/** How long a failed item waits. */

export interface BackoffLimits {
  /** RETRY_MIN_MS */
  readonly minMs: number;
  /** RETRY_MAX_MS */
  readonly maxMs: number;
}

/**
 * Capped exponential back-off with full jitter over its upper half: attempt 1 waits minMs/2 to minMs, each further one twice as long.
 * @param attempts how many attempts were made, from 1
 * @param floorMs what the CRM asked for (Retry-After), 0 if nothing
 * @param random in [0, 1)
 */
export const retryDelayMs = (attempts: number, limits: BackoffLimits, random: number, floorMs = 0): number => {
  // After some thousand attempts the power is Infinity, which the limit cuts like any other.
  const ceiling = Math.min(limits.maxMs, limits.minMs * 2 ** (Math.max(attempts, 1) - 1));
  return Math.max(floorMs, Math.round(ceiling / 2 + (ceiling / 2) * random));
};
