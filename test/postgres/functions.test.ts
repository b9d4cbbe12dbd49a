/** What people do and see from SQL: requests, retries, holds, waiting, and the views. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, asDaemon, connect, one, refusal } from './editing.ts';

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
beforeEach(async () => {
  await client.query('delete from crm.contacts');
  await client.query(
    'truncate sync.change_log, sync.contact_state, sync.holds, sync.marks, sync.refused, sync.conflicts, sync.runs cascade',
  );
  // It points at a hold, and went with the holds.
  await client.query('insert into sync.account default values on conflict do nothing');
});
afterEach(async () => void (await client.query('rollback')));

const latest = () => one<number>(client, 'select max(id) as value from sync.change_log');
const setState = async (change: number, state: string): Promise<void> =>
  void (await client.query(
    `update sync.change_log set state = $2, attempts = 3, next_attempt_at = null, error_code = 'invalid', error = 'said so',
       settled_at = case when $2 in ('done', 'merged') then now() end where id = $1`,
    [change, state],
  ));
/** A contact that both sides agree on. */
const addSynced = async (crmId: number, columns = ''): Promise<number> => {
  const base = `'{"first_name": "Ann", "city": "Rome", "phones": [], "custom_fields": {"cf_a": 1}}'`;
  await asDaemon(
    client,
    `insert into crm.contacts (crm_id, first_name, city, custom_fields) values (${crmId}, 'Ann', 'Rome', '{"cf_a": 1}') ${columns}`,
    `insert into sync.contact_state (contact_id, crm_id, base, base_hash) select id, crm_id, ${base}, 'h' from crm.contacts where crm_id = ${crmId}`,
  );
  return one(client, `select id as value from crm.contacts where crm_id = ${crmId}`);
};
const statusOf = (contact: number) =>
  one<string>(client, 'select state as value from sync.contact_status where contact_id = $1', [contact]);
const contactOf = async (contact: number): Promise<{ city: string | null; custom_fields: unknown } | undefined> =>
  (
    await client.query<{ city: string | null; custom_fields: unknown }>('select city, custom_fields from crm.contacts where id = $1', [
      contact,
    ])
  ).rows[0];

describe('request_resync', () => {
  it('answers the same run to all who ask while it is asked for or running', async () => {
    const first = await one(client, 'select sync.request_resync() as value');
    expect(await one(client, 'select sync.request_resync() as value')).toBe(first);
    await client.query(`update sync.runs set state = 'running'`);
    expect(await one(client, 'select sync.request_resync() as value')).toBe(first);
    await client.query(`update sync.runs set state = 'done'`);
    expect(await one(client, 'select sync.request_resync() as value')).not.toBe(first);
    expect(await one(client, 'select sync.request_sync() as value')).not.toBe(first);
  });

  it('with links raises a waiting request, but is not content with a run without', async () => {
    const first = await one(client, 'select sync.request_resync() as value');
    expect(await one(client, 'select sync.request_resync(true) as value')).toBe(first);
    expect(await one(client, 'select with_links as value from sync.runs')).toBe(true);
    await client.query(`update sync.runs set state = 'running', with_links = false`);
    expect(await one(client, 'select sync.request_resync(true) as value')).not.toBe(first);
  });

  it('wakes the daemon, and gives two who ask at the same moment one run', async () => {
    const other = await connect(database.url);
    const heard: string[] = [];
    other.on('notification', ({ channel }) => heard.push(channel));
    await other.query('listen relate_mirror_request');
    await client.query('begin');
    const first = await one(client, 'select sync.request_resync() as value');
    const second = one(other, 'select sync.request_resync() as value');
    await client.query('commit');
    expect(await second).toBe(first);
    await other.query('select 1');
    expect(heard).toContain('relate_mirror_request');
    await other.end();
  });
});

it('pause keeps its first time, resume ends it; both show in status', async () => {
  const paused = () => one(client, 'select paused as value from sync.status');
  await client.query('select sync.pause()');
  const since = await one<Date>(client, 'select paused_at as value from sync.account');
  await client.query('select sync.pause()');
  expect(await one(client, 'select paused_at as value from sync.account')).toEqual(since);
  expect(await paused()).toBe(true);
  await client.query('select sync.resume()');
  expect(await paused()).toBe(false);
});

