/** Promises 1, 3 and 4 where Postgres cannot store what the CRM has answered: SQLSTATE 53100, as a full disk gives it. */
import { describe, expect, it, type TestContext } from 'vitest';
import { openWorld, TIMEOUT, until, type World } from './world.ts';

const open = async ({ onTestFinished }: TestContext): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 3 } });
  onTestFinished(() => world.close());
  return world;
};

/** No attempt can be settled, whatever its outcome. */
const fill = async ({ sql }: World): Promise<void> => {
  await sql(`create function public.disk_full() returns trigger language plpgsql as $$
    begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`);
  await sql(`create trigger disk_full before update on sync.change_log for each row
    when (old.state = 'sending' and new.state <> 'sending') execute function public.disk_full()`);
};
const makeRoom = async ({ sql }: World): Promise<void> => void (await sql('drop function public.disk_full() cascade'));

/** Rounds that failed on it, so far. */
const refusals = (stderr: string): number => stderr.split('"53100"').length - 1;

describe('a full disk', TIMEOUT, () => {
  it('while an answer is to be stored: each write is made once, stays in doubt, is read first, and settles when there is room', async (context) => {
    const world = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    await fill(world);
    await world.sql(`update crm.contacts set city = 'Olten' where id = 1;
      insert into crm.contacts (first_name, email) values ('Ann', 'ann@disk.example')`);
    const { calls } = world.account;
    await until('both are sent', () => calls.count('update') === 1 && calls.count('create') === 1);
    // What cannot be settled is not begun either.
    await world.sql(`update crm.contacts set city = 'Thun' where id = 2`);
    const before = refusals(daemon.output().stderr);
    await until('it is tried again in vain', () => refusals(daemon.output().stderr) >= before + 3);
    expect([calls.count('update'), calls.count('create')]).toEqual([1, 1]);
    const unsettled = 'select contact_id::int, state from sync.change_log where settled_at is null order by contact_id';
    expect((await world.sql(unsettled)).map(({ state }) => state)).toEqual(['sending', 'pending', 'sending']);

    await makeRoom(world);
    await world.inStep();
    expect([calls.count('update'), calls.count('create')]).toEqual([2, 1]);
    expect(world.account.contacts().filter(({ email }) => email === 'ann@disk.example')).toHaveLength(1);
    expect(await world.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: 4 }]);
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });

  it('does not keep the daemon from ending in time, and the next one goes on', async (context) => {
    const world = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    await fill(world);
    await world.sql(`update crm.contacts set city = 'Olten' where id = 1`);
    await until('it is sent', () => world.account.calls.count('update') === 1);
    daemon.kill('SIGTERM');
    const ended = await daemon.ended;
    expect(ended.code).toBe(0);
    await makeRoom(world);
    world.start(['start']);
    await world.inStep();
    expect(world.account.calls.count('update')).toBe(1);
  });
});
