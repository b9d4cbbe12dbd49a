/** The commands as people and scripts meet them: what they print where, and how they exit. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { openWorld, succeeded, TIMEOUT, TOKEN, until, type World, type WorldOptions } from './world.ts';

const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 12 }, ...options });
  onTestFinished(() => world.close());
  return world;
};

/** The last line of standard output, which is JSON off a terminal. */
const result = (stdout: string): unknown => JSON.parse(stdout.trim().split('\n').at(-1) ?? '');

const park = async ({ sql }: World): Promise<void> => {
  // Somebody else's e-mail address: the CRM refuses it.
  await sql(`update crm.contacts set email = (select email from crm.contacts where email is not null order by id desc limit 1)
             where id = (select min(id) from crm.contacts)`);
};

describe('without a daemon', TIMEOUT, () => {
  it('sync loads an empty database, pushes what waits, and changes nothing when run again', async (context) => {
    const world = await open(context, { empty: true });
    const first = succeeded(await world.run(['sync']));
    expect(result(first.stdout)).toMatchObject({ kind: 'sync', state: 'done', contacts: 12, queue_depth: 0, error: null });
    expect(result(first.stdout)).toMatchObject({ rows_seen: 12, rows_written: 12, pushed: 0 });
    await world.inStep();

    await world.sql(`update crm.contacts set city = 'Olten'`);
    const second = succeeded(await world.run(['sync']));
    expect(result(second.stdout)).toMatchObject({ rows_written: 0, pushed: 12 });
    expect(world.account.contacts().every(({ city }) => city === 'Olten')).toBe(true);

    const writes = () => world.account.calls.count('create', 'update', 'delete', 'attach', 'detach', 'sync');
    const before = writes();
    expect((await world.run(['sync'])).code).toBe(0);
    expect(writes()).toBe(before);
  });

  it('sync sends the net effect of the edits, and with WRITE_MODE=ordered each of them', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    for (const [mode, edits, told] of [
      ['merged', ['Olten', 'Chur'], ['Chur']],
      ['ordered', ['Bern', 'Genf'], ['Bern', 'Genf']],
    ] as const) {
      for (const city of edits) await world.sql('update crm.contacts set city = $1 where id = 1', [city]);
      world.account.calls.clear();
      succeeded(await world.run(['sync'], { WRITE_MODE: mode }));
      const updates = world.account.calls.calls.filter(({ call }) => call === 'update');
      expect(updates.map(({ body }) => body)).toEqual(told.map((city) => ({ city })));
    }
    await world.inStep();
  });

  it('sync exits with 3 while something is parked, and status says where to look', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    await park(world);
    const sync = await world.run(['sync']);
    expect(sync.code).toBe(3);
    expect(result(sync.stdout)).toMatchObject({ state: 'done', parked: 1 });
    const status = await world.run(['status']);
    expect(status.code).toBe(3);
    expect(status.stdout).toContain('1 parked');
    expect(status.stdout).toContain('select * from sync.parked;');
  });

  it('resync repairs what no change told of, and shows how it goes in lines of JSON', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    await world.sql(`begin; set local session_replication_role = replica; delete from crm.contact_deals; commit`);
    const resync = succeeded(await world.run(['resync', '--links']));
    expect(result(resync.stdout)).toMatchObject({ kind: 'resync', state: 'done', complete: true, rows_seen: 12, links_left: 0 });
    for (const line of resync.stderr.trim().split('\n')) expect(JSON.parse(line)).toBeTypeOf('object');
  });

  it('resync --no-wait only asks, and the next run does it', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const asked = await world.run(['resync', '--no-wait']);
    expect(asked.code).toBe(0);
    const { run_id: id } = result(asked.stdout) as { run_id: number };
    expect(await world.sql('select kind, state from sync.runs where id = $1', [id])).toEqual([{ kind: 'resync', state: 'requested' }]);
    await world.run(['sync']);
    expect(await world.sql('select state from sync.runs where id = $1', [id])).toEqual([{ state: 'done' }]);
  });

  it('sync ends what is in flight at SIGTERM, exits with 0, and the next one goes on', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    await world.sql(`update crm.contacts set city = 'Wil'`);
    const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const unhook = world.sandbox.onRequest(async ({ call }) => {
      if (call !== 'update') return;
      arrived.resolve();
      await released.promise;
    });
    const sync = world.start(['sync']);
    await arrived.promise;
    sync.kill('SIGTERM');
    // The command looks again at once, and says so, while its calls are still under way.
    unhook();
    setImmediate(released.resolve);
    const { stderr } = succeeded(await sync.ended);
    expect(stderr).toContain('Stopped.');
    expect(await world.sql(`select from sync.change_log where state in ('sending', 'unknown')`)).toEqual([]);
    expect(await world.sql(`select from sync.change_log where state = 'done'`)).not.toEqual([]);
    expect((await world.run(['sync'])).code).toBe(0);
    await world.inStep();
  });

  it('a refused token is a readable line and exit code 1, and the token stands nowhere', async (context) => {
    const world = await open(context);
    world.sandbox.setToken('another');
    const sync = await world.run(['sync'], { LOG_LEVEL: 'error' });
    expect(sync.code).toBe(1);
    expect(sync.stderr.trim()).toBe('The sync failed: unauthorized. The CRM answered 401: the token is wrong or was revoked.');
    const search = await world.run(['search', 'x'], { LOG_LEVEL: 'debug' });
    expect(search.code).toBe(1);
    expect(search.stderr).toContain('The search failed: unauthorized. The CRM answered 401');
    for (const { stdout, stderr } of [sync, search]) expect(stdout + stderr).not.toContain(TOKEN);
  });

  it('a paused mirror is left alone, and sync says so', async (context) => {
    const world = await open(context);
    await world.sql('select sync.pause()');
    const before = world.account.calls.count();
    const { code, stderr } = await world.run(['sync']);
    expect(code).toBe(1);
    expect(stderr).toContain('The mirror is paused');
    expect(world.account.calls.count()).toBe(before);
  });

  it('migrate makes the schemas once', async (context) => {
    const world = await open(context, { empty: true });
    const before = await world.run(['status']);
    expect(before).toMatchObject({ code: 1, stdout: '' });
    expect(before.stderr).toContain('This database holds no mirror yet');
    expect((await world.run(['migrate'])).stdout).toMatch(/^Applied (\d+) of \1 migrations\.\n$/);
    expect((await world.run(['migrate'])).stdout).toMatch(/^Nothing to migrate \(\d+ applied\)\.\n$/);
  });
});