describe('retry', () => {
  it('makes a parked change due now, leaves a settled one, and refuses a held or unknown one', async () => {
    await addContact(client);
    const change = await latest();
    await setState(change, 'parked');
    expect(await one(client, 'select sync.retry($1) as value', [change])).toBe('pending');
    expect((await client.query('select state, attempts, next_attempt_at <= clock_timestamp() as due from sync.change_log')).rows).toEqual([
      { state: 'pending', attempts: 0, due: true },
    ]);
    await setState(change, 'unknown');
    expect(await one(client, 'select sync.retry($1) as value', [change])).toBe('unknown');
    await setState(change, 'done');
    expect(await one(client, 'select sync.retry($1) as value', [change])).toBe('done');
    await setState(change, 'held');
    expect(await refusal(client, `select sync.retry(${change})`)).toMatchObject({ code: '55000' });
    expect(await refusal(client, 'select sync.retry(-1)')).toMatchObject({ code: 'P0002', message: 'there is no change -1' });
  });

  it('all counts changes and refused records, which are read again', async () => {
    await addContact(client, 'A');
    await setState(await latest(), 'parked');
    await addContact(client, 'B');
    await setState(await latest(), 'retry');
    await addContact(client, 'C');
    await setState(await latest(), 'held');
    await client.query(`insert into sync.refused values (5, 'database_refused', 'x')`);
    expect(await one(client, 'select sync.retry_all() as value')).toBe(3);
    expect(await one(client, 'select count(*) as value from sync.queue where next_attempt_at is not null')).toBe(2);
    expect((await client.query('select crm_id, reason from sync.marks')).rows).toEqual([{ crm_id: 5, reason: 'deferred' }]);
  });
});

describe('a hold', () => {
  const hold = async (direction: 'push' | 'pull'): Promise<number> => {
    const holdId = await one<number>(
      client,
      `with made as (insert into sync.holds (direction, reason, rows, plan) values ($1, 'too many', 1, '[]') returning id) select id as value from made`,
      [direction],
    );
    if (direction === 'push')
      await client.query(`update sync.change_log set state = 'held', hold_id = $1, next_attempt_at = null`, [holdId]);
    else await client.query('update sync.contact_state set hold_id = $1, gone_at = now()', [holdId]);
    return holdId;
  };
  const decision = async () =>
    (await client.query('select state, decided_at is not null as at, decided_by is not null as by from sync.holds')).rows[0];

  it('of a push, approved, sends its rows on and stays on them', async () => {
    await addSynced(7);
    await client.query('delete from crm.contacts');
    const holdId = await hold('push');
    expect(await one(client, 'select state as value from sync.contact_status')).toBe('held');
    expect(await one(client, 'select held as value from sync.status')).toBe(1);
    await client.query('select sync.approve($1)', [holdId]);
    expect((await client.query('select state, hold_id, next_attempt_at <= clock_timestamp() as due from sync.change_log')).rows).toEqual([
      { state: 'pending', hold_id: holdId, due: true },
    ]);
    expect(await decision()).toEqual({ state: 'approved', at: true, by: true });
    expect(await refusal(client, `select sync.reject(${holdId})`)).toMatchObject({
      code: '55000',
      message: `hold ${holdId} was approved already`,
    });
  });

  it('of a deletion, rejected, has the contact read again', async () => {
    await addSynced(7);
    await client.query('delete from crm.contacts');
    await client.query('select sync.reject($1)', [await hold('push')]);
    expect((await client.query('select state, settled_at is not null as settled from sync.change_log')).rows).toEqual([
      { state: 'merged', settled: true },
    ]);
    expect((await client.query('select crm_id, reason from sync.marks')).rows).toEqual([{ crm_id: 7, reason: 'deferred' }]);
    expect(await decision()).toMatchObject({ state: 'rejected' });
  });

  it('of emptied fields and links, rejected, brings them back but for what was edited since; what adds goes on', async () => {
    const id = await addSynced(7);
    await asDaemon(client, `insert into crm.contact_companies values (${id}, 5)`);
    await client.query(`update crm.contacts set city = null, email = 'mine', custom_fields = '{}'`);
    await client.query(`update crm.contacts set city = 'Oslo'`);
    await client.query(`update crm.contacts set city = null, last_name = 'Lee'`);
    await client.query('delete from crm.contact_companies');
    await client.query(`insert into crm.contact_deals values ($1, 8)`, [id]);
    const holdId = await hold('push');
    await client.query(`update crm.contacts set last_name = 'Later'`);
    const later = await latest();
    await client.query('select sync.reject($1)', [holdId]);
    expect((await client.query('select first_name, last_name, email, city, phones, custom_fields from crm.contacts')).rows).toEqual([
      { first_name: 'Ann', last_name: 'Later', email: 'mine', city: 'Oslo', phones: [], custom_fields: { cf_a: 1 } },
    ]);
    expect(await one(client, 'select company_id as value from crm.contact_companies')).toBe(5);
    const open = await client.query('select id, op, state from sync.change_log where settled_at is null order by op, id');
    expect(open.rows).toMatchObject([
      { op: 'attach', state: 'pending' },
      { op: 'update', state: 'pending' },
      { op: 'update', state: 'pending' },
      { op: 'update', state: 'pending' },
      { id: later, op: 'update', state: 'pending' },
    ]);
    // The decision itself was no edit, and the next one is captured again.
    expect(await latest()).toBe(later);
    await client.query(`update crm.contacts set city = 'Bonn'`);
    expect(await latest()).toBeGreaterThan(later);
  });

  it('of a pull, approved, marks what may be removed; rejected, keeps the row as gone', async () => {
    const id = await addSynced(7);
    const first = await hold('pull');
    expect(await statusOf(id)).toBe('held');
    await client.query('select sync.reject($1)', [first]);
    expect(await statusOf(id)).toBe('gone');
    const second = await hold('pull');
    await client.query('select sync.approve($1)', [second]);
    expect((await client.query('select crm_id, reason from sync.marks')).rows).toEqual([{ crm_id: 7, reason: 'approved' }]);
    expect(await refusal(client, 'select sync.approve(-1)')).toMatchObject({ code: 'P0002' });
  });
});

