/** What a person is asked, and answers, on the command line: holds and conflicts. */
import { describe, expect, it, type TestContext } from 'vitest';
import { createTestLogin } from '../login.ts';
import { openWorld, succeeded, TIMEOUT, until, type World } from './world.ts';

const CONTACTS = 12;
const open = async ({ onTestFinished }: TestContext): Promise<World> => {
  const world = await openWorld({ seed: { contacts: CONTACTS }, env: { BRAKE_ROWS: '2', CONFLICT_POLICY: 'manual' } });
  onTestFinished(() => world.close());
  await world.run(['sync']);
  for (const { id } of world.account.contacts()) world.account.update(id, { city: 'Secret City' });
  succeeded(await world.run(['sync']));
  return world;
};
const openHold = async ({ sql }: World): Promise<string> =>
  String((await sql(`select id from sync.holds where state = 'open'`))[0]?.['id']);

describe('holds', TIMEOUT, () => {
  it('shows what is held, without a value, and lets it through or undoes it, without a daemon', async (context) => {
    const world = await open(context);
    expect(await world.run(['holds'])).toMatchObject({ code: 0, stdout: '', stderr: 'Nothing is held.\n' });
    await world.sql('update crm.contacts set city = null');
    expect((await world.run(['sync'])).code).toBe(3);

    const first = await openHold(world);
    const shown = await world.run(['holds']);
    expect(shown.code).toBe(3);
    expect(shown.stdout).toMatch(new RegExp(`^Hold ${first}: 12 contacts, from the mirror into the CRM, since `));
    expect(shown.stdout).toMatch(/contact \d+ \(CRM \d+\) +update +empties city\n/);
    expect(shown.stdout).toContain('and 2 more');
    expect(shown.stdout).toContain(`relate-mirror holds approve ${first}`);
    expect(shown.stdout).not.toContain('Secret');
    const json = JSON.parse((await world.run(['holds', '--json'])).stdout) as Record<string, unknown>;
    expect(json).toMatchObject({ id: Number(first), direction: 'push', rows: CONTACTS, counts: { update: CONTACTS } });
    expect(json['first']).toHaveLength(10);

    expect(await world.run(['holds', 'reject', first])).toMatchObject({ code: 0, stderr: `Hold ${first} is rejected.\n` });
    succeeded(await world.run(['sync']));
    expect(world.account.contacts().every(({ city }) => city === 'Secret City')).toBe(true);

    await world.sql('update crm.contacts set city = null');
    await world.run(['sync']);
    expect((await world.run(['holds', 'approve', await openHold(world)])).code).toBe(0);
    succeeded(await world.run(['sync']));
    expect(world.account.contacts().every(({ city }) => city === null)).toBe(true);
    await world.inStep();
  });

  it('a decision is carried out by the daemon that runs', async (context) => {
    const world = await open(context);
    world.start(['start']);
    await until('a leader', async () => (await world.sql('select from sync.status where leader is not null')).length > 0);
    await world.sql('delete from crm.contacts');
    await until('the hold', async () => (await world.sql(`select from sync.holds where state = 'open' and rows = ${CONTACTS}`)).length > 0);
    expect(world.account.calls.count('delete')).toBe(0);
    expect((await world.run(['holds', 'approve', await openHold(world)])).code).toBe(0);
    await until('the deletions', () => world.account.contacts().length === 0);
  });

  it('an unknown or decided number is one clear line and exit code 1, wrong usage exit code 2', async (context) => {
    const world = await open(context);
    expect(await world.run(['holds', 'approve', '77'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Nothing was decided: there is no hold 77.\n',
    });
    await world.sql(`insert into sync.holds (direction, reason, rows, plan, state) values ('push', 'old', 0, '[]', 'rejected')`);
    expect((await world.run(['holds', 'reject', '1'])).stderr).toBe('Nothing was decided: hold 1 was rejected already.\n');
    for (const args of [
      ['holds', 'approve'],
      ['holds', 'approve', 'x'],
      ['holds', 'approve', '1', '2'],
      ['holds', 'forget', '1'],
    ]) {
      expect({ args, code: (await world.run(args)).code }).toEqual({ args, code: 2 });
    }
  });
});

describe('conflicts', TIMEOUT, () => {
  const fight = async (world: World, round: string): Promise<string> => {
    const [contact] = world.account.contacts();
    await world.sql('update crm.contacts set city = $2 where crm_id = $1', [contact?.id, `Here ${round}`]);
    world.account.update(contact?.id ?? 0, { city: `There ${round}` });
    expect((await world.run(['sync'])).code).toBe(3);
    return String((await world.sql(`select id from sync.conflicts where state = 'open'`))[0]?.['id']);
  };

  it('are shown with both values, and decided for one side or a value of one’s own', async (context) => {
    const world = await open(context);
    expect(await world.run(['conflicts'])).toMatchObject({ code: 0, stdout: '', stderr: 'No conflict is open.\n' });
    const decisions = [
      ['crm', 'There crm'],
      ['mirror', 'Here mirror'],
      ['"Bern"', 'Bern'],
    ] as const;
    for (const [choice, city] of decisions) {
      const id = await fight(world, choice);
      const shown = await world.run(['conflicts']);
      expect(shown.code).toBe(3);
      expect(shown.stdout).toMatch(
        new RegExp(`^Conflict ${id}: city of contact \\d+ \\(CRM \\d+\\)\n  mirror  "Here .*"\n  CRM     "There .*"\n`),
      );
      expect(JSON.parse((await world.run(['conflicts', '--json'])).stdout)).toMatchObject({
        id: Number(id),
        field: 'city',
        local: `Here ${choice}`,
      });
      expect((await world.run(['conflicts', 'resolve', id, choice])).code).toBe(0);
      succeeded(await world.run(['sync']));
      expect(world.account.contacts()[0]?.city).toBe(city);
    }
    await world.inStep();
  });

  it('are shown to an editor and decided by one, who sees none of the daemon’s own tables', async (context) => {
    const world = await open(context);
    const login = await createTestLogin(String(world.env['DATABASE_URL']), (role) => [`grant relate_mirror_editor to ${role}`]);
    context.onTestFinished(() => login.drop());
    const asEditor = { DATABASE_URL: login.url };
    const id = await fight(world, 'editor');
    const shown = await world.run(['conflicts', '--json'], asEditor);
    expect(shown).toMatchObject({ code: 3, stderr: '' });
    expect(JSON.parse(shown.stdout)).toMatchObject({ id: Number(id), crm_id: world.account.contacts()[0]?.id });
    for (const command of ['status', 'holds']) expect((await world.run([command], asEditor)).stderr).not.toContain('lacks a right');
    succeeded(await world.run(['conflicts', 'resolve', id, 'crm'], asEditor));
  });

  it('an unknown number is one clear line and exit code 1, wrong usage exit code 2', async (context) => {
    const world = await open(context);
    expect(await world.run(['conflicts', 'resolve', '77', 'crm'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Nothing was decided: there is no conflict 77.\n',
    });
    for (const args of [
      ['conflicts', 'resolve', '77'],
      ['conflicts', 'resolve', 'x', 'crm'],
      ['conflicts', 'resolve', '77', 'Bern'],
    ]) {
      expect({ args, code: (await world.run(args)).code }).toEqual({ args, code: 2 });
    }
  });
});