describe('with a daemon', TIMEOUT, () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ seed: { contacts: 12 } });
    world.start(['start']);
    await world.inStep();
  });
  afterAll(() => world.close());

  it('sync goes through it', async () => {
    world.account.update(world.account.contacts()[0]?.id ?? 0, { city: 'Aarau' });
    succeeded(await world.run(['sync']));
    expect(await world.sql(`select from crm.contacts where city = 'Aarau'`)).toHaveLength(1);
    const epochs = await world.sql(`select r.epoch = l.epoch as by_daemon from sync.runs r, sync.leader l where r.kind = 'sync'`);
    expect(epochs).toEqual([{ by_daemon: true }]);
  });

  it('resync and resync --links go through it', async () => {
    for (const args of [['resync'], ['resync', '--links']]) {
      const resync = succeeded(await world.run(args));
      expect(result(resync.stdout)).toMatchObject({ kind: 'resync', state: 'done', complete: true, rows_seen: 12, links_left: 0 });
    }
    const epochs = await world.sql(`select r.epoch = l.epoch as by_daemon from sync.runs r, sync.leader l where r.kind = 'resync'`);
    expect(epochs).toEqual([{ by_daemon: true }, { by_daemon: true }]);
  });

  it('resync --no-wait returns the number of the run, which the daemon then does', async () => {
    const { run_id: id } = result((await world.run(['resync', '--no-wait'])).stdout) as { run_id: number };
    const rows = async () => await world.sql(`select kind from sync.runs where id = $1 and state = 'done'`, [id]);
    await until('the run', async () => (await rows()).length > 0);
    expect(await rows()).toEqual([{ kind: 'resync' }]);
  });

  it('status says that both sides are in step, in words and as JSON', async () => {
    const status = await world.run(['status']);
    expect(status.code).toBe(0);
    expect(status.stdout).toMatch(/^in step +yes\n/);
    expect(status.stdout).toMatch(/\ncontacts +12\n/);
    const json = result((await world.run(['status', '--json'])).stdout);
    const [row] = await world.sql('select * from sync.status');
    expect(Object.keys(json as object).toSorted()).toEqual(Object.keys(row ?? {}).toSorted());
    expect(json).toMatchObject({ contacts: 12, queue_depth: 0, paused: false, first_sweep_done: true, leader: row?.['leader'] });
  });

  it('search shows what the CRM finds, as a table and as JSON', async () => {
    const phones = [{ number: '+44 20 7946 0018' }, { number: '+44 20 7946 0019' }];
    world.account.create({ first_name: 'Ada\u001b[31m', last_name: 'Lovelace', email: 'ada@example.com', phones });
    const table = await world.run(['search', 'lovelace']);
    expect(table.code).toBe(0);
    // Nothing that a terminal would obey gets through.
    expect(table.stdout).toMatch(
      /^crm_id +name +email +phone\n─+.*\n\d+ +Ada \[31m Lovelace +ada@example\.com +\+44 20 7946 0018 \(\+1\)\n$/,
    );
    expect(table.stderr).toContain('1 match.');
    expect(result((await world.run(['search', '--json', 'lovelace'])).stdout)).toMatchObject({ last_name: 'Lovelace', phones });
    expect(await world.run(['search', 'nobody at all'])).toMatchObject({ code: 0, stdout: '' });
  });
});

