/** The program where the daemon owns nothing: a role of its own runs it, another one migrates, people edit as editors. */
import pg from 'pg';
import { describe, expect, it, type TestContext } from 'vitest';
import { daemonGrants } from '../../src/postgres/sql/grants.ts';
import { createTestLogin } from '../login.ts';
import { openWorld, succeeded, TIMEOUT, until, type World } from './world.ts';

interface Split extends World {
  /** As somebody who may edit. */
  edit(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  readonly daemonRole: string;
}

/** The world's settings with the daemon's login in them: whatever the program does, it does as that role. */
const open = async ({ onTestFinished }: TestContext, env: NodeJS.ProcessEnv = {}): Promise<Split> => {
  const world = await openWorld({ seed: { contacts: 30 }, env });
  const superuserUrl = world.env['DATABASE_URL'] ?? '';
  const daemon = await createTestLogin(superuserUrl, daemonGrants);
  const editor = await createTestLogin(superuserUrl, (role) => [`grant relate_mirror_editor to ${role}`]);
  world.env['DATABASE_URL'] = daemon.url;
  const client = new pg.Client({ connectionString: editor.url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    for (const login of [daemon, editor]) await login.drop();
    await world.close();
  });
  return {
    ...world,
    daemonRole: daemon.role,
    edit: async (text, values = []) => (await client.query<Record<string, unknown>>(text, [...values])).rows,
  };
};

const complained = (stderr: string): readonly string[] => stderr.split('\n').filter((line) => /42501|could not be ended/.test(line));

describe('a daemon that owns nothing', TIMEOUT, () => {
  it('pulls, pushes, sweeps, links, holds and audits', async (context) => {
    const world = await open(context, { BRAKE_ROWS: '2', BRAKE_SHARE: '0.05', SWEEP_CRON: '*/2 * * * * *' });
    const daemon = world.start(['start']);
    await world.inStep();
    const [row] = await world.edit(`select id, crm_id from crm.contacts order by id limit 1`);
    await world.edit(`update crm.contacts set city = 'Zug' where id = $1`, [row?.['id']]);
    expect(await world.edit('select sync.wait() as state')).toEqual([{ state: 'done' }]);
    await world.edit(`insert into crm.contacts (first_name) values ('New')`);
    expect(await world.edit('select sync.wait() as state')).toEqual([{ state: 'done' }]);
    world.account.update(Number(row?.['crm_id']), { job_title: 'Head' });
    await until('a pull', async () => (await world.edit(`select from crm.contacts where job_title = 'Head'`)).length === 1);
    // More than the brake lets through, then let through.
    await world.edit(`delete from crm.contacts where id in (select id from crm.contacts order by id limit 8)`);
    await until('the deletions', async () => {
      for (const { id } of await world.edit(`select id from sync.holds where state = 'open'`))
        await world.edit('select sync.approve($1)', [id]);
      return world.account.contacts().length === 23;
    });
    expect(await world.edit(`select from sync.holds where state = 'approved'`)).not.toEqual([]);
    for (const command of [
      ['resync', '--links'],
      ['sync'],
      ['audit'],
      ['status'],
      ['holds'],
      ['conflicts'],
      ['plan'],
      ['pause'],
      ['resume'],
    ])
      succeeded(await world.run(command));
    // The tests' server runs without fsync, which it calls a problem.
    expect((await world.run(['doctor'])).stdout).toMatch(/ ok +rights /);
    await world.inStep();
    daemon.kill('SIGTERM');
    const { stderr } = succeeded(await daemon.ended);
    expect(complained(stderr)).toEqual([]);
    const log = await world.sql('select distinct changed_by from sync.change_log');
    expect(log.some(({ changed_by: by }) => by === world.daemonRole)).toBe(false);
  });

  it('works as a command of its own, and keeps the order of edits', async (context) => {
    const world = await open(context, { WRITE_MODE: 'ordered' });
    succeeded(await world.run(['sync']));
    await world.edit(`update crm.contacts set city = 'Zug'`);
    await world.edit(`update crm.contacts set city = 'Uri'`);
    succeeded(await world.run(['sync']));
    succeeded(await world.run(['resync']));
    succeeded(await world.run(['audit']));
    await world.inStep();
    expect(world.account.contacts().filter(({ city }) => city !== 'Uri')).toEqual([]);
    expect(world.account.calls.count('update')).toBe(60);
  });

  it('ends the connections of a leader that is no more, and takes over', async (context) => {
    const world = await open(context);
    const first = world.start(['start']);
    await world.inStep();
    // What began after the last renewal is not known to be the leader's.
    const begun = `select from pg_stat_activity a join sync.leader l on a.backend_start > l.renewed_at where a.application_name like '% ' || $1`;
    await until('a renewal', async () => (await world.sql(begun, [String(first.pid)])).length === 0);
    first.kill('SIGSTOP');
    const second = world.start(['start']);
    await second.logged('the lead', (line) => line['msg'] === 'leading');
    const left = `select from pg_stat_activity where application_name like '% ' || $1`;
    await until('the end of its connections', async () => (await world.sql(left, [String(first.pid)])).length === 0, 5_000);
    expect(complained(second.output().stderr)).toEqual([]);
    first.kill('SIGKILL');
  });

  it('is told what to do where migrations are missing that it may not apply', async (context) => {
    const world = await open(context);
    await world.sql('delete from relate_mirror.__drizzle_migrations where id = (select max(id) from relate_mirror.__drizzle_migrations)');
    const { code, stderr } = await world.run(['start']);
    expect(code).toBe(1);
    expect(stderr).toContain('run `relate-mirror migrate` as the owner of the schemas');
  });
});

it('one role with nothing but the right to create in its database migrates, and runs everything', TIMEOUT, async ({ onTestFinished }) => {
  const world = await openWorld({ seed: { contacts: 30 }, empty: true });
  const superuserUrl = world.env['DATABASE_URL'] ?? '';
  const owner = await createTestLogin(superuserUrl, (role) => [
    `do $$ begin execute format('grant create on database %I to ${role}', current_database()); end $$`,
  ]);
  world.env['DATABASE_URL'] = owner.url;
  onTestFinished(async () => {
    await world.close();
  });
  const daemon = world.start(['start']);
  await daemon.logged('the first load', (line) => line['msg'] === 'swept');
  const editor = await createTestLogin(superuserUrl, (role) => [`grant relate_mirror_editor to ${role}`]);
  const client = new pg.Client({ connectionString: editor.url });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`update crm.contacts set city = 'Zug'`);
  expect((await client.query('select sync.wait(timeout_ms => 20000) as state')).rows).toEqual([{ state: 'done' }]);
  await client.end();
  await world.inStep();
  for (const command of [['resync', '--links'], ['audit'], ['status'], ['plan']]) succeeded(await world.run(command));
  daemon.kill('SIGTERM');
  const { stderr } = succeeded(await daemon.ended);
  expect(complained(stderr)).toEqual([]);
  const [is] = await world.sql('select rolsuper or rolcreaterole as much from pg_roles where rolname = $1', [owner.role]);
  expect(is).toEqual({ much: false });
  for (const login of [editor, owner]) await login.drop();
});
