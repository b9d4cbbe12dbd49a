/** The CRM is away, and the CRM refuses the token. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Drill } from './drill.ts';
import { openDrillWorld, type Pace } from './world.ts';

const EDITS_MS = 3_000;
/** The full outage is the issue's; the small one is as long for the shortened rules. */
const CRM_DOWN_MS = { small: 12_000, full: 600_000 } as const;
const TOKEN_DOWN_MS = { small: 8_000, full: 300_000 } as const;
const ALERT_MS_MAX = { small: 30_000, full: 600_000 } as const;
const NEW_TOKEN = 'drill-token-two';

const of = ({ small }: Pace, durations: { readonly small: number; readonly full: number }): number =>
  small ? durations.small : durations.full;

export const CRM_DOWN: Drill = {
  name: 'CRM down',
  what: 'connections are refused; nothing to do but wait',
  alerts: ['RelateMirrorCrmDown'],
  run: async (pace) => {
    const world = await openDrillWorld(pace);
    try {
      world.people();
      await pause(EDITS_MS);
      await world.closeCrm();
      const sinceMs = performance.now();
      const alertSeconds = await world.fired(CRM_DOWN.alerts, of(pace, ALERT_MS_MAX));
      const ready = await world.ready();
      await pause(Math.max(0, of(pace, CRM_DOWN_MS) - (performance.now() - sinceMs)));
      const [queue] = await world.sql('select queue_depth::int from sync.status');
      const outageSeconds = Math.round((performance.now() - sinceMs) / 1_000);
      await world.openCrm();
      const { seconds, violations } = await world.recovered();
      const notes = [`${outageSeconds} s`, `${String(queue?.['queue_depth'])} edits had to wait`, `/readyz ${ready.status}`];
      if (ready.status !== 503)
        return { violations: [...violations, `/readyz was ${ready.status}: ${ready.body}`], alertSeconds, recoverySeconds: seconds, notes };
      return { violations, alertSeconds, recoverySeconds: seconds, notes };
    } finally {
      await world.close();
    }
  },
};

export const TOKEN_REVOKED: Drill = {
  name: 'token revoked',
  what: 'the CRM answers 401; a new token, and a restart',
  alerts: ['RelateMirrorCrmRefusesToken'],
  run: async (pace) => {
    const world = await openDrillWorld(pace);
    try {
      world.people();
      await pause(EDITS_MS);
      world.sandbox().setToken(NEW_TOKEN);
      const sinceMs = performance.now();
      const [callsBefore, refusedOf] = [world.account.calls.count(), (): number => world.account.calls.count() - callsBefore];
      const alertSeconds = await world.fired(TOKEN_REVOKED.alerts, of(pace, ALERT_MS_MAX));
      await pause(Math.max(0, of(pace, TOKEN_DOWN_MS) - (performance.now() - sinceMs)));
      const seconds = (performance.now() - sinceMs) / 1_000;
      const calls = refusedOf();
      await world.stopDaemon();
      world.startDaemon({ CRM_TOKEN: NEW_TOKEN });
      const recovery = await world.recovered();
      const violations = [...recovery.violations];
      // One a minute, or one each RETRY_MAX_MS if that is less; those in flight as it was revoked came on top.
      const allowed = 12 + seconds / (pace.small ? 1 : 60);
      if (calls > 2 * allowed) violations.push(`${calls} calls in ${seconds} s with a token that is refused`);
      const said = world.daemon().output().stderr;
      if (said.includes(NEW_TOKEN)) violations.push('the token is in the log');
      return {
        violations,
        alertSeconds,
        recoverySeconds: recovery.seconds,
        notes: [`${Math.round(seconds)} s`, `${calls} calls meanwhile`],
      };
    } finally {
      await world.close();
    }
  },
};