describe('resolve', () => {
  const conflict = (id: number, field: string, remote: string) =>
    one<number>(
      client,
      `with made as (insert into sync.conflicts (contact_id, field, remote, outcome, state, policy) values ($1, $2, $3, 'open', 'open', 'manual') returning id)
       select id as value from made`,
      [id, field, remote],
    );
  const base = (id: number, path: string) =>
    one(client, 'select base #> $2 as value from sync.contact_state where contact_id = $1', [id, path]);
  let id: number;
  beforeEach(async () => {
    id = await addSynced(7);
    await client.query(`update crm.contacts set city = 'Oslo', custom_fields = '{"cf_a": 2}'`);
    await client.query(`update sync.change_log set state = 'merged', settled_at = now()`);
  });

  it("crm takes the CRM's value, as no edit", async () => {
    const open = await conflict(id, 'city', '"Bonn"');
    expect(await statusOf(id)).toBe('conflict');
    await client.query(`select sync.resolve($1, 'crm')`, [open]);
    expect(await contactOf(id)).toMatchObject({ city: 'Bonn' });
    expect(await base(id, '{city}')).toBe('Bonn');
    expect(await one(client, 'select count(*) as value from sync.queue')).toBe(0);
    expect((await client.query('select state, outcome, decided_at is not null as at from sync.conflicts')).rows).toEqual([
      { state: 'decided', outcome: 'crm', at: true },
    ]);
    expect(await refusal(client, `select sync.resolve(${open}, 'crm')`)).toMatchObject({ code: '55000' });
  });

  it("mirror has the row's value pushed over the CRM's", async () => {
    await client.query(`select sync.resolve($1, 'mirror')`, [await conflict(id, 'city', '"Bonn"')]);
    expect(await contactOf(id)).toMatchObject({ city: 'Oslo' });
    expect(await base(id, '{city}')).toBe('Bonn');
    expect((await client.query('select op, fields, state from sync.queue')).rows).toEqual([
      { op: 'update', fields: ['city'], state: 'pending' },
    ]);
  });

  it('a JSON value is an edit, held to the same rules; custom fields too', async () => {
    const open = await conflict(id, 'cf_a', 'null');
    expect(await refusal(client, `select sync.resolve(${open}, 'five')`)).toMatchObject({ code: '22023' });
    expect(await refusal(client, `select sync.resolve(${open}, '{"x": 1}')`)).toMatchObject({ code: '23514' });
    await client.query(`select sync.resolve($1, '5')`, [open]);
    expect(await contactOf(id)).toMatchObject({ custom_fields: { cf_a: 5 } });
    expect(await base(id, '{custom_fields}')).toEqual({});
    expect((await client.query('select fields from sync.queue')).rows).toEqual([{ fields: ['cf_a'] }]);
    expect(await refusal(client, `select sync.resolve(-1, 'crm')`)).toMatchObject({ code: 'P0002' });
  });
});

