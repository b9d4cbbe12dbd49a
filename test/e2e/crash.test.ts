/** kill -9, a frozen process, and two daemons on one database: nothing lost, nothing twice, and work goes on within seconds. */
import { describe, expect, it, type TestContext } from 'vitest';
import type { CallRecord } from '../../src/sandbox/crm/call-log.ts';
import type { Child } from './child.ts';
import { openWorld, TIMEOUT, until, type World, type WorldOptions } from './world.ts';

/** The lease is valid for three seconds after the last sign of life; the rest is for noticing. */
const TAKEOVER_MS_MAX = 5_000;

const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 30 }, ...options });
  onTestFinished(() => world.close());
  return world;
};

type Made = Pick<CallRecord, 'call' | 'path'>;

/** Kills the child at the n-th call that fits: `arrived` before the CRM processes it, `answered` after that and before the answer is out. */
const killAt = async (
  { sandbox, account }: World,
  child: Child,
  at: 'arrived' | 'answered',
  fits: (made: Made) => boolean,
  nth = 1,
): Promise<void> => {
  const hit = Promise.withResolvers<void>();
  let seen = 0;
  const strike = (made: Made): void => {
    if (!fits(made) || (seen += 1) !== nth) return;
    child.kill('SIGKILL');
    hit.resolve();
  };
  const unhook = at === 'answered' ? account.calls.onCall(strike) : sandbox.onRequest(strike);
  const { code, stderr } = await Promise.race([hit.promise.then(() => child.ended), child.ended]);
  unhook();
  if (code !== null) throw new Error(`it ended by itself, with ${code}:\n${stderr}`);
};

const INSERTS = `
  insert into crm.contacts (first_name, last_name, email, phones)
  select 'New', 'Person ' || n, case when n % 2 = 0 then 'new' || n || '@example.com' end,
    case when n % 3 = 0 then jsonb_build_array(jsonb_build_object('number', '+41 44 555 00 ' || n)) else '[]' end
  from generate_series(10, 49) n`;
const EDITS = `update crm.contacts set city = 'Genf', job_title = null where crm_id is not null`;
const LINKS = `insert into crm.contact_companies select id, (select min(id) from crm.companies) from crm.contacts on conflict do nothing`;

describe('kill -9', TIMEOUT, () => {
  it('in the middle of creates and updates loses no edit and makes no contact twice', async (context) => {
    const world = await open(context, { env: { CRM_TIMEOUT_MS: '400', CREATE_RECHECK_MS: '200' } });
    const first = world.start(['start']);
    await world.inStep();
    const killed = killAt(world, first, 'answered', ({ call }) => call === 'create', 5);
    await world.sql(`begin; ${INSERTS}; ${EDITS}; ${LINKS}; commit`);
    await killed;
    await killAt(world, world.start(['start']), 'arrived', ({ call }) => ['create', 'update', 'attach'].includes(call), 25);
    world.start(['start']);
    await world.inStep();
    const made = world.account.contacts().filter(({ first_name: name }) => name === 'New');
    expect(made).toHaveLength(40);
    expect(new Set(made.map(({ last_name: name }) => name)).size).toBe(40);
    expect(world.account.contacts().filter(({ city }) => city === 'Genf')).toHaveLength(30);
  });

  it('in the middle of the first load is followed by the rest of it', async (context) => {
    const world = await open(context, { seed: { contacts: 200 }, account: { perPageMax: 20 } });
    await killAt(world, world.start(['start']), 'answered', ({ call, path }) => call === 'list' && /[?&]page=5\b/.test(path));
    const [half] = await world.sql('select count(*)::int as n from crm.contacts');
    expect(half?.['n']).toBeGreaterThan(0);
    expect(half?.['n']).toBeLessThan(200);
    world.start(['start']);
    await world.inStep();
    const runs = await world.sql(`select state, complete from sync.runs where kind = 'sweep'`);
    expect(runs).toEqual([{ state: 'done', complete: true }]);
  });
});

describe.concurrent('two daemons on one database', TIMEOUT, () => {
  const leaderOf = async ({ sql }: World): Promise<unknown> => (await sql('select leader from sync.status'))[0]?.['leader'];
  const isLed = async (world: World, { pid }: Child): Promise<boolean> => String(await leaderOf(world)).endsWith(` ${pid}`);

  /** One that leads, and one that waits. */
  const openTwo = async (context: TestContext): Promise<World & { readonly leader: Child; readonly standby: Child }> => {
    const world = await open(context);
    const leader = world.start(['start']);
    await world.inStep();
    const standby = world.start(['start']);
    const asksForTheLease = async (): Promise<boolean> =>
      (await world.sql(`select from pg_stat_activity where application_name like $1 and query like '%sync.leader%'`, [`%${standby.pid}`]))
        .length > 0;
    await until('the second daemon asks for the lease', asksForTheLease);
    expect(await isLed(world, leader)).toBe(true);
    return { ...world, leader, standby };
  };

  const editArrives = async (world: World, city: string): Promise<void> => {
    await world.sql('update crm.contacts set city = $1', [city]);
    await until(`${city} in the CRM`, () => world.account.contacts().every((contact) => contact.city === city));
  };

  it('the second leads within seconds of a kill -9 of the first, and edits flow', async (context) => {
    const world = await openTwo(context);
    world.leader.kill('SIGKILL');
    await until('the second leads', () => isLed(world, world.standby), TAKEOVER_MS_MAX);
    await editArrives(world, 'Thun');
    await world.inStep();
    expect(await isLed(world, world.standby)).toBe(true);
  });

  it('the second leads within seconds of a stop in order of the first', async (context) => {
    const world = await openTwo(context);
    world.leader.kill('SIGTERM');
    await until('the second leads', () => isLed(world, world.standby), TAKEOVER_MS_MAX);
    expect((await world.leader.ended).code).toBe(0);
    await editArrives(world, 'Brig');
  });

  it('a frozen leader is replaced, and sends nothing when it wakes up', async (context) => {
    const world = await openTwo(context);
    world.leader.kill('SIGSTOP');
    await until('the second leads', () => isLed(world, world.standby), TAKEOVER_MS_MAX);
    await editArrives(world, 'Visp');
    await world.inStep();
    const before = world.account.calls.count('update');
    world.leader.kill('SIGCONT');
    await world.leader.logged('it stands by', (line) => line['msg'] === 'no longer leading');
    await editArrives(world, 'Zug');
    await world.inStep();
    expect(await isLed(world, world.standby)).toBe(true);
    // One call for each contact: only one daemon sends.
    expect(world.account.calls.count('update') - before).toBe(30);
  });
});
