/** Behind PgBouncer in transaction mode: DATABASE_URL leads through it, DATABASE_LISTEN_URL past it. */
import pg from 'pg';
import { describe, expect, it, type TestContext } from 'vitest';
import { daemonGrants } from '../../src/postgres/sql/grants.ts';
import { createTestLogin } from '../login.ts';
import { findPgBouncer, startPgBouncer } from './pgbouncer.ts';
import { openWorld, succeeded, TIMEOUT, until } from './world.ts';

const binary = findPgBouncer();
if (binary === null) process.stderr.write('Skipped: PgBouncer is not installed (Debian: apt install pgbouncer).\n');

const open = async ({ onTestFinished }: TestContext) => {
  const world = await openWorld({ seed: { contacts: 100 } });
  const superuserUrl = world.env['DATABASE_URL'] ?? '';
  // What the daemon would ask for as it connects does not come through: it is the role's, as docs/operations.md says. The zone is there to do harm.
  const daemon = await createTestLogin(superuserUrl, (role) => [
    ...daemonGrants(role),
    `alter role ${role} set statement_timeout = '30s'`,
    `alter role ${role} set idle_in_transaction_session_timeout = '10s'`,
    `alter role ${role} set timezone = 'Asia/Kolkata'`,
  ]);
  const editor = await createTestLogin(superuserUrl, (role) => [`grant relate_mirror_editor to ${role}`]);
  const bouncer = await startPgBouncer(binary ?? '', [daemon.url, editor.url]);
  world.env['DATABASE_URL'] = bouncer.urlOf(daemon.url);
  world.env['DATABASE_LISTEN_URL'] = daemon.url;
  const people = new pg.Pool({ connectionString: bouncer.urlOf(editor.url), max: 20 });
  people.on('error', () => undefined);
  onTestFinished(async () => {
    await people.end();
    await bouncer.stop();
    for (const login of [daemon, editor]) await login.drop();
    await world.close();
  });
  return { ...world, people };
};

describe.skipIf(binary === null)('behind PgBouncer', TIMEOUT, () => {
  it('pulls, pushes, sweeps, and lets people wait for their own edits', async (context) => {
    const { people, ...world } = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    const { rows } = await people.query<{ id: string; crm_id: string }>('select id, crm_id from crm.contacts order by id limit 20');
    const states = await Promise.all(
      rows.map(async ({ id }) => {
        await people.query(`update crm.contacts set city = 'Zug' where id = $1`, [id]);
        // Which session is whose, nobody knows behind a pooler: the edit is asked for by its number.
        const { rows: waited } = await people.query<{ state: string | null }>(
          `select sync.wait(change_id, 20000) as state from sync.queue where contact_id = $1`,
          [id],
        );
        return waited[0]?.state ?? 'done';
      }),
    );
    expect(new Set(states)).toEqual(new Set(['done']));
    expect(rows.map(({ crm_id: crmId }) => world.account.contact(Number(crmId))?.city)).toEqual(rows.map(() => 'Zug'));

    world.account.update(Number(rows[0]?.crm_id), { job_title: 'Head' });
    await until('a pull', async () => (await people.query(`select from crm.contacts where job_title = 'Head'`)).rows.length === 1);
    await people.query(`insert into crm.contacts (first_name) select 'New ' || n from generate_series(1, 10) n`);
    await people.query(`delete from crm.contacts where id = $1`, [rows[1]?.id]);
    await world.inStep();
    const { rows: runs } = await people.query<{ id: string }>('select sync.request_resync(true) as id');
    await until(
      'the resync',
      async () => (await world.sql(`select from sync.runs where id = $1 and state = 'done'`, [runs[0]?.id])).length === 1,
    );
    for (const command of [['sync'], ['audit'], ['status'], ['resync']]) succeeded(await world.run(command));
    await world.inStep();
    daemon.kill('SIGTERM');
    const { stderr } = succeeded(await daemon.ended);
    expect(stderr.split('\n').filter((line) => /"level":"(error|warn)"/.test(line))).toEqual([]);
  });

  it('an edit is pushed at once, not by the poll: notifications come by the direct connection', async (context) => {
    const { people, ...world } = await open(context);
    world.env['PUSH_POLL_MS'] = '3600000';
    world.start(['start']);
    await world.inStep();
    await people.query(`update crm.contacts set city = 'Uri'`);
    const left = () => world.account.contacts().filter(({ city }) => city !== 'Uri').length;
    await until('the edits in the CRM', () => left() === 0);
    expect(left()).toBe(0);
  });
});