describe('usage and settings', TIMEOUT, () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ empty: true });
  });
  afterAll(() => world.close());

  it('bad settings are exit code 2 for every command: one line each with name, value and what is allowed, and no secret', async () => {
    const bad = {
      CRM_TIMEOUT_MS: 'soon',
      CONFLICT_POLICY: 'oldest',
      CRM_TOKEN: 'a secret token',
      DATABASE_URL: 'mysql://u:secret@h/d',
      CRM_URL: '',
    };
    const commands = [['start'], ['migrate'], ['sync'], ['resync'], ['status'], ['search', 'x']];
    for (const { code, stdout, stderr } of await Promise.all(commands.map((args) => world.run(args, bad)))) {
      expect(code).toBe(2);
      expect(stdout).toBe('');
      expect(stderr.trim().split('\n')).toEqual([
        'CRM_URL: is required: an https address that ends in /api, without user, password or query (http: see CRM_ALLOW_HTTP)',
        'CRM_TOKEN: allowed: the token alone, without spaces, quotes around it or the word Bearer',
        expect.stringMatching(/^DATABASE_URL: allowed: postgres:\/\//),
        'CRM_TIMEOUT_MS="soon": allowed: a whole number of milliseconds from 10 to 600000',
        'CONFLICT_POLICY="oldest": allowed: newest, crm, mirror, manual',
      ]);
    }
  });

  it('an unknown command, option or a missing argument is exit code 2', async () => {
    const ended = await Promise.all([['synchronise'], ['sync', '--fast'], ['search'], []].map((args) => world.run(args)));
    expect(ended.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  });

  it('a database that cannot be reached is a readable line and exit code 1', async () => {
    const nobody = await world.run(['status'], { DATABASE_URL: 'postgres://someone:secret@127.0.0.1:1/nothing' });
    expect(nobody).toMatchObject({ code: 1, stdout: '' });
    expect(nobody.stderr).toMatch(/^Postgres cannot be reached: .*DATABASE_URL.*\(ECONNREFUSED\)\n$/);
    const missing = await world.run(['sync'], { DATABASE_URL: String(world.env['DATABASE_URL']).replace(/\/[^/]*$/, '/no_such_database') });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('The database that DATABASE_URL names does not exist');
  });

  it('--version is that of the package', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await world.run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it('every command has a page of help with examples', async () => {
    const all = await world.run(['--help']);
    expect(all.code).toBe(0);
    const commands = [...all.stdout.matchAll(/^ {2}([a-z]+) .*\S/gm)].map(([, name]) => name).filter((name) => name !== 'help');
    expect(commands).toEqual(expect.arrayContaining(['start', 'migrate', 'sync', 'resync', 'status', 'search', 'demo']));
    const pages = await Promise.all(commands.map(async (name) => ({ name, ...(await world.run([String(name), '--help'])) })));
    for (const { name, code, stdout } of pages) {
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: relate-mirror ${name}`);
      expect(stdout).toContain('Examples:');
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    }
  });
});
