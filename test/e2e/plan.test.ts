/** `plan`: says what will be done, then it is done, and the two are the same; and it changes nothing anywhere. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';
import type { PlanChange, PlanConflict, PlanLine, PlanNote, PlanTotal } from '../../src/sync/preview/lines.ts';
import { buildProgram } from './built-program.ts';
import { footprint, methodsOf } from './footprint.ts';
import { openWorld, succeeded, TIMEOUT, TOKEN, until, type World, type WorldOptions } from './world.ts';

const CONTACTS = 40;
const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: CONTACTS }, ...options });
  onTestFinished(() => world.close());
  succeeded(await world.run(['sync']));
  return world;
};

interface Planned {
  readonly changes: readonly PlanChange[];
  readonly conflicts: readonly PlanConflict[];
  readonly notes: readonly PlanNote[];
  readonly total: PlanTotal;
  readonly stderr: string;
}

/** Runs it, and fails unless it has left every row version of both sides as it was, and asked the CRM with GETs alone. */
const plan = async (world: World, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}, code = 0): Promise<Planned> => {
  const [before, written] = [await footprint(world), await tuplesWritten(world)];
  world.account.calls.clear();
  const ended = await world.run(['plan', '--json', ...args], env);
  expect(`${ended.code} ${ended.code === code ? '' : ended.stderr}`).toBe(`${code} `);
  expect(methodsOf(world).filter((method) => method !== 'GET')).toEqual([]);
  expect(await footprint(world)).toEqual(before);
  expect(await tuplesWritten(world)).toEqual(written);
  const lines = ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PlanLine);
  const of = <K extends PlanLine['kind']>(kind: K) => lines.filter((line): line is Extract<PlanLine, { kind: K }> => line.kind === kind);
  const [total] = of('total');
  if (total === undefined) throw new Error('no totals');
  expect(total.calls_made).toBe(world.account.calls.calls.length);
  return { changes: of('change'), conflicts: of('conflict'), notes: of('note'), total, stderr: ended.stderr };
};

/** Row versions ever written, those of rolled-back transactions included: the lease aside. */
const tuplesWritten = async ({ sql }: World): Promise<unknown> => {
  const flush = `select pg_stat_force_next_flush(), pg_sleep(0.1)`;
  await Promise.all([sql(flush), sql(flush)]);
  return await sql(`select schemaname, relname, n_tup_ins::text, n_tup_upd::text, n_tup_del::text from pg_stat_user_tables
    where relname <> 'leader' order by 1, 2`);
};

const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync'] as const;
/** What really reached the CRM. */
const writesOf = ({ account }: World) =>
  Object.fromEntries(WRITES.flatMap((call) => (account.calls.count(call) === 0 ? [] : [[call, account.calls.count(call)]])));
const plannedWrites = ({ calls }: PlanTotal) =>
  Object.fromEntries(WRITES.flatMap((call) => (calls[call] === undefined ? [] : [[call, calls[call]]])));

/** One of each: in the mirror. */
const EDITS = `
  update crm.contacts set city = 'Oslo', job_title = null where id = 1;
  update crm.contacts set phones = phones || '[{"number": "+47 22 00 00 00"}]' where id = 2;
  insert into crm.contacts (first_name, email) values ('Ada', 'ada@example.com');
  delete from crm.contacts where id = 3;
  insert into crm.contact_companies select 4, id from crm.companies c
    where not exists (select from crm.contact_companies l where l.contact_id = 4 and l.company_id = c.id) limit 1;
  update crm.contacts set city = 'nowhere' where id = 5;
  update crm.contacts set city = base.city from (select base ->> 'city' as city from sync.contact_state where contact_id = 5) base where id = 5`;

