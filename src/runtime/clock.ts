/** The machine's own clock. */
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../ports/ambient.ts';

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await setTimeout(ms, undefined, signal === undefined ? {} : { signal });
    } catch {
      // The signal fired: that is one of the two ways in which a sleep ends.
    }
  },
};
