/** Postgres goes away and comes back: stopped as a service manager does it, and killed with all its processes. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Drill } from './drill.ts';
import { openDrillWorld, type Pace } from './world.ts';

const EDITS_MS = 3_000;
const DOWN_MS = { small: 4_000, full: 120_000 } as const;
const ALERT_MS_MAX = { small: 30_000, full: 240_000 } as const;
const of = ({ small }: Pace, durations: { readonly small: number; readonly full: number }): number =>
  small ? durations.small : durations.full;

const drillOf = (name: string, what: string, how: 'fast' | 'kill'): Drill => {
  const alerts = ['RelateMirrorDatabaseDown'];
  return {
    name,
    what,
    alerts,
    run: async (pace) => {
      const world = await openDrillWorld(pace);
      try {
        world.people();
        await pause(EDITS_MS);
        await world.postgres.halt(how);
        const sinceMs = performance.now();
        const alertSeconds = await world.fired(alerts, of(pace, ALERT_MS_MAX));
        const ready = await world.ready();
        await pause(Math.max(0, of(pace, DOWN_MS) - (performance.now() - sinceMs)));
        const outageSeconds = Math.round((performance.now() - sinceMs) / 1_000);
        await world.postgres.resume();
        await pause(EDITS_MS);
        const { seconds, violations } = await world.recovered();
        const found = ready.status === 503 ? violations : [...violations, `/readyz was ${ready.status}: ${ready.body}`];
        return { violations: found, alertSeconds, recoverySeconds: seconds, notes: [`${outageSeconds} s`, `/readyz ${ready.status}`] };
      } finally {
        await world.close();
      }
    },
  };
};

export const POSTGRES_RESTARTED = drillOf('Postgres restarted', 'stopped in the midst of edits, and started again', 'fast');
export const POSTGRES_KILLED = drillOf('Postgres killed', 'kill -9 of all its processes, then crash recovery', 'kill');
