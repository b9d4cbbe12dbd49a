/** The built program on a database that is not its own, or with another CRM_URL; and its search for edits that no trigger saw. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe, expect, it, type TestContext } from 'vitest';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import { openWorld, succeeded, TIMEOUT, TOKEN, until, type World } from './world.ts';

const CONTACTS = 12;
const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync'] as const;

const open = async ({ onTestFinished }: TestContext): Promise<World> => {
  const world = await openWorld({ seed: { contacts: CONTACTS } });
  onTestFinished(() => world.close());
  return world;
};
const result = (stdout: string): Record<string, unknown> => JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;

/** What no trigger sees. */
const uncaptured = async ({ sql }: World, statement: string): Promise<void> =>
  void (await sql(`alter table crm.contacts disable trigger user; ${statement}; alter table crm.contacts enable trigger user;
    alter table crm.contacts enable always trigger relate_mirror_capture_insert, enable always trigger relate_mirror_capture_update,
      enable always trigger relate_mirror_capture_delete`));

/** The world's database as it is now, under another name: a restored backup. */
const copyDatabase = async ({ env }: World, { onTestFinished }: TestContext) => {
  const url = new URL(env['DATABASE_URL'] ?? '');
  const [source, name] = [url.pathname.slice(1), `${url.pathname.slice(1)}_${randomBytes(3).toString('hex')}`];
  url.pathname = '/postgres';
  const server = new pg.Client({ connectionString: url.href });
  await server.connect();
  await server.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1', [source]);
  await server.query(`create database ${name} template ${source} strategy file_copy`);
  url.pathname = `/${name}`;
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await server.query(`drop database ${name} with (force)`);
    await server.end();
  });
  return { DATABASE_URL: url.href, sql: async (text: string) => (await client.query<Record<string, unknown>>(text)).rows };
};

describe('audit', TIMEOUT, () => {
  it('without a daemon queues what it finds, says how many, and the next sync pushes them', async (context) => {
    const world = await open(context);
    succeeded(await world.run(['sync']));
    const quiet = succeeded(await world.run(['audit']));
    expect(result(quiet.stdout)).toMatchObject({ kind: 'audit', state: 'done', rows_seen: CONTACTS, rows_written: 0, queue_depth: 0 });
    await uncaptured(world, `update crm.contacts set city = 'Restored' where id <= 3`);
    const found = succeeded(await world.run(['audit', '--json']));
    expect(result(found.stdout)).toMatchObject({ rows_seen: CONTACTS, rows_written: 3, queue_depth: 3, held: 0 });
    expect(found.stderr).not.toContain(TOKEN);
    succeeded(await world.run(['sync']));
    expect(world.account.contacts().filter(({ city }) => city === 'Restored')).toHaveLength(3);
    await world.inStep();
  });

  it('with a daemon is its work; what is gone without a deletion is held, and the exit code says so', async (context) => {
    const world = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    await uncaptured(world, `delete from crm.contacts where id = 1; update crm.contacts set city = 'Restored' where id = 2`);
    const { code, stdout } = await world.run(['audit']);
    expect(code).toBe(3);
    expect(result(stdout)).toMatchObject({ kind: 'audit', state: 'done', rows_written: 2, held: 1 });
    await until('the edit is pushed', () => world.account.contacts().some(({ city }) => city === 'Restored'));
    expect(world.account.contacts()).toHaveLength(CONTACTS);
    expect(await world.sql(`select sync.request_audit() > 0 as asked`)).toEqual([{ asked: true }]);
    await until(
      'the request is served',
      async () => (await world.sql(`select from sync.runs where kind = 'audit' and state = 'done'`)).length >= 3,
    );
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });
});

describe('a restored database', TIMEOUT, () => {
  it('is swept by the daemon and not pushed from; approved, the daemon goes on by itself', async (context) => {
    const world = await open(context);
    succeeded(await world.run(['sync']));
    // A plain start on the same database is nothing to tell of.
    succeeded(await world.run(['sync']));
    await world.sql(`update crm.contacts set city = 'Olten'`);
    const { DATABASE_URL, sql } = await copyDatabase(world, context);
    const daemon = world.start(['start'], { DATABASE_URL });
    const told = await daemon.logged('the hold', ({ identity }) => identity === 'changed');
    expect(String(told['msg'])).toContain('database oid');
    await until('swept', async () => (await sql('select sync.identity_swept() as swept'))[0]?.['swept'] === true);
    await until('audited', async () => (await sql(`select from sync.runs where kind = 'audit' and state = 'done'`)).length >= 2);
    expect(world.account.calls.count(...WRITES)).toBe(0);
    const status = await world.run(['status', '--json'], { DATABASE_URL });
    expect(status.code).toBe(3);
    expect(result(status.stdout)).toMatchObject({ identity_hold: told['hold'], queue_depth: CONTACTS });
    expect((await world.run(['status'], { DATABASE_URL })).stdout).toContain(
      `select reason from sync.holds where id = ${String(told['hold'])};`,
    );
    await sql(`select sync.approve(${String(told['hold'])})`);
    await until('pushed', () => world.account.contacts().every(({ city }) => city === 'Olten'));
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
  });
});

describe('another CRM_URL', TIMEOUT, () => {
  it('is refused by commands with a line that names both, and by the daemon with a log line, until the old one is back', async (context) => {
    const world = await open(context);
    succeeded(await world.run(['sync']));
    const account = createSandboxAccount();
    account.seed({ contacts: 3 });
    const other = await startSandbox({ account, token: TOKEN, ratePerMinute: 1_000_000 });
    context.onTestFinished(() => other.close());
    const refused = await world.run(['sync'], { CRM_URL: other.url });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(other.url);
    expect(refused.stderr).toContain(world.sandbox.url);
    const daemon = world.start(['start'], { CRM_URL: other.url });
    await daemon.logged('the hold', ({ identity }) => identity === 'other_account');
    expect((await world.run(['status'])).code).toBe(3);
    await world.sql(`update crm.contacts set city = 'Olten'`);
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(account.calls.count()).toBe(0);
    expect(await world.sql('select count(*)::int as contacts from crm.contacts')).toEqual([{ contacts: CONTACTS }]);
    succeeded(await world.run(['sync']));
    expect(world.account.contacts().every(({ city }) => city === 'Olten')).toBe(true);
    expect((await world.run(['status'])).code).toBe(0);
  });
});
