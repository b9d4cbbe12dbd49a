/** What the lines of a plan add up to. */
import type { Endpoint } from '../../ports/telemetry.ts';
import type { Direction, PlanChange, PlanCounts, PlanLine, PlanTotal } from './lines.ts';

const NO_COUNTS: PlanCounts = { creates: 0, updates: 0, deletes: 0, links: 0, held: 0, parked: 0, waiting: 0 };

export interface Sums {
  add(line: PlanLine): void;
  /** Calls that belong to no line. */
  call(endpoint: Endpoint, times: number): void;
  total(perMinute: number, callsMade: number): PlanTotal;
}

export const createSums = (): Sums => {
  const counts: { [D in Direction]: { -readonly [K in keyof PlanCounts]: number } } = { pull: { ...NO_COUNTS }, push: { ...NO_COUNTS } };
  const calls: { [E in Endpoint]?: number } = {};
  let conflicts = 0;
  const call = (endpoint: Endpoint, times: number): void => {
    if (times > 0) calls[endpoint] = (calls[endpoint] ?? 0) + times;
  };
  const addChange = ({ direction, action, state, links, calls: its }: PlanChange): void => {
    const sum = counts[direction];
    if (state === 'held' || state === 'parked' || state === 'waiting') {
      sum[state] += 1;
      return;
    }
    if (action !== 'pair') sum[`${action}s`] += 1;
    if (Object.keys(links).length > 0) sum.links += 1;
    for (const endpoint of its) call(endpoint, 1);
  };
  return {
    call,
    add: (line) => {
      if (line.kind === 'conflict') conflicts += 1;
      if (line.kind === 'change') addChange(line);
    },
    total: (perMinute, callsMade) => {
      const total = Object.values(calls).reduce((sum, times) => sum + times, 0);
      return {
        kind: 'total',
        ...counts,
        conflicts,
        calls,
        calls_total: total,
        calls_per_minute: perMinute,
        minutes: Math.round((total / Math.max(1, perMinute)) * 10) / 10,
        calls_made: callsMade,
      };
    },
  };
};
