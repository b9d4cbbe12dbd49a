/**
 * Rows carried over, minute by minute, for the page's chart: of this process, in its memory, for a day at most. What has to outlive a restart is
 * in Prometheus (rows_total); what became of each edit is in sync.change_log.
 */
import type { Clock } from '../ports/ambient.ts';
import type { RowsMoved, Telemetry } from '../ports/telemetry.ts';

export interface MinuteOfRows {
  /** Its beginning. */
  readonly minute: Date;
  readonly direction: RowsMoved['direction'];
  readonly outcome: RowsMoved['outcome'];
  readonly rows: number;
}
export interface RecentRows extends Pick<Telemetry, 'rowsMoved'> {
  /** Of the last minutes, oldest first; none where nothing was carried. */
  list(minutes: number): readonly MinuteOfRows[];
}

const MINUTE_MS = 60_000;
export const MINUTES_KEPT = 1440;

export const createRecentRows = (clock: Clock): RecentRows => {
  /** By minute since 1970, then by direction and outcome. */
  const byMinute = new Map<number, Map<string, MinuteOfRows>>();
  const thisMinute = (): number => Math.floor(clock.now().getTime() / MINUTE_MS);
  const forget = (before: number): void => {
    for (const minute of byMinute.keys()) if (minute < before) byMinute.delete(minute);
  };
  return {
    rowsMoved: ({ direction, outcome, rows }) => {
      if (rows === 0) return;
      const now = thisMinute();
      let counted = byMinute.get(now);
      if (counted === undefined) {
        forget(now - MINUTES_KEPT);
        counted = new Map();
        byMinute.set(now, counted);
      }
      const key = `${direction} ${outcome}`;
      const before = counted.get(key)?.rows ?? 0;
      counted.set(key, { minute: new Date(now * MINUTE_MS), direction, outcome, rows: before + rows });
    },
    list: (minutes) => {
      const first = thisMinute() - minutes;
      return [...byMinute].filter(([minute]) => minute > first).flatMap(([, counted]) => [...counted.values()]);
    },
  };
};