describe('wait', () => {
  it("answers once the session's newest edit is settled by somebody else", async () => {
    await addContact(client);
    const daemon = await connect(database.url);
    const change = await latest();
    const waiting = one<string>(client, 'select sync.wait() as value');
    await daemon.query(`update sync.change_log set state = 'done', settled_at = now() where id = $1`, [change]);
    expect(await waiting).toBe('done');
    await daemon.end();
  });

  it('answers the state as it is when the time is over, and at once where a person is needed', async () => {
    await addContact(client);
    expect(await one(client, 'select sync.wait(timeout_ms => 0) as value')).toBe('pending');
    await setState(await latest(), 'parked');
    expect(await one(client, 'select sync.wait(timeout_ms => 600000) as value')).toBe('parked');
  });

  it('raises where it cannot end: own transaction, frozen snapshot, unknown id, no edit', async () => {
    await client.query('begin');
    await addContact(client);
    expect(await refusal(client, 'select sync.wait()')).toMatchObject({ code: '55000', hint: 'Commit first, then wait.' });
    await client.query('rollback');

    await addContact(client);
    await client.query('begin isolation level repeatable read');
    expect(await refusal(client, 'select sync.wait()')).toMatchObject({ code: '55000' });
    await client.query('rollback');

    expect(await refusal(client, 'select sync.wait(-1)')).toMatchObject({ code: 'P0002' });
    const fresh = await connect(database.url);
    expect(await refusal(fresh, 'select sync.wait()')).toMatchObject({ code: '55000' });
    await fresh.end();
  });

  it('forgets an edit that was rolled back', async () => {
    await addContact(client, 'kept');
    const kept = await latest();
    await client.query('begin');
    await addContact(client, 'dropped');
    await client.query('rollback');
    await setState(kept, 'done');
    expect(await one(client, 'select sync.wait() as value')).toBe('done');
  });
});

describe('views', () => {
  it('status is one row with what is open', async () => {
    await addContact(client, 'A');
    await setState(await latest(), 'parked');
    await addContact(client, 'B');
    await addContact(client, 'C');
    await setState(await latest(), 'done');
    await client.query(`insert into sync.refused values (5, 'database_refused', 'x')`);
    const { rows } = await client.query('select * from sync.status');
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      leader: null,
      paused: false,
      pull_lag_seconds: null,
      queue_depth: 1,
      parked: 2,
      held: 0,
      unknown: 0,
      open_conflicts: 0,
      contacts: 3,
    });
    expect((rows[0] as { push_lag_seconds: number }).push_lag_seconds).toBeGreaterThan(0);
  });

  it('contact_status has one row a contact, the state that most needs a person first', async () => {
    const id = await addSynced(7);
    expect(await statusOf(id)).toBe('in_sync');
    await client.query(`update crm.contacts set city = 'x'`);
    expect(await statusOf(id)).toBe('pending');
    await setState(await latest(), 'unknown');
    expect(await statusOf(id)).toBe('unknown');
    await client.query(`update crm.contacts set city = 'y'`);
    await setState(await latest(), 'parked');
    expect((await client.query('select state, error_code, error from sync.contact_status')).rows).toEqual([
      { state: 'parked', error_code: 'invalid', error: 'said so' },
    ]);
    await client.query('delete from crm.contacts');
    expect(await one(client, 'select count(*) as value from sync.contact_status')).toBe(1);
  });

  it('queue and parked show fields, never values', async () => {
    const id = await addSynced(7);
    await client.query(`update crm.contacts set city = 'Secret', custom_fields = '{"cf_a": 9}'`);
    const change = await latest();
    const queue = await client.query('select * from sync.queue');
    expect(queue.rows).toMatchObject([
      { change_id: change, contact_id: id, crm_id: 7, op: 'update', fields: ['cf_a', 'city'], state: 'pending' },
    ]);
    expect(JSON.stringify(queue.rows)).not.toContain('Secret');
    await setState(change, 'parked');
    await client.query(`insert into sync.refused values (7, 'database_refused', 'x'), (8, 'database_refused', 'x')`);
    expect(
      (await client.query('select direction, change_id, contact_id, crm_id, fields from sync.parked order by crm_id, direction desc')).rows,
    ).toEqual([
      { direction: 'push', change_id: change, contact_id: id, crm_id: 7, fields: ['cf_a', 'city'] },
      { direction: 'pull', change_id: null, contact_id: id, crm_id: 7, fields: null },
      { direction: 'pull', change_id: null, contact_id: null, crm_id: 8, fields: null },
    ]);
  });
});

it('nobody may call the functions unless granted', async () => {
  const role = `relate_test_nobody_${process.pid}`;
  await client.query(`create role ${role}; grant usage on schema sync to ${role}; set role ${role}`);
  try {
    for (const call of ['pause()', 'retry_all()', 'approve(1)', 'request_resync()', 'begin_own_write()']) {
      expect(await refusal(client, `select sync.${call}`)).toMatchObject({ code: '42501' });
    }
  } finally {
    await client.query(`reset role; drop owned by ${role}; drop role ${role}`);
  }
});
