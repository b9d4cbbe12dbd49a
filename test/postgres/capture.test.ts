/** Promise 1: every committed edit is in the change log, whatever statement it came from. Promise 4: our own writes are not. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SCALAR_FIELDS } from '../../src/domain/contact.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, asDaemon, brief, connect, one, takeLog } from './editing.ts';

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
  await takeLog(client);
});
afterEach(async () => void (await client.query('rollback')));

const SAMPLES: { readonly [field: string]: readonly [string, unknown] } = Object.fromEntries(
  SCALAR_FIELDS.map((field, at) => [field, field.endsWith('_id') ? [`${at + 1}`, at + 1] : [`'v${at}'`, `v${at}`]]),
);
const ALL_VALUES = Object.fromEntries(Object.entries(SAMPLES).map(([field, [, value]]) => [field, value]));
const ALL_COLUMNS = Object.keys(SAMPLES).join(', ');
const ALL_SQL = Object.values(SAMPLES)
  .map(([sql]) => sql)
  .join(', ');

describe('an insert', () => {
  it('logs every field of the domain that is not null, custom fields under their own names', async () => {
    await client.query(
      `insert into crm.contacts (${ALL_COLUMNS}, phones, custom_fields) values (${ALL_SQL}, '[{"number":"1"}]', '{"cf_a": 1, "cf_none": null}')`,
    );
    const [row] = await takeLog(client);
    expect(row).toMatchObject({ op: 'insert', old_values: null, crm_id: null, state: 'pending' });
    expect(row?.new_values).toEqual({ ...ALL_VALUES, phones: [{ number: '1' }], cf_a: 1 });
  });

  it('logs nothing of what is empty', async () => {
    await addContact(client);
    expect(brief(await takeLog(client))).toEqual([['insert', null, { first_name: 'Ann' }]]);
  });

  it('is captured from COPY and from a multi-row statement, one row a contact', async () => {
    await client.query(`insert into crm.contacts (first_name) select 'N' || n from generate_series(1, 50) n`);
    expect(await takeLog(client)).toHaveLength(50);
    // The server's own COPY, fed by a program: the driver does not speak the protocol of COPY FROM STDIN.
    await client.query(`copy crm.contacts (first_name) from program 'seq -f C%g 1000'`);
    const log = await takeLog(client);
    expect(log).toHaveLength(1000);
    expect(new Set(log.map((row) => row.op))).toEqual(new Set(['insert']));
  });
});

describe('an update', () => {
  it.each([...SCALAR_FIELDS])('of %s logs that field alone, old and new', async (field) => {
    await client.query(`insert into crm.contacts (${ALL_COLUMNS}) values (${ALL_SQL})`);
    await takeLog(client);
    const [sql, value] = field.endsWith('_id') ? ['99', 99] : [`'changed'`, 'changed'];
    await client.query(`update crm.contacts set ${field} = ${sql}`);
    expect(brief(await takeLog(client))).toEqual([['update', { [field]: ALL_VALUES[field] }, { [field]: value }]]);
    if (field === 'first_name') return;
    await client.query(`update crm.contacts set ${field} = null`);
    expect(brief(await takeLog(client))).toEqual([['update', { [field]: value }, { [field]: null }]]);
  });

  it('of phones logs the whole list', async () => {
    await addContact(client);
    await takeLog(client);
    await client.query(`update crm.contacts set phones = '[{"number":"1","type":"work"}]'`);
    expect(brief(await takeLog(client))).toEqual([['update', { phones: [] }, { phones: [{ number: '1', type: 'work' }] }]]);
  });

  it('of custom fields logs key by key; a key that is gone is null', async () => {
    await client.query(`insert into crm.contacts (first_name, custom_fields) values ('Ann', '{"cf_a": 1, "cf_b": "x", "cf_c": true}')`);
    await takeLog(client);
    await client.query(`update crm.contacts set custom_fields = '{"cf_a": 1, "cf_b": "y", "cf_d": [1, 2]}'`);
    expect(brief(await takeLog(client))).toEqual([
      ['update', { cf_b: 'x', cf_c: true, cf_d: null }, { cf_b: 'y', cf_c: null, cf_d: [1, 2] }],
    ]);
  });

  it('that changes nothing logs nothing, an added null key included', async () => {
    await client.query(`insert into crm.contacts (first_name, custom_fields) values ('Ann', '{"cf_a": 1}')`);
    await takeLog(client);
    await client.query(`update crm.contacts set first_name = first_name, phones = '[]', custom_fields = custom_fields`);
    await client.query(`update crm.contacts set custom_fields = '{"cf_a": 1.0, "cf_b": null}'`);
    await client.query(`update crm.contacts set first_name = 'Bob' where false`);
    expect(await takeLog(client)).toEqual([]);
  });

  it('of many rows logs each changed row once, whatever was planned for one row before', async () => {
    await client.query(`insert into crm.contacts (first_name, city) select 'N', n from generate_series(1, 5000) n`);
    await takeLog(client);
    await client.query(`update crm.contacts set city = 'one' where id = (select min(id) from crm.contacts)`);
    await client.query(`update crm.contacts set city = 'all' where city <> '7'`);
    const log = await takeLog(client);
    expect(log).toHaveLength(1 + 4999);
    expect(log.at(-1)?.new_values).toEqual({ city: 'all' });
  });
});

it('ON CONFLICT and MERGE log what they did to each row', async () => {
  const [ann, bob] = [await addContact(client, 'Ann'), await addContact(client, 'Bob')];
  await asDaemon(client, `update crm.contacts set crm_id = 7 where id = ${ann}`);
  await takeLog(client);
  await client.query(
    `merge into crm.contacts c using (values (${ann}, 'Anna'), (${bob}, null), (null, 'Cid')) v(id, name) on c.id = v.id
     when matched and v.name is null then delete
     when matched then update set first_name = v.name
     when not matched then insert (first_name) values (v.name)`,
  );
  const log = await takeLog(client);
  expect(log.map((row) => row.op).toSorted()).toEqual(['delete', 'insert', 'update']);
  expect(log.find((row) => row.op === 'update')).toMatchObject({ contact_id: ann, crm_id: 7, new_values: { first_name: 'Anna' } });

  await client.query('create unique index if not exists contacts_test_email on crm.contacts (email)');
  await client.query(`update crm.contacts set email = 'a@x.test' where id = ${ann}`);
  await takeLog(client);
  await client.query(
    `insert into crm.contacts (first_name, email) values ('Ada', 'a@x.test'), ('Dan', 'd@x.test')
     on conflict (email) do update set first_name = excluded.first_name`,
  );
  expect(brief(await takeLog(client))).toEqual(
    expect.arrayContaining([
      ['update', { first_name: 'Anna' }, { first_name: 'Ada' }],
      ['insert', null, { first_name: 'Dan', email: 'd@x.test' }],
    ]),
  );
});

it('a delete logs all values and the crm_id, and not the links that go with the row', async () => {
  const id = await addContact(client);
  await client.query('insert into crm.contact_companies values ($1, 5)', [id]);
  await asDaemon(client, `update crm.contacts set crm_id = 70 where id = ${id}`);
  await takeLog(client);
  await client.query('delete from crm.contacts');
  expect(await takeLog(client)).toMatchObject([{ op: 'delete', crm_id: 70, old_values: { first_name: 'Ann' }, new_values: null }]);
});

describe('links', () => {
  it.each([
    ['contact_companies', 'company_id'],
    ['contact_deals', 'deal_id'],
    ['contact_activities', 'activity_id'],
  ])('of %s log attach and detach; an UPDATE is both', async (table, column) => {
    const id = await addContact(client);
    await asDaemon(client, `update crm.contacts set crm_id = 70 where id = ${id}`);
    await takeLog(client);
    await client.query(`insert into crm.${table} values ($1, 5), ($1, 6)`, [id]);
    const attached = await takeLog(client);
    expect(brief(attached)).toEqual([
      ['attach', null, { [column]: 5 }],
      ['attach', null, { [column]: 6 }],
    ]);
    expect(attached[0]).toMatchObject({ contact_id: id, crm_id: 70 });
    await client.query(`update crm.${table} set ${column} = 7 where ${column} = 6`);
    expect(brief(await takeLog(client))).toEqual([
      ['detach', { [column]: 6 }, null],
      ['attach', null, { [column]: 7 }],
    ]);
    await client.query(`update crm.${table} set ${column} = ${column}`);
    expect(await takeLog(client)).toEqual([]);
    await client.query(`delete from crm.${table} where ${column} = 5`);
    expect(brief(await takeLog(client))).toEqual([['detach', { [column]: 5 }, null]]);
  });
});

describe("the daemon's own writes", () => {
  it('log nothing, and may write its columns', async () => {
    await asDaemon(
      client,
      `insert into crm.contacts (id, crm_id, first_name, extra) overriding system value values (900, 9, null, '{"tags": []}')`,
      `insert into crm.contact_deals values (900, 1)`,
      `insert into crm.companies values (1, 'Acme')`,
      `update crm.contacts set first_name = 'Ann', crm_updated_at = now()`,
      `delete from crm.contacts`,
    );
    expect(await takeLog(client)).toEqual([]);
  });

  it('silence nothing in a later transaction of the same session', async () => {
    await client.query('begin');
    await client.query(`select set_config('relate_mirror.writer', pg_current_xact_id()::text, false)`);
    await client.query('commit');
    await addContact(client);
    expect(await takeLog(client)).toHaveLength(1);
    await client.query('reset relate_mirror.writer');
  });

  it("do not silence a user's trigger that edits in their transaction", async () => {
    const id = await addContact(client);
    await takeLog(client);
    await client.query(`
      create function pg_temp.fill_city() returns trigger language plpgsql as $$
      begin update crm.contacts set city = 'filled' where id = new.id and city is null; return null; end $$`);
    await client.query(`create trigger fill_city after update on crm.contacts for each row execute function pg_temp.fill_city()`);
    await asDaemon(client, `update crm.contacts set first_name = 'Bob' where id = ${id}`);
    await client.query('drop trigger fill_city on crm.contacts');
    expect(brief(await takeLog(client))).toEqual([['update', { city: null }, { city: 'filled' }]]);
  });
});

it('is not escaped by session_replication_role', async () => {
  await client.query('begin');
  await client.query('set local session_replication_role = replica');
  await addContact(client);
  await client.query('commit');
  expect(await takeLog(client)).toHaveLength(1);
});

describe('the editor', () => {
  const role = `relate_test_editor_${process.pid}`;
  beforeAll(async () => {
    await client.query(`create role ${role}`);
    await client.query(`grant usage on schema crm to ${role}; grant select, insert, update, delete on all tables in schema crm to ${role}`);
  });
  afterAll(async () => {
    await client.query(`drop owned by ${role}; drop role ${role}`);
  });

  it('needs no rights on schema sync, and is named as the role that acts', async () => {
    await client.query(`set role ${role}`);
    try {
      const id = await addContact(client);
      await client.query(`update crm.contacts set custom_fields = '{"cf_a": 1}', phones = '[{"number":"1"}]' where id = $1`, [id]);
      await client.query('insert into crm.contact_deals values ($1, 1)', [id]);
      await client.query('delete from crm.contacts where id = $1', [id]);
    } finally {
      await client.query('reset role');
    }
    const log = await takeLog(client);
    expect(log.map((row) => [row.op, row.changed_by])).toEqual(['insert', 'update', 'attach', 'delete'].map((op) => [op, role]));
    await addContact(client);
    const user = await one<string>(client, 'select session_user::text as value');
    expect((await takeLog(client))[0]?.changed_by).toBe(user);
  });
});

describe('the wake-up', () => {
  const notifications = async (during: () => Promise<void>): Promise<readonly string[]> => {
    const listener = await connect(database.url);
    const heard: string[] = [];
    listener.on('notification', ({ channel }) => heard.push(channel));
    await listener.query('listen relate_mirror_change');
    await during();
    // What was committed before this statement is delivered with its answer.
    await listener.query('select 1');
    await listener.end();
    return heard;
  };

  it('comes once for a transaction, however many edits it makes', async () => {
    const heard = await notifications(async () => {
      await client.query('begin');
      await addContact(client);
      await client.query(`update crm.contacts set city = 'x'`);
      await client.query('commit');
    });
    expect(heard).toEqual(['relate_mirror_change']);
  });

  it('does not come while another transaction that will notify is open', async () => {
    const other = await connect(database.url);
    await other.query('begin');
    await addContact(other);
    expect(await notifications(async () => void (await addContact(client)))).toEqual([]);
    await other.query('rollback');
    await other.end();
  });

  it('does not come for an edit that changes nothing, nor where it is switched off', async () => {
    await addContact(client);
    expect(await notifications(async () => void (await client.query('update crm.contacts set city = city')))).toEqual([]);
    await client.query('update sync.account set notify = false');
    const heard = await notifications(async () => {
      await client.query('begin');
      await addContact(client);
      await client.query('commit');
    });
    await client.query('update sync.account set notify = true');
    expect(heard).toEqual([]);
  });
});
