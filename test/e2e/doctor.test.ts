/** `doctor`: what it finds where all is well, what it finds where something is not, and that it changes nothing. */
import { describe, expect, it, type TestContext } from 'vitest';
import { CHECKS, type Line } from '../../src/commands/doctor/line.ts';
import { createTestLogin } from '../login.ts';
import { connect } from '../postgres/editing.ts';
import { footprint, methodsOf } from './footprint.ts';
import { openWorld, succeeded, TIMEOUT, TOKEN, until, type World, type WorldOptions } from './world.ts';

const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 30 }, ...options });
  onTestFinished(() => world.close());
  return world;
};
const linesOf = (stdout: string): readonly Line[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** The tests' server may be one that a crash is allowed to empty: that is told each time, and left out here. */
const isUnsafe = async ({ sql }: World): Promise<boolean> =>
  (await sql(`select from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'`)).length > 0;

const doctor = async (world: World, env: NodeJS.ProcessEnv = {}) => {
  const { code, stdout, stderr } = await world.run(['doctor', '--json'], env);
  const lines = linesOf(stdout);
  const find = (check: string): Line | undefined => lines.find((line) => line.check === check);
  expect(code).toBe(lines.some(({ state }) => state === 'problem') ? 1 : 0);
  if (find('server_safety') !== undefined) expect(find('server_safety')?.state === 'ok').toBe(!(await isUnsafe(world)));
  const troubles = lines.filter(({ state, check }) => state !== 'ok' && check !== 'server_safety');
  return { stdout, stderr, lines, find, troubles: troubles.map(({ check, state }) => [check, state]) };
};

describe('doctor', TIMEOUT, () => {
  it('says of every check that it is well, with a daemon at work, in few calls, and changes nothing', async (context) => {
    const world = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    await until('a leader', async () => (await world.sql('select from sync.status where leader is not null')).length > 0);
    daemon.kill('SIGTERM');
    await daemon.ended;
    const before = await footprint(world);
    world.account.calls.clear();
    const { lines, troubles, stdout, find } = await doctor(world);
    expect(troubles).toEqual([['leader', 'warning']]);
    expect(lines.map(({ check }) => check).toSorted()).toEqual(Object.keys(CHECKS).toSorted());
    expect(await footprint(world)).toEqual(before);
    expect(methodsOf(world)).toEqual(['GET']);
    const calls = world.account.calls.calls.length;
    expect(calls).toBeLessThanOrEqual(12);
    expect(find('budget')?.detail).toContain(`${calls} of them used by this command`);
    expect(stdout).not.toContain(TOKEN);
    expect(stdout).not.toContain(new URL(String(world.env['DATABASE_URL'])).password);

    world.start(['start']);
    await until('a leader', async () => (await world.sql('select from sync.status where leader is not null')).length > 0);
    const people = await world.run(['doctor']);
    expect(people.stdout).toMatch(/\n {2}ok +leader +\S+ \d+ leads\n/);
    expect(people.stdout).toMatch((await isUnsafe(world)) ? /\n1 problem, \d+ ok\n$/ : /\nno problem, \d+ ok\n$/);
  });

  it('finds what is broken in the mirror, with remedies that heal it', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    await world.sql('alter table crm.contacts disable trigger relate_mirror_capture_update');
    await world.sql('alter table sync.runs set unlogged');
    const { troubles, find } = await doctor(world);
    expect(troubles).toEqual([
      ['triggers', 'problem'],
      ['storage', 'problem'],
      ['leader', 'warning'],
    ]);
    for (const check of ['triggers', 'storage']) await world.sql(String(find(check)?.remedy?.split(';')[0]));
    expect((await doctor(world)).troubles).toEqual([['leader', 'warning']]);
  });

  it('names who has the migration lock, and says what HISTORY_DAYS=0 does before it is done', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const holder = await connect(String(world.env['DATABASE_URL']));
    context.onTestFinished(() => holder.end());
    await holder.query('select pg_advisory_lock(7210, 3)');
    const off = { HISTORY_DAYS: '0' };
    const before = await doctor(world, off);
    expect(before.troubles).toEqual([
      ['migration_lock', 'warning'],
      ['leader', 'warning'],
      ['history', 'warning'],
    ]);
    expect(before.find('migration_lock')?.detail).toMatch(/^session \d+ of the role \S+ \(application_name "test"\) has it/);
    await world.sql(String(before.find('migration_lock')?.remedy?.split(': ')[1]));
    await world.run(['sync'], off);
    const after = await doctor(world, off);
    expect(after.troubles).toEqual([
      ['leader', 'warning'],
      ['history', 'warning'],
    ]);
    await world.sql(String(after.find('history')?.remedy?.split(': ')[1]));
    expect((await doctor(world, off)).find('history')).toMatchObject({ state: 'ok' });
  });

  it('says how sure it is that the token sees all contacts', async (context) => {
    const world = await open(context);
    const [first, second] = world.account.contacts().slice(-3);
    if (first === undefined || second === undefined) throw new Error('no contacts');
    world.account.hide(first.id);
    await world.run(['sync']);
    const hidden = await doctor(world);
    expect(hidden.find('visibility')).toMatchObject({
      state: 'warning',
      detail: expect.stringContaining(`contact ${first.id} exists`) as string,
    });
    world.account.show(first.id);
    await world.run(['resync']);
    expect((await doctor(world)).find('visibility')?.state).toBe('ok');
    world.account.hide(second.id);
    await world.run(['resync']);
    expect((await doctor(world)).find('visibility')?.detail).toContain('may no longer see 1');
  });

  it('tells what the token is told, in the words of the remedy', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const { find } = await doctor(world, { CRM_TOKEN: 'a-wrong-token-that-is-secret' });
    expect(find('token')).toMatchObject({ state: 'problem', detail: expect.stringContaining('unauthorized (401)') as string });
  });

  it('goes on where the database is away, or the CRM, or a mirror', async (context) => {
    const world = await open(context, { empty: true });
    const noDatabase = await doctor(world, { DATABASE_URL: 'postgres://someone:secret@127.0.0.1:1/nothing' });
    expect(noDatabase.troubles).toEqual([['database', 'problem']]);
    expect(noDatabase.stdout).not.toContain('secret');
    expect(noDatabase.find('token')?.state).toBe('ok');

    const noCrm = await doctor(world, { CRM_URL: 'http://127.0.0.1:1/api' });
    expect(noCrm.troubles).toEqual([
      ['migrations', 'warning'],
      ['crm', 'problem'],
    ]);
    const noMirror = await doctor(world);
    expect(noMirror.troubles).toEqual([['migrations', 'warning']]);
  });

  it('knows settings that do not fit: a brake that holds everything, a field that is not there, a listener that hears nothing', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const { troubles } = await doctor(world, {
      BRAKE_ROWS: '0',
      BRAKE_SHARE: '0',
      CRM_EXTERNAL_ID_FIELD: 'cf_nowhere',
      HTTP_HOST: '0.0.0.0',
      DATABASE_LISTEN_URL: 'postgres://someone:secret@127.0.0.1:1/nothing',
    });
    expect(troubles).toEqual([
      ['admin_api', 'warning'],
      ['listen', 'problem'],
      ['leader', 'warning'],
      ['brake', 'warning'],
      ['external_id_field', 'problem'],
    ]);
  });

  it('a role that lacks rights is told which', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const role = `doctor_${Date.now()}`;
    await world.sql(`create role ${role} login password 'x'`);
    context.onTestFinished(async () => {
      await world.sql(`drop owned by ${role}`);
      await world.sql(`drop role ${role}`);
    });
    await world.sql(`grant usage on schema crm, sync, relate_mirror to ${role}`);
    await world.sql(`grant select on all tables in schema crm, sync, relate_mirror to ${role}`);
    const url = new URL(String(world.env['DATABASE_URL']));
    url.username = role;
    url.password = 'x';
    const { find } = await doctor(world, { DATABASE_URL: url.href });
    expect(find('rights')).toMatchObject({ state: 'problem', detail: expect.stringContaining('INSERT on ') as string });
  });

  it('says before the first start that a role may not make the schemas, or not apply what is missing', async (context) => {
    const world = await open(context, { empty: true });
    const login = await createTestLogin(String(world.env['DATABASE_URL']), () => []);
    context.onTestFinished(() => login.drop());
    const before = await doctor(world, { DATABASE_URL: login.url });
    expect(before.find('migrations')).toMatchObject({
      state: 'problem',
      detail: `none applied, and the role ${login.role} may not make schemas in this database`,
      remedy: expect.stringContaining('grant create on database') as string,
    });
    succeeded(await world.run(['migrate']));
    await world.sql('delete from relate_mirror.__drizzle_migrations where id = (select max(id) from relate_mirror.__drizzle_migrations)');
    await world.sql(`grant usage on schema relate_mirror to ${login.role}`);
    await world.sql(`grant select on all tables in schema relate_mirror to ${login.role}`);
    const later = await doctor(world, { DATABASE_URL: login.url });
    expect(later.find('migrations')).toMatchObject({ state: 'problem', detail: expect.stringContaining('may not apply them') as string });
  });

  it('--restored stops the push until a person approves', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const ended = succeeded(await world.run(['doctor', '--restored', '--json']));
    const [line] = linesOf(ended.stdout);
    const [hold] = await world.sql(`select id::int from sync.holds where state = 'open' and cause = 'identity'`);
    expect(line).toMatchObject({ check: 'identity', state: 'warning' });
    expect(line?.remedy).toContain(`holds approve ${String(hold?.['id'])}`);
    expect((await doctor(world)).find('identity')?.state).toBe('problem');
  });
});
