/** How long a failed item waits. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { retryDelayMs } from '../../src/domain/backoff.ts';

const LIMITS = { minMs: 1000, maxMs: 300_000 };
const limitsArb = fc
  .tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 1, max: 86_400_000 }))
  .map(([minMs, maxMs]) => ({ minMs, maxMs }));
const attemptsArb = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const randomArb = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('waits twice as long after each attempt, up to the limit, and half of it at least', () => {
  const waits = (random: number): readonly number[] => [1, 2, 3, 4, 9, 10, 11].map((attempts) => retryDelayMs(attempts, LIMITS, random));
  expect(waits(0)).toEqual([500, 1000, 2000, 4000, 128_000, 150_000, 150_000]);
  expect(waits(0.5)).toEqual([750, 1500, 3000, 6000, 192_000, 225_000, 225_000]);
  expect(waits(0.999_999_9)).toEqual([1000, 2000, 4000, 8000, 256_000, 300_000, 300_000]);
});

test('stays between half of its ceiling and the ceiling, and is a whole number', () => {
  fc.assert(
    fc.property(attemptsArb, limitsArb, randomArb, (attempts, limits, random) => {
      const wait = retryDelayMs(attempts, limits, random);
      expect(Number.isSafeInteger(wait)).toBe(true);
      expect(wait).toBeLessThanOrEqual(limits.maxMs);
      expect(wait).toBeGreaterThanOrEqual(Math.round(Math.min(limits.minMs, limits.maxMs) / 2));
    }),
    { numRuns: 300 },
  );
});

test('never gets shorter with more attempts', () => {
  fc.assert(
    fc.property(attemptsArb, attemptsArb, limitsArb, randomArb, (a, b, limits, random) => {
      const [fewer, more] = [Math.min(a, b), Math.max(a, b)];
      expect(retryDelayMs(more, limits, random)).toBeGreaterThanOrEqual(retryDelayMs(fewer, limits, random));
    }),
    { numRuns: 300 },
  );
});

test('is spread by chance over its whole range', () => {
  expect(retryDelayMs(3, LIMITS, 0.25)).toBe(2500);
  expect(retryDelayMs(3, LIMITS, 0.75)).toBe(3500);
});

test('what the CRM asked for is a floor, even above the limit', () => {
  expect(retryDelayMs(1, LIMITS, 0, 700)).toBe(700);
  expect(retryDelayMs(3, LIMITS, 0, 700)).toBe(2000);
  expect(retryDelayMs(1, LIMITS, 0, 3_600_000)).toBe(3_600_000);
});

test('an attempt that was never counted is the first one', () => {
  expect([0, -5].map((attempts) => retryDelayMs(attempts, LIMITS, 0))).toEqual([500, 500]);
});

test('reaches the limit and stays there after any number of attempts', () => {
  expect(retryDelayMs(Number.MAX_SAFE_INTEGER, { minMs: 1, maxMs: 86_400_000 }, 0)).toBe(43_200_000);
});
