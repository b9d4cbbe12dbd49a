/** Rows by the minute, in memory. */
import { expect, it } from 'vitest';
import { createRecentRows, MINUTES_KEPT } from '../../src/admin/recent-rows.ts';
import type { Clock } from '../../src/ports/ambient.ts';

it('counts by minute, direction and outcome, and forgets what is older than a day', () => {
  let nowMs = Date.parse('2026-01-01T10:00:30Z');
  const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs, sleep: () => Promise.resolve() };
  const recent = createRecentRows(clock);
  recent.rowsMoved({ direction: 'pull', outcome: 'updated', rows: 2 });
  recent.rowsMoved({ direction: 'pull', outcome: 'updated', rows: 3 });
  recent.rowsMoved({ direction: 'push', outcome: 'done', rows: 1 });
  recent.rowsMoved({ direction: 'push', outcome: 'retry', rows: 0 });
  nowMs += 60_000;
  recent.rowsMoved({ direction: 'push', outcome: 'done', rows: 4 });
  const [first, second] = [new Date('2026-01-01T10:00:00Z'), new Date('2026-01-01T10:01:00Z')];
  const later = { minute: second, direction: 'push', outcome: 'done', rows: 4 };
  expect(recent.list(60)).toEqual([
    { minute: first, direction: 'pull', outcome: 'updated', rows: 5 },
    { minute: first, direction: 'push', outcome: 'done', rows: 1 },
    later,
  ]);
  expect(recent.list(1)).toEqual([later]);
  nowMs += MINUTES_KEPT * 60_000;
  recent.rowsMoved({ direction: 'push', outcome: 'done', rows: 6 });
  expect(recent.list(10 * MINUTES_KEPT).map(({ rows }) => rows)).toEqual([4, 6]);
});
