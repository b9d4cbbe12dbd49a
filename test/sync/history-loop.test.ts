/** How often the history is looked after: a report that stays in the way is asked ever more seldom. */
import { expect, it } from 'vitest';
import type { Clock } from '../../src/ports/ambient.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createHistoryLoop, HISTORY_REST_MS, HISTORY_RETRY_MS } from '../../src/runtime/history-loop.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

it('rests longer each time that somebody is in the way, at most as long as where nobody is, and begins anew after that', async () => {
  const answers = [true, ...Array.from({ length: 8 }, () => false), true, false];
  const rests: number[] = [];
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, signal) => {
      rests.push(ms);
      if (rests.length < answers.length) return;
      resolve();
      await new Promise((stopped) => signal?.addEventListener('abort', stopped));
    },
  };
  const history = { begin: async () => undefined, keepOnce: async () => answers[rests.length] ?? true };
  const loop = createHistoryLoop({ history, clock, log: silent }, new AbortController().signal);
  await loop.start();
  await asked;
  await loop.stop();
  expect(rests.map((ms) => ms / HISTORY_RETRY_MS)).toEqual([60, 1, 2, 4, 8, 16, 32, 60, 60, 60, 1]);
  expect(HISTORY_REST_MS).toBe(60 * HISTORY_RETRY_MS);
});
