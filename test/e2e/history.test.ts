/** The history, as the built program keeps it: from the very first load on, switched off and on by its setting, by a daemon and by `sync` alike. */
import { expect, it } from 'vitest';
import { openWorld, succeeded, TIMEOUT, until } from './world.ts';

it('is kept from the first load on, kept no further by HISTORY_DAYS=0, and gone on with', TIMEOUT, async ({ onTestFinished }) => {
  const world = await openWorld({ seed: { contacts: 30 } });
  onTestFinished(() => world.close());
  const ops = async (): Promise<readonly unknown[]> =>
    await world.sql('select op, origin, who, count(*)::int as n from bi.contact_history group by op, origin, who order by op, origin');
  const isWhole = async (): Promise<boolean> => {
    const [row] = await world.sql('select sync.is_history_whole() as whole');
    return row?.['whole'] === true;
  };

  const daemon = world.start(['start']);
  await world.inStep();
  await until('a whole history', isWhole);
  expect(await ops()).toEqual([{ op: 'insert', origin: 'resync', who: 'CRM', n: 30 }]);
  const [contact] = await world.sql('select id, crm_id from crm.contacts order by id limit 1');
  world.account.update(Number(contact?.['crm_id']), { job_title: 'Chief' });
  await until('the edit of the CRM', async () => (await ops()).length === 2);
  expect(await ops()).toContainEqual({ op: 'update', origin: 'crm', who: 'CRM', n: 1 });
  daemon.kill('SIGTERM');
  succeeded(await daemon.ended);

  const kept = await ops();
  succeeded(await world.run(['sync'], { HISTORY_DAYS: '0' }));
  await world.sql(`update crm.contacts set city = 'Rome' where id = $1`, [contact?.['id']]);
  // One command with a wrong setting takes nothing of a year away.
  expect(await ops()).toEqual(kept);
  expect(await isWhole()).toBe(false);

  succeeded(await world.run(['sync']));
  expect(await isWhole()).toBe(true);
  const { n } = (await world.sql('select count(*)::int as n from bi.contacts_at(clock_timestamp())'))[0] ?? {};
  expect(n).toBe(30);
  expect(await ops()).toContainEqual({ op: 'snapshot', origin: 'mirror', who: 'relate-mirror', n: 1 });
});
