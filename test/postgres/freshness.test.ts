/** bi.freshness: what an analyst is told of how true the data is, in each situation that the sync knows. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, asDaemon, connect } from './editing.ts';

interface Told {
  readonly direction: string;
  readonly true_as_of: Date | null;
  readonly lag_seconds: number | null;
  readonly complete: boolean;
  readonly waiting: number;
  readonly explanation: string;
}

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const PULLED = new Date('2026-03-01T10:00:00.250Z');
const COMPLETE_PULL =
  'Complete: every change that the CRM made before this moment is here; deletions up to the last complete sweep, 2026-03-01 03:15 UTC.';
const COMPLETE_PUSH = 'Complete: every edit that was made here before this moment is in the CRM.';

/** A mirror in step, with one contact that the CRM has. */
beforeEach(async () => {
  await asDaemon(
    client,
    'delete from sync.change_log',
    'delete from sync.contact_state',
    'delete from sync.holds',
    'delete from sync.refused',
    'delete from sync.marks',
    'delete from sync.capabilities',
    'delete from crm.contacts',
    `insert into crm.contacts (crm_id, first_name) values (7, 'Ann')`,
    `insert into sync.contact_state (contact_id, crm_id, base, base_hash) select id, crm_id, '{}', 'h' from crm.contacts`,
    `update sync.account set first_sweep_at = '2026-03-01 03:15Z', last_complete_sweep_at = '2026-03-01 03:15Z', paused_at = null`,
  );
  await client.query(
    `update sync.leader set holder = 'a', expires_at = clock_timestamp() + interval '1 hour', last_pull_at = $1,
    pull_due_at = null, crm_error_code = null`,
    [PULLED],
  );
});

const told = async (direction: 'pull' | 'push'): Promise<Told> => {
  const { rows } = await client.query<Told>('select * from bi.freshness where direction = $1', [direction]);
  expect(rows).toHaveLength(1);
  return rows[0] as Told;
};

it('in step: both directions are complete, as of the last pull and as of now', async () => {
  const [pull, push] = [await told('pull'), await told('push')];
  expect(pull).toMatchObject({ complete: true, waiting: 0, explanation: COMPLETE_PULL, true_as_of: PULLED });
  const [row] = (await client.query<{ lag: number }>('select pull_lag_seconds as lag from sync.status')).rows;
  expect(pull.lag_seconds).toBeGreaterThan(1000);
  expect(pull.lag_seconds).toBeLessThanOrEqual(row?.lag ?? 0);
  expect(push).toMatchObject({ complete: true, waiting: 0, lag_seconds: 0, explanation: COMPLETE_PUSH });
  expect((await client.query(`select from bi.freshness where true_as_of between now() - interval '1 minute' and now()`)).rowCount).toBe(1);
});

it('deletions are as fresh as the rest where the CRM shows its trash', async () => {
  await client.query(`insert into sync.capabilities (name, value) values ('trash', 'true')`);
  expect((await told('pull')).explanation).toBe('Complete: every change that the CRM made before this moment is here.');
});

it('an unfinished first load: contacts are missing, whatever was pulled', async () => {
  await client.query('update sync.account set first_sweep_at = null, last_complete_sweep_at = null');
  expect(await told('pull')).toMatchObject({ complete: false, explanation: 'The first load is not finished: contacts are missing.' });
});

it('nothing pulled since the load', async () => {
  await client.query('update sync.leader set last_pull_at = null');
  expect(await told('pull')).toMatchObject({ complete: false, true_as_of: null, lag_seconds: null });
});

it('what waits in each direction is counted, and told by its kind', async () => {
  await asDaemon(
    client,
    `insert into sync.refused (crm_id, error_code, error) values (8, 'unreadable', 'ann@example.com')`,
    `insert into sync.marks (crm_id, reason) values (7, 'deferred'), (7, 'links'), (9, 'activities'), (9, 'links')`,
    `insert into sync.holds (direction, reason, rows, plan) values ('pull', 'many', 1, '[]'), ('push', 'many', 1, '[]')`,
    `update sync.contact_state set hold_id = (select id from sync.holds where direction = 'pull'), gone_at = now()`,
  );
  expect(await told('pull')).toMatchObject({
    complete: false,
    waiting: 5,
    explanation:
      'Records of the CRM that could not be read or stored: 1 (sync.parked). Removals that wait for an approval: 1 (sync.holds). ' +
      'Contacts that are read once more: 1. Contacts whose links are not read yet: 2.',
  });
  expect(await told('push')).toMatchObject({ complete: true, explanation: COMPLETE_PUSH });

  await client.query('delete from sync.change_log');
  for (const state of ['pending', 'retry', 'parked', 'held'] as const) {
    await addContact(client, state);
    await client.query(
      `update sync.change_log set state = $1, hold_id = case $1 when 'held' then (select id from sync.holds where direction = 'push') end,
        changed_at = changed_at - interval '1 hour' where new_values ->> 'first_name' = $1`,
      [state],
    );
  }
  const push = await told('push');
  expect(push).toMatchObject({
    complete: false,
    waiting: 4,
    explanation:
      'Edits on their way to the CRM: 2. Edits that the CRM refuses, and a person has to look at: 1 (sync.parked). ' +
      'Edits that wait for an approval: 1 (sync.holds).',
  });
  expect(push.lag_seconds).toBeGreaterThan(3599);
  const [oldest] = (await client.query(`select min(changed_at) as at from sync.change_log where state in ('pending', 'retry')`)).rows as {
    at: Date;
  }[];
  expect(push.true_as_of).toEqual(oldest?.at);
  expect((await told('pull')).waiting).toBe(5);
});

it('a pause, no daemon, a CRM that does not answer and a late pull are told beside it, and make nothing incomplete', async () => {
  await client.query('update sync.account set paused_at = now()');
  expect(await told('pull')).toMatchObject({ complete: true, explanation: `${COMPLETE_PULL} Syncing is paused.` });
  expect((await told('push')).explanation).toBe(`${COMPLETE_PUSH} Syncing is paused.`);
  await client.query(`update sync.account set paused_at = null; update sync.leader set expires_at = now() - interval '1 minute'`);
  expect((await told('pull')).explanation).toBe(`${COMPLETE_PULL} No daemon is at work.`);
  await client.query(`update sync.leader set expires_at = now() + interval '1 hour', crm_error_code = 'unreachable', crm_seen_at = now(),
    pull_due_at = now() - interval '10 minutes'`);
  expect((await told('pull')).explanation).toBe(
    `${COMPLETE_PULL} The CRM does not answer as it should (unreachable). A pull has been due for over five minutes.`,
  );
});

it('a database or a CRM that may be another one: nothing is complete before a person has decided', async () => {
  await client.query(`insert into sync.holds (direction, reason, rows, plan, cause) values ('pull', 'other', 0, '[]', 'identity')`);
  expect(await told('pull')).toMatchObject({ complete: false, explanation: expect.stringMatching(/^A person has to decide/) as string });
  expect((await told('push')).explanation).toMatch(/Nothing is sent until a person has decided/);
});
