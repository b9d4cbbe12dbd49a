/** When phone numbers are read: what changed every few seconds, everything at the beginning and once an hour, and later where that fails. */
import { expect, it } from 'vitest';
import type { Clock } from '../../src/ports/ambient.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createPhoneFormsLoop, PHONES_PASS_MS, PHONES_REST_MS, PHONES_RETRY_MS } from '../../src/runtime/phone-forms-loop.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

it('passes over everything first and hourly, looks in between, and tries a failed pass again', async () => {
  const answers = [false, true, true, true, false, true, true];
  const asked: string[] = [];
  let nowMs = 0;
  let closed = 0;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    sleep: async (ms, signal) => {
      asked.push(`rest ${ms / 1000}`);
      nowMs += asked.length === 6 ? PHONES_PASS_MS : ms;
      if (asked.length < 2 * answers.length) return;
      resolve();
      await new Promise((stopped) => signal?.addEventListener('abort', stopped));
    },
  };
  const stopping = new AbortController();
  const phones = {
    touched: () => undefined,
    close: async () => void (closed += 1),
    keepOnce: async (_signal: AbortSignal, whole: boolean) => {
      asked.push(whole ? 'pass' : 'look');
      return answers[(asked.length - 1) / 2] ?? true;
    },
  };
  const loop = createPhoneFormsLoop({ phones, clock, log: silent }, stopping.signal);
  await loop.start();
  await done;
  stopping.abort();
  await loop.stop();
  const [rest, retry] = [`rest ${PHONES_REST_MS / 1000}`, `rest ${PHONES_RETRY_MS / 1000}`];
  expect(asked).toEqual(['pass', retry, 'pass', rest, 'look', rest, 'pass', rest, 'look', retry, 'look', rest, 'look', rest]);
  expect(closed).toBe(1);
});