describe('plan', TIMEOUT, () => {
  it('says that nothing is to be done where both sides are equal', async (context) => {
    const world = await open(context);
    const { changes, conflicts, total } = await plan(world);
    expect([changes, conflicts]).toEqual([[], []]);
    expect(total).toMatchObject({
      conflicts: 0,
      push: { creates: 0, updates: 0, deletes: 0, links: 0 },
      pull: { creates: 0, updates: 0, deletes: 0 },
    });
    const people = await world.run(['plan']);
    expect(people.stdout).toMatch(/^Nothing to do: /);
    expect(people.stdout).toMatch(/\nNothing was changed; this plan took \d+ calls\.\n$/);
  });

  it('tells what the push then sends, call by call, with values before and after', async (context) => {
    const world = await open(context);
    const [before] = await world.sql('select city, job_title from crm.contacts where id = 1');
    for (const statement of EDITS.split(';')) await world.sql(statement);
    const { changes, total, stderr } = await plan(world);
    const of = (id: number) => changes.find((change) => change.contact_id === id);
    expect(of(1)).toMatchObject({ direction: 'push', action: 'update', state: 'due', calls: ['update'] });
    expect(of(1)?.fields).toEqual({
      city: { before: before?.['city'], after: 'Oslo' },
      ...(before?.['job_title'] === null ? {} : { job_title: { before: before?.['job_title'], after: null } }),
    });
    expect(of(2)?.calls).toEqual(['get', 'update']);
    expect(of(3)).toMatchObject({ action: 'delete', calls: ['delete'] });
    expect(of(4)).toMatchObject({ links: { companies: { detach: [] } }, calls: ['attach'] });
    expect(of(5)).toBeUndefined();
    expect(changes.find(({ action }) => action === 'create')).toMatchObject({ crm_id: null, name: 'Ada', calls: ['create'] });
    expect(total.push).toMatchObject({ creates: 1, updates: 3, deletes: 1, links: 1, held: 0 });
    expect(stderr).not.toContain('Oslo');
    expect(stderr).not.toContain(TOKEN);

    world.account.calls.clear();
    succeeded(await world.run(['sync']));
    expect(writesOf(world)).toEqual(plannedWrites(total));
    await world.inStep();
    expect((await plan(world)).changes).toEqual([]);
  });

  it('tells what the pull then does: created, changed and trashed there, with values before and after', async (context) => {
    const world = await open(context);
    const [first, second] = world.account.contacts();
    if (first === undefined || second === undefined) throw new Error('no contacts');
    world.account.update(first.id, { city: 'Bergen' });
    world.account.delete(second.id);
    const created = world.account.create({ first_name: 'Grace', last_name: 'Hopper' });
    const { changes, total } = await plan(world);
    const of = (crmId: number) => changes.find((change) => change.crm_id === crmId);
    expect(of(first.id)).toMatchObject({ direction: 'pull', action: 'update', fields: { city: { before: first.city, after: 'Bergen' } } });
    expect(of(second.id)).toMatchObject({ direction: 'pull', action: 'delete' });
    expect(of(created.id)).toMatchObject({ action: 'create', contact_id: null, name: 'Grace Hopper' });
    expect(total.pull).toMatchObject({ creates: 1, updates: 1, deletes: 1 });
    succeeded(await world.run(['sync']));
    await world.inStep();
    expect((await plan(world)).changes).toEqual([]);
  });

  it('tells conflicts with how the policy decides, and pushes only what is left after them', async (context) => {
    const world = await open(context);
    const [contact] = world.account.contacts();
    if (contact === undefined) throw new Error('no contacts');
    world.account.update(contact.id, { city: 'Bergen' });
    await world.sql(`update crm.contacts set city = 'Oslo', street = 'Storgata 1' where crm_id = $1`, [contact.id]);
    const manual = await plan(world, [], { CONFLICT_POLICY: 'manual' });
    expect(manual.conflicts).toMatchObject([
      { field: 'city', base: contact.city, mirror: 'Oslo', crm: 'Bergen', policy: 'manual', outcome: 'open' },
    ]);
    const push = (planned: Planned) => planned.changes.find(({ direction }) => direction === 'push')?.fields;
    expect(Object.keys(push(manual) ?? {})).toEqual(['street']);
    const mirror = await plan(world, [], { CONFLICT_POLICY: 'mirror' });
    expect(mirror.conflicts).toMatchObject([{ outcome: 'mirror' }]);
    expect(push(mirror)).toMatchObject({ city: { before: 'Bergen', after: 'Oslo' } });
    const crm = await plan(world, [], { CONFLICT_POLICY: 'crm' });
    expect(crm.changes.find(({ direction }) => direction === 'pull')?.fields).toEqual({ city: { before: 'Oslo', after: 'Bergen' } });
    expect(Object.keys(push(crm) ?? {})).toEqual(['street']);
  });

  it('tells what the brake would hold, in either direction', async (context) => {
    const world = await open(context);
    const env = { BRAKE_ROWS: '2', BRAKE_SHARE: '0.05' };
    await world.sql('delete from crm.contacts where id <= 5');
    for (const { id } of world.account.contacts().slice(10, 16)) world.account.delete(id);
    const { changes, total } = await plan(world, [], env);
    expect(total.push).toMatchObject({ deletes: 0, held: 5 });
    expect(total.pull).toMatchObject({ deletes: 0, held: 6 });
    expect(changes.every(({ state, reason }) => state === 'held' && (reason ?? '').includes('may'))).toBe(true);
    expect((await world.run(['sync'], env)).code).toBe(3);
    const holds = await world.sql(`select direction, rows::int from sync.holds where state = 'open' order by 1`);
    expect(holds).toEqual([
      { direction: 'pull', rows: 6 },
      { direction: 'push', rows: 5 },
    ]);
    expect((await plan(world, [], env)).total.push).toMatchObject({ held: 5 });
  });

  it('in WRITE_MODE=ordered tells each edit, as each is sent', async (context) => {
    const world = await open(context);
    for (const city of ['Bern', 'Genf', 'Chur']) await world.sql('update crm.contacts set city = $1 where id = 1', [city]);
    await world.sql(`insert into crm.contacts (first_name) values ('Ada')`);
    await world.sql(`update crm.contacts set first_name = 'Augusta' where first_name = 'Ada' and crm_id is null`);
    const env = { WRITE_MODE: 'ordered' };
    const { changes, total } = await plan(world, [], env);
    expect(changes.filter(({ contact_id: id }) => id === 1).map(({ fields }) => fields['city']?.after)).toEqual(['Bern', 'Genf', 'Chur']);
    expect(total.calls).toMatchObject({ update: 4, create: 1 });
    world.account.calls.clear();
    succeeded(await world.run(['sync'], env));
    expect(writesOf(world)).toEqual(plannedWrites(total));
  });

  it('--full finds what no change told of, and says how far it is; without a first load plan says what that would take', async (context) => {
    const world = await openWorld({ seed: { contacts: CONTACTS } });
    context.onTestFinished(() => world.close());
    const before = await plan(world);
    expect(before.notes).toMatchObject([{ code: 'full_comparison_needed' }]);
    expect(before.notes[0]?.detail).toContain(`${CONTACTS} contacts`);
    const first = await plan(world, ['--full']);
    expect(first.total.pull).toMatchObject({ creates: CONTACTS });
    succeeded(await world.run(['sync']));
    expect((await plan(world, ['--full'])).changes).toEqual([]);

    // No list tells what is purged: each row that nobody saw is asked for.
    const [contact] = world.account.contacts();
    if (contact === undefined) throw new Error('no contacts');
    world.account.delete(contact.id);
    world.account.purge(contact.id);
    expect((await plan(world)).changes).toEqual([]);
    const { changes, stderr } = await plan(world, ['--full']);
    expect(changes).toContainEqual(expect.objectContaining({ direction: 'pull', action: 'delete', crm_id: contact.id }));
    expect(stderr).toContain('"phase":"compared"');
  });

  it('before the first start it says what that would do: on a database without the schemas, and without a database', async (context) => {
    const world = await openWorld({ seed: { contacts: CONTACTS }, empty: true });
    context.onTestFinished(() => world.close());
    const { directory } = await buildProgram();
    for (const env of [{}, { DATABASE_URL: undefined }]) {
      const short = await world.run(['plan'], env);
      succeeded(short);
      expect(short.stdout).toMatch(
        /^There is no mirror yet: .*\nBoth sides have not been compared as a whole yet: 40 contacts, some \d+ calls\./,
      );
      expect(short.stdout).toContain('whether both sides are equal is not known');
      const full = await plan(world, ['--full'], env);
      expect(full.total.pull).toMatchObject({ creates: CONTACTS });
      // One for each contact, since no list carries them, and one that found out that they can be read at all.
      expect(full.total.calls.activities).toBe(CONTACTS + 1);
      expect(short.stdout).toContain(`activities ${CONTACTS + 1}`);
    }
    expect(existsSync(path.join(directory, '.relate-mirror'))).toBe(false);
    expect(await world.sql(`select nspname from pg_namespace where nspname in ('crm', 'sync')`)).toEqual([]);
  });

  it('works beside a daemon that leads, paused or not', async (context) => {
    const world = await open(context);
    await world.run(['pause']);
    world.start(['start']);
    await until('a leader', async () => (await world.sql('select from sync.status where leader is not null')).length > 0);
    await world.sql(`update crm.contacts set city = 'Oslo' where id = 1`);
    const { notes, changes } = await plan(world);
    expect(notes).toMatchObject([{ code: 'paused' }]);
    expect(changes).toMatchObject([{ contact_id: 1, state: 'due' }]);
    await world.run(['resume']);
    await world.inStep();
  });

  it('a CRM that fails, or is another account, is a clear word and exit code 1', async (context) => {
    const world = await open(context);
    await world.sql(`update crm.contacts set city = 'Oslo' where id = 1`);
    const refused = await plan(world, [], { CRM_TOKEN: 'another-token' }, 1);
    expect(refused.notes).toMatchObject([{ code: 'stopped', detail: expect.stringContaining('unauthorized') as string }]);
    expect(refused.changes).toHaveLength(1);
    const other = await world.run(['plan'], { CRM_URL: 'http://127.0.0.1:1/api' });
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toContain('is not the account that this mirror was filled from');
  });
});
