/** DELETE without WHERE: the brake holds it; rejected, the rows come back; done again and approved, it is meant. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Drill } from './drill.ts';
import { openDrillWorld, until, type DrillWorld } from './world.ts';

const EDITS_MS = 3_000;
const ALERT_MS_MAX = 120_000;
const SETTLE_MS_MAX = 60_000;
/** As the program has it. */
const BRAKE_ROWS = 25;

const openHold = async (world: DrillWorld): Promise<number> =>
  await until(
    'a hold is open',
    async () => (await world.sql(`select id::int from sync.holds where state = 'open' order by id desc limit 1`))[0]?.['id'] as number,
    SETTLE_MS_MAX,
  );

/** Nothing is on its way any more: each deletion has gone through or is held. */
const settled = async (world: DrillWorld): Promise<void> =>
  void (await until(
    'every deletion has gone through or is held',
    async () => (await world.sql('select queue_depth::int as n from sync.status'))[0]?.['n'] === 0,
    SETTLE_MS_MAX,
  ));

const decide = async (world: DrillWorld, how: 'approve' | 'reject', hold: number): Promise<void> => {
  const { code, stderr } = await world.run(['holds', how, String(hold)]);
  if (code !== 0 && code !== 3) throw new Error(`holds ${how} ended with ${code}: ${stderr.slice(-300)}`);
};

/** What the CRM has not any more was deleted here, and by nobody else. */
const noteDeleted = (world: DrillWorld): void => {
  const alive = new Set(world.account.contacts().map(({ id }) => id));
  for (const soul of world.souls.all)
    if (soul.deletedBy === null && soul.crmId !== null && !alive.has(soul.crmId)) soul.deletedBy = 'local';
};

export const BRAKE: Drill = {
  name: 'brake tripped',
  what: 'DELETE without WHERE: rejected; again: approved',
  alerts: ['RelateMirrorHeld'],
  run: async (pace) => {
    const world = await openDrillWorld(pace, { env: { BRAKE_ROWS: String(BRAKE_ROWS), BRAKE_MAX: '1000' } });
    const violations: string[] = [];
    try {
      world.people();
      await pause(EDITS_MS);
      violations.push(...(await world.recovered()).violations);
      const before = world.account.contacts().length;
      const rows = await world.sql('select id::int from crm.contacts order by id');
      await world.sql('delete from crm.contacts');
      const alertSeconds = await world.fired(BRAKE.alerts, ALERT_MS_MAX);
      await settled(world);
      const gone = before - world.account.contacts().length;
      if (gone > BRAKE_ROWS) violations.push(`${gone} contacts were deleted in the CRM before anybody approved it`);
      noteDeleted(world);
      await decide(world, 'reject', await openHold(world));
      const rejected = await world.recovered();
      violations.push(...rejected.violations);
      const back = await world.sql('select id::int from crm.contacts order by id');
      const known = new Set(rows.map(({ id }) => id));
      if (back.some(({ id }) => !known.has(id))) violations.push('rows came back under other ids');

      await world.sql('delete from crm.contacts');
      await world.fired(BRAKE.alerts, ALERT_MS_MAX);
      await settled(world);
      await decide(world, 'approve', await openHold(world));
      await until('the approved deletions are done', () => world.account.contacts().length === 0, SETTLE_MS_MAX);
      noteDeleted(world);
      violations.push(...(await world.recovered()).violations);
      const notes = [`${gone} of ${before} deleted before it tripped`, `${back.length} came back`, `${back.length} deleted once approved`];
      return { violations, alertSeconds, recoverySeconds: rejected.seconds, notes };
    } finally {
      await world.close();
    }
  },
};
