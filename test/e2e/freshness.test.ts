/** bi.freshness, as the built program keeps it true: with `sync` from cron, where no daemon renews anything, as well. */
import { expect, it } from 'vitest';
import { openWorld, succeeded, TIMEOUT } from './world.ts';

it('says so before the first load, after it, and after each `sync`', TIMEOUT, async ({ onTestFinished }) => {
  const world = await openWorld({ seed: { contacts: 30 } });
  onTestFinished(() => world.close());
  const pull = async (): Promise<Record<string, unknown>> =>
    (await world.sql(`select true_as_of, complete, explanation, waiting::int from bi.freshness where direction = 'pull'`))[0] ?? {};
  const trueAsOf = async (): Promise<Date> => (await pull())['true_as_of'] as Date;

  succeeded(await world.run(['migrate']));
  expect(await pull()).toMatchObject({
    true_as_of: null,
    complete: false,
    explanation: 'The first load is not finished: contacts are missing. No daemon is at work.',
  });

  const before = new Date();
  succeeded(await world.run(['sync']));
  expect(await pull()).toMatchObject({ complete: true, waiting: 0, explanation: expect.stringMatching(/^Complete: /) as string });
  expect((await trueAsOf()) >= before).toBe(true);
  // Numbers are read behind the sync, in the same command.
  const phones = `select count(*)::int as numbers, count(e164)::int as read from bi.contact_phones`;
  const [read] = await world.sql(phones);
  expect(Number(read?.['read'])).toBeGreaterThan(Number(read?.['numbers']) / 2);

  const [contact] = await world.sql('select id, crm_id from crm.contacts order by id limit 1');
  const edited = new Date();
  world.account.update(Number(contact?.['crm_id']), { job_title: 'Chief' });
  expect((await trueAsOf()) < edited).toBe(true);
  succeeded(await world.run(['sync']));
  expect((await trueAsOf()) >= edited).toBe(true);
  expect(await world.sql('select job_title from crm.contacts where id = $1', [contact?.['id']])).toEqual([{ job_title: 'Chief' }]);
});
