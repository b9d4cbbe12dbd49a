/** `start`, as built and shipped: edits both ways, a stop in order, and what it does while one of its neighbours is away. */
import { describe, expect, it, type TestContext } from 'vitest';
import type { Child } from './child.ts';
import { openWorld, succeeded, TIMEOUT, until, type World, type WorldOptions } from './world.ts';

/** The contract: SIGTERM and SIGINT end everything within ten seconds, the time after which a container is killed. */
const STOP_MS_MAX = 10_000;

const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 30 }, ...options });
  onTestFinished(() => world.close());
  return world;
};

const openRunning = async (context: TestContext, options: WorldOptions = {}): Promise<World & { readonly daemon: Child }> => {
  const world = await open(context, options);
  const daemon = world.start(['start']);
  await world.inStep();
  return { ...world, daemon };
};

/** Answers how many milliseconds it took to stop in order. */
const stop = async (child: Child, signal: NodeJS.Signals = 'SIGTERM'): Promise<number> => {
  const startedAt = performance.now();
  child.kill(signal);
  succeeded(await child.ended);
  return performance.now() - startedAt;
};

const firstContact = async ({ sql }: World): Promise<{ readonly id: number; readonly crmId: number }> => {
  const [row] = await sql('select id, crm_id from crm.contacts order by id limit 1');
  return { id: Number(row?.['id']), crmId: Number(row?.['crm_id']) };
};

describe('start', TIMEOUT, () => {
  it('migrates an empty database, loads the account, carries edits both ways and stops in order', async (context) => {
    const world = await open(context, { seed: { contacts: 100 }, empty: true });
    const daemon = world.start(['start']);
    // The schemas are made by the program: until then there is nothing to ask.
    await daemon.logged('the first load', (line) => line['msg'] === 'swept');
    await world.inStep();
    const { id, crmId } = await firstContact(world);
    await world.sql(`update crm.contacts set city = 'Zürich' where id = $1`, [id]);
    await until('the edit in the CRM', () => world.account.contact(crmId)?.city === 'Zürich');
    world.account.update(crmId, { job_title: 'Head of everything' });
    await until('the edit in the mirror', async () => {
      const [row] = await world.sql('select job_title from crm.contacts where id = $1', [id]);
      return row?.['job_title'] === 'Head of everything';
    });
    await world.inStep();
    expect(await stop(daemon)).toBeLessThan(STOP_MS_MAX);
    const [left] = await world.sql('select leader from sync.status');
    expect(left?.['leader']).toBeNull();
  });

  it('lets a call in flight end at SIGTERM, and settles it', async (context) => {
    const world = await openRunning(context);
    const { id, crmId } = await firstContact(world);
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    world.sandbox.onRequest(async ({ call }) => {
      if (call !== 'update') return;
      arrived.resolve();
      await released.promise;
    });
    await world.sql(`update crm.contacts set city = 'Bern' where id = $1`, [id]);
    await arrived.promise;
    world.daemon.kill('SIGTERM');
    await world.daemon.logged('the stop', (line) => String(line['msg']).startsWith('stopping'));
    released.resolve();
    succeeded(await world.daemon.ended);
    expect(world.account.contact(crmId)?.city).toBe('Bern');
    expect(await world.sql('select state from sync.change_log')).toEqual([{ state: 'done' }]);
  });

  it.concurrent('stops in time at SIGINT while the CRM hangs, and calls the outcome unknown', async (context) => {
    const world = await openRunning(context, { env: { CRM_TIMEOUT_MS: '60000' } });
    const hang = world.sandbox.fault({ call: 'update', kind: 'hang-before', times: Infinity });
    await world.sql(`update crm.contacts set city = 'Bern'`);
    await until('a call that hangs', () => hang.fired > 0);
    expect(await stop(world.daemon, 'SIGINT')).toBeLessThan(STOP_MS_MAX);
    const states = await world.sql(`select distinct state from sync.change_log order by state`);
    expect(states.map((row) => row['state'])).toEqual(['pending', 'unknown']);
  });

  it.concurrent('is not held up by a transaction that keeps a row locked while its push is under way', async (context) => {
    const world = await openRunning(context);
    const { id, crmId } = await firstContact(world);
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const unhook = world.sandbox.onRequest(async ({ call, id: called }) => {
      if (call !== 'update' || called !== String(crmId)) return;
      arrived.resolve();
      await released.promise;
    });
    await world.sql(`update crm.contacts set city = 'Sitten' where id = $1`, [id]);
    await arrived.promise;
    const user = await world.connect();
    await user.query(`begin`);
    await user.query(`update crm.contacts set street = 'Bahnhofstrasse 1' where id = $1`, [id]);
    released.resolve();
    unhook();
    await world.sql(`update crm.contacts set city = 'Davos' where id <> $1`, [id]);
    const others = () => world.account.contacts().filter((contact) => contact.id !== crmId && contact.city !== 'Davos');
    await until('the edits of all others', () => others().length === 0);
    await until(
      'the locked one given up for now',
      async () => (await world.sql(`select from sync.queue where state = 'unknown'`)).length > 0,
    );
    await user.query('commit');
    await until('the edit of the locked one', () => world.account.contact(crmId)?.street === 'Bahnhofstrasse 1');
    await world.inStep();
    expect(world.account.contact(crmId)?.city).toBe('Sitten');
  });

  it('starts while the CRM is down, and loads the account once it is up', async (context) => {
    const world = await open(context);
    await world.sandbox.close();
    const daemon = world.start(['start']);
    await daemon.logged('a failed try', (line) => line['code'] === 'connection_refused');
    await world.reopenSandbox();
    await world.inStep();
    await stop(daemon);
    expect(world.account.calls.count('list')).toBeGreaterThan(0);
  });

  it('stays up while its token is refused, says so, and goes on when it is accepted again', async (context) => {
    const world = await openRunning(context);
    const { id, crmId } = await firstContact(world);
    world.sandbox.setToken('another');
    await world.daemon.logged('the refusal', (line) => line['level'] === 'error' && line['code'] === 'unauthorized');
    await world.sql(`update crm.contacts set city = 'Basel' where id = $1`, [id]);
    world.sandbox.setToken(world.env['CRM_TOKEN'] ?? '');
    await until('the edit in the CRM', () => world.account.contact(crmId)?.city === 'Basel');
    await world.inStep();
    expect(world.daemon.output().stderr).not.toContain(world.env['CRM_TOKEN']);
  });

  it('recovers by itself when Postgres ends all its connections, again and again, in the middle of a push', async (context) => {
    const world = await openRunning(context, { seed: { contacts: 100 } });
    world.sandbox.setLatency(10);
    await world.sql(`update crm.contacts set city = 'Chur'`);
    await world.sql(`insert into crm.contacts (first_name, last_name) select 'New', 'Person ' || n from generate_series(1, 20) n`);
    for (const calls of [15, 40, 65, 90]) {
      await until(`${calls} writes`, () => world.account.calls.count('update', 'create') >= calls);
      const [ended] = await world.sql(
        `select count(*) filter (where pg_terminate_backend(pid))::int as n from pg_stat_activity
         where datname = current_database() and application_name like 'relate-mirror%'`,
      );
      expect(ended?.['n']).toBeGreaterThan(2);
    }
    await world.inStep();
    expect(world.account.contacts().filter(({ first_name: name }) => name === 'New')).toHaveLength(20);
    await stop(world.daemon);
  });
});
