/** What a person tells the mirror on the command line: pause, resume, retry, and the status as it changes. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, type TestContext } from 'vitest';
import { buildProgram } from './built-program.ts';
import { openWorld, succeeded, TIMEOUT, until, type World, type WorldOptions } from './world.ts';

/** Of util-linux: it gives a command a terminal. */
const hasScript = spawnSync('script', ['--version']).status === 0;

const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 6 }, ...options });
  onTestFinished(() => world.close());
  return world;
};
const json = (stdout: string): unknown => JSON.parse(stdout.trim());

/** The e-mail address of somebody else: the CRM refuses it. Answers the change's number. */
const park = async ({ run, sql }: World): Promise<number> => {
  await sql(`update crm.contacts set email = (select email from crm.contacts where email is not null order by id desc limit 1)
             where id = (select min(id) from crm.contacts)`);
  expect((await run(['sync'])).code).toBe(3);
  const [row] = await sql('select change_id from sync.parked');
  return Number(row?.['change_id']);
};

describe('pause and resume', TIMEOUT, () => {
  it('hold for a running daemon and for commands, and can be said twice', async (context) => {
    const world = await open(context);
    world.start(['start']);
    await world.inStep();
    expect(json(succeeded(await world.run(['pause', '--json'])).stdout)).toEqual({ paused: true });
    expect((await world.run(['pause'])).stdout).toMatch(/^Paused: /);
    await world.sql(`update crm.contacts set city = 'Olten'`);
    expect((await world.run(['status'])).stdout).toMatch(/^in step +no: paused; to go on: relate-mirror resume\n/);
    expect(world.account.contacts().some(({ city }) => city === 'Olten')).toBe(false);
    expect(json(succeeded(await world.run(['resume', '--json'])).stdout)).toEqual({ paused: false });
    await world.inStep();
    expect(world.account.contacts().every(({ city }) => city === 'Olten')).toBe(true);
    expect((await world.run(['resume'])).stdout).toMatch(/^Resumed: /);
  });
});

describe('retry', TIMEOUT, () => {
  it('has one parked edit, or all, tried again; says what it did not find', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const change = await park(world);
    const state = async () => (await world.sql('select state from sync.change_log where id = $1', [change]))[0]?.['state'];

    const some = await world.run(['retry', String(change), '999']);
    expect(some).toMatchObject({ code: 1, stdout: `Change ${change}: pending, it is tried again now\n` });
    expect(some.stderr).toBe('Nothing was done about change 999: there is no change 999.\n');
    expect(await state()).toBe('pending');

    await world.run(['sync']);
    expect(await state()).toBe('parked');
    expect(json(succeeded(await world.run(['retry', '--all', '--json'])).stdout)).toEqual({ retried: 1 });
    expect(await state()).toBe('pending');
    const told = await world.run(['retry', '--json', '999']);
    expect(told.code).toBe(1);
    expect(json(told.stdout)).toEqual({ change_id: 999, state: null, error: 'there is no change 999' });
  });

  it('wants numbers or --all, and not both: exit code 2', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const change = await park(world);
    for (const args of [['retry'], ['retry', '--all', String(change)], ['retry', '0'], ['retry', 'all']])
      expect(await world.run(args)).toMatchObject({ code: 2, stdout: '' });
    expect(await world.sql('select state from sync.change_log where id = $1', [change])).toEqual([{ state: 'parked' }]);
  });
});

describe('status --watch', TIMEOUT, () => {
  it('tells each second how it is, waits for a database that is away, and ends with 0 on SIGINT', async (context) => {
    const world = await open(context);
    await world.run(['sync']);
    const watch = world.start(['status', '--watch']);
    const lines = () =>
      watch
        .output()
        .stdout.trim()
        .split('\n')
        .filter((line) => line !== '');
    await until('the first line', () => lines().length > 0);
    expect(json(lines()[0] ?? '')).toMatchObject({ contacts: 6, queue_depth: 0, paused: false });
    await world.run(['pause']);
    await until('the pause', () => lines().some((line) => (json(line) as { paused: boolean }).paused));
    // As a restart of the server does.
    await world.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    );
    const before = lines().length;
    await until('more lines', () => lines().length > before + 1);
    watch.kill('SIGINT');
    expect((await watch.ended).code).toBe(0);
  });

  it.skipIf(!hasScript)(
    'on a terminal that does not know its size writes what changed, and in a low one keeps the verdict',
    async (context) => {
      const world = await open(context);
      await world.run(['sync']);
      const watch = async (size: string, shown: (text: string) => boolean): Promise<string> => {
        const { cli } = await buildProgram();
        const command = `${size === '' ? '' : `stty ${size}; `}exec '${process.execPath}' '${cli}' status --watch`;
        const child = spawn('script', ['-qfec', command, '/dev/null'], {
          env: { ...world.env, TERM: 'xterm' },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let text = '';
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        const ended = once(child, 'close');
        try {
          await until('the status', () => shown(stripVTControlCharacters(text)));
        } finally {
          child.kill('SIGTERM');
          await ended;
        }
        return stripVTControlCharacters(text);
      };
      expect(await watch('rows 0 cols 0', (text) => text.includes('all compared'))).toMatch(/in step +it was/);
      const low = await watch('rows 5 cols 80', (text) => text.includes('in a higher window'));
      expect(low).toMatch(/in step +it was/);
      expect(low).not.toContain('all compared');
    },
  );

  it('ends where there is no database at the start', async (context) => {
    const world = await open(context);
    const gone = await world.run(['status', '--watch'], { DATABASE_URL: 'postgres://someone:secret@127.0.0.1:1/nothing' });
    expect(gone).toMatchObject({ code: 1, stdout: '' });
  });
});
