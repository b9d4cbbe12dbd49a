/** The versions behind bi.contact_history: one a change, none for nothing, whole as far back as they say, pruned without a hole. */
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, asDaemon, connect, one, refusal } from './editing.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let database: TestDatabase;
let client: pg.Client;
const keep = (days = 365) =>
  createHistoryKeeper({ connectionString: database.url, days, log: silent }).keepOnce(new AbortController().signal);

beforeEach(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
});
afterEach(async () => {
  await client.end();
  await database.drop();
});

const versions = async (columns = 'op, origin, who, first_name, city') =>
  (await client.query<Record<string, unknown>>(`select ${columns} from bi.contact_history order by version_id`)).rows;
const me = () => one<string>(client, 'select session_user::text as value');
const now = () => one<string>(client, 'select clock_timestamp()::text as value');
const at = async (moment: string) =>
  (await client.query<Record<string, unknown>>('select * from bi.contacts_at($1) order by id', [moment])).rows;
/** Every version so much older, as if time had passed; in the month that it then belongs to. */
const pass = async (days: number): Promise<void> => {
  await client.query(
    `select sync.add_history_month(month) from (
       select distinct date_trunc('month', valid_from - make_interval(days => $1), 'UTC') as month from sync.contact_versions) m`,
    [days],
  );
  await client.query(`update sync.contact_versions set valid_from = valid_from - make_interval(days => $1)`, [days]);
  await client.query(
    `update sync.account set history_since = history_since - make_interval(days => $1), history_pruned_to = history_pruned_to - make_interval(days => $1)`,
    [days],
  );
};
/** The table of a month, which is another one after it was made anew, and its versions. */
const monthOf = async (days: number): Promise<{ readonly oid: number; readonly bytes: number; readonly versions: number }> => {
  const name = await one<string>(client, `select 'sync.' || sync.history_partition(now() - make_interval(days => $1)) as value`, [days]);
  const { rows } = await client.query<{ oid: number; bytes: number; versions: number }>(
    `select to_regclass($1)::oid::int as oid, pg_table_size(to_regclass($1))::int as bytes, (select count(*)::int from ${name}) as versions`,
    [name],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`No table ${name}`);
  return row;
};
/** A kilobyte a version. */
const addLargeContacts = async (count: number): Promise<void> =>
  void (await client.query(
    `insert into crm.contacts (first_name, street)
     select 'Old ' || n, (select string_agg(md5(n || '.' || m), '') from generate_series(1, 25) m) from generate_series(1, $1) n`,
    [count],
  ));
const partitions = async () =>
  (
    await client.query<{ name: string }>(
      `select relid::regclass::text as name from pg_partition_tree('sync.contact_versions') where isleaf order by 1`,
    )
  ).rows.map(({ name }) => name.replace('sync.contact_versions_', ''));

describe('a version is written', () => {
  beforeEach(async () => void (await keep()));

  it('for what people insert, update and delete, with who it was', async () => {
    const id = await addContact(client, 'Ann');
    await client.query(`update crm.contacts set city = 'Rome' where id = $1`, [id]);
    await client.query('delete from crm.contacts where id = $1', [id]);
    const who = await me();
    expect(await versions()).toEqual([
      { op: 'insert', origin: 'mirror', who, first_name: 'Ann', city: null },
      { op: 'update', origin: 'mirror', who, first_name: 'Ann', city: 'Rome' },
      { op: 'delete', origin: 'mirror', who, first_name: 'Ann', city: 'Rome' },
    ]);
    const ends = await versions('valid_from, valid_to');
    expect(ends.map((row) => row['valid_to'])).toEqual([ends[1]?.['valid_from'], ends[2]?.['valid_from'], null]);
  });

  it('by a role that was set, under its name', async () => {
    const role = `relate_test_editor_${process.pid}`;
    await client.query(`create role ${role}; grant usage on schema crm to ${role}; grant select, insert on crm.contacts to ${role}`);
    try {
      await client.query(`set role ${role}`);
      await addContact(client, 'Bob');
      await client.query('reset role');
      expect(await versions('who')).toEqual([{ who: role }]);
    } finally {
      await client.query(`reset role; drop owned by ${role}; drop role ${role}`);
    }
  });

  it('for what the daemon takes over, and none where only crm_updated_at moved or nothing changed', async () => {
    const origin = (name: string) => `select set_config('relate_mirror.origin', '${name}', true)`;
    await asDaemon(client, origin('resync'), `insert into crm.contacts (crm_id, first_name, crm_updated_at) values (7, 'Cid', now())`);
    await asDaemon(client, origin('crm'), `update crm.contacts set crm_updated_at = now() + interval '1 s'`);
    await asDaemon(client, origin('crm'), `update crm.contacts set first_name = 'Cid'`);
    await client.query(`update crm.contacts set first_name = 'Cid', phones = '[]'`);
    await asDaemon(client, origin('merge'), `update crm.contacts set city = 'Rome'`);
    await asDaemon(client, origin('crm'), `update crm.contacts set extra = '{"tags": ["vip"]}'`);
    expect(await versions()).toEqual([
      { op: 'insert', origin: 'resync', who: 'CRM', first_name: 'Cid', city: null },
      { op: 'update', origin: 'merge', who: 'CRM', first_name: 'Cid', city: 'Rome' },
      { op: 'update', origin: 'crm', who: 'CRM', first_name: 'Cid', city: 'Rome' },
    ]);
  });

  it('of a decision that a person made by a function, under that name', async () => {
    await addContact(client, 'Ann');
    await client.query(
      `insert into sync.conflicts (contact_id, field, base, local, remote, outcome, state) select id, 'first_name', '"An"', '"Ann"', '"Anna"', 'open', 'open' from crm.contacts`,
    );
    await client.query(`select set_config('relate_mirror.origin', 'crm', false), sync.resolve(id, 'crm') from sync.conflicts`);
    expect((await versions()).at(-1)).toEqual({ op: 'update', origin: 'merge', who: await me(), first_name: 'Anna', city: null });
  });

  it('in the transaction of the change: none of one that was rolled back', async () => {
    await client.query('begin');
    await addContact(client, 'Gone');
    expect(await versions('first_name')).toEqual([{ first_name: 'Gone' }]);
    await client.query('rollback');
    expect(await versions()).toEqual([]);
  });

  it('of every change of one transaction, in order, also within one microsecond', async () => {
    await client.query('begin');
    const id = await addContact(client, 'One');
    for (const name of ['Two', 'Three']) await client.query('update crm.contacts set first_name = $1 where id = $2', [name, id]);
    await client.query('commit');
    await client.query('update sync.contact_versions set valid_from = now()');
    expect(await versions('first_name')).toEqual([{ first_name: 'One' }, { first_name: 'Two' }, { first_name: 'Three' }]);
    expect((await at(await now())).map((row) => row['first_name'])).toEqual(['Three']);
  });

  it('and the order outlives a clock that was set back', async () => {
    const id = await addContact(client, 'Early');
    await client.query(`update crm.contacts set first_name = 'Late' where id = $1`, [id]);
    await client.query(`update sync.contact_versions set valid_from = valid_from + interval '1 hour' where first_name = 'Early'`);
    expect((await at(await now())).map((row) => row['first_name'])).toEqual(['Late']);
    const moment = await one<string>(client, `select (clock_timestamp() + interval '2 hours')::text as value`);
    expect((await at(moment)).map((row) => row['first_name'])).toEqual(['Late']);
  });

  it('under a replica’s session as well', async () => {
    await client.query('set session_replication_role = replica');
    await addContact(client, 'Ann');
    expect(await versions('op')).toEqual([{ op: 'insert' }]);
  });
});

describe('bi.contacts_at', () => {
  it('is what was there: changed, deleted and come back', async () => {
    await keep();
    const id = await addContact(client, 'Ann');
    const first = await now();
    await client.query(`update crm.contacts set custom_fields = '{"cf_score": 5}' where id = $1`, [id]);
    const second = await now();
    await client.query('delete from crm.contacts where id = $1', [id]);
    const third = await now();
    await asDaemon(client, `insert into crm.contacts (id, first_name) overriding system value values (${id}, 'Ann again')`);
    const states = [await at(first), await at(second), await at(third), await at(await now())];
    expect(states.map((rows) => rows.map((row) => [row['id'], row['first_name'], row['custom_fields']]))).toEqual([
      [[id, 'Ann', {}]],
      [[id, 'Ann', { cf_score: 5 }]],
      [],
      [[id, 'Ann again', {}]],
    ]);
  });

  it('says so where the history does not reach, instead of a wrong answer', async () => {
    expect(await refusal(client, 'select * from bi.contacts_at(now())')).toMatchObject({ code: '55000' });
    await addContact(client);
    await keep();
    expect(await refusal(client, `select * from bi.contacts_at(now() - interval '1 hour')`)).toMatchObject({
      code: '22008',
      message: expect.stringContaining('the history begins at'),
    });
    expect(await refusal(client, 'select * from bi.contacts_at(null)')).toMatchObject({ code: '22004' });
    expect(await at(await now())).toHaveLength(1);
  });
});

describe('switched on', () => {
  it('begins with what is there, a batch at a time, and misses nobody who writes meanwhile', async () => {
    await client.query(`insert into crm.contacts (first_name) select 'Old ' || n from generate_series(1, 1000) n`);
    const writer = await connect(database.url);
    try {
      await client.query('select sync.add_history_months()');
      const keeping = keep();
      for (let n = 1; n <= 1000; n += 20) await writer.query(`update crm.contacts set city = 'Rome' where id = $1`, [n]);
      // Where the writer was in its way it says so, and the next round does it.
      const done = (await keeping) || (await keep());
      expect(done).toBe(true);
    } finally {
      await writer.end();
    }
    expect(await one(client, 'select count(*)::int as value from bi.contacts_at(clock_timestamp())')).toBe(1000);
    expect(
      await one(
        client,
        `select count(*)::int as value from crm.contacts c full join bi.contacts_at(clock_timestamp()) h on h.id = c.id
         where (c.first_name, c.city) is distinct from (h.first_name, h.city)`,
      ),
    ).toBe(0);
  });

  it('waits for who has written without it, and lets everybody go on meanwhile', async () => {
    const writer = await connect(database.url);
    try {
      await writer.query('begin');
      await addContact(writer, 'Unseen');
      expect(await keep()).toBe(false);
      await addContact(client, 'Free');
      await writer.query('commit');
    } finally {
      await writer.end();
    }
    expect(await keep()).toBe(true);
    expect((await at(await now())).map((row) => row['first_name'])).toEqual(['Unseen', 'Free']);
  });

  it('off keeps what there was, whole up to that moment, and refuses to tell what it does not know', async () => {
    await keep();
    const ids = [await addContact(client, 'Same'), await addContact(client, 'Edited'), await addContact(client, 'Gone')];
    const [, edited, gone] = ids;
    const kept = await versions();
    expect(await keep(0)).toBe(true);
    expect(await versions()).toEqual(kept);
    const before = await one<string>(client, 'select began::text as value from sync.history_gaps');
    await client.query(`update crm.contacts set city = 'Rome' where id = $1`, [edited]);
    await client.query('delete from crm.contacts where id = $1', [gone]);
    await addContact(client, 'New');
    expect(await versions()).toEqual(kept);
    const within = await now();
    expect(await refusal(client, 'select * from bi.contacts_at($1)', [within])).toMatchObject({
      code: '22008',
      message: expect.stringMatching(/no history was kept after [-\d :.+]+$/) as string,
    });
    expect(await keep(0)).toBe(true);

    expect(await keep()).toBe(true);
    expect((await versions('op, who, first_name, city')).slice(kept.length)).toEqual(
      expect.arrayContaining([
        { op: 'snapshot', who: 'relate-mirror', first_name: 'Edited', city: 'Rome' },
        { op: 'snapshot', who: 'relate-mirror', first_name: 'New', city: null },
        { op: 'delete', who: 'relate-mirror', first_name: 'Gone', city: null },
      ]),
    );
    expect(await versions()).toHaveLength(kept.length + 3);
    const names = (rows: readonly Record<string, unknown>[]) => rows.map((row) => [row['first_name'], row['city']]);
    expect(names(await at(before))).toEqual([
      ['Same', null],
      ['Edited', null],
      ['Gone', null],
    ]);
    expect(await refusal(client, 'select * from bi.contacts_at($1)', [within])).toMatchObject({ code: '22008' });
    expect(names(await at(await now()))).toEqual([
      ['Same', null],
      ['Edited', 'Rome'],
      ['New', null],
    ]);
  });

  it('again before it was whole is one gap, and a row that came back in the meantime is there', async () => {
    await keep();
    const id = await addContact(client, 'Back');
    await keep(0);
    await client.query('delete from crm.contacts where id = $1', [id]);
    // On, and off before anybody was looked at.
    await client.query('select sync.switch_history(true)');
    await addContact(client, 'Between');
    await keep(0);
    await client.query('select sync.switch_history(true)');
    await asDaemon(client, `insert into crm.contacts (id, first_name) overriding system value values (${id}, 'Back again')`);
    expect(await keep()).toBe(true);
    expect(await one(client, 'select count(*)::int as value from sync.history_gaps')).toBe(1);
    expect((await at(await now())).map((row) => row['first_name'])).toEqual(['Back again', 'Between']);
  });

  it('forgets only when it is told to, and only where it is off', async () => {
    await keep();
    await addContact(client, 'Ann');
    expect(await refusal(client, 'select sync.forget_history()')).toMatchObject({ code: '55000', message: 'versions are being kept' });
    await keep(0);
    expect(await one(client, 'select sync.forget_history()::int as value')).toBe(1);
    expect(await refusal(client, 'select * from bi.contacts_at(now())')).toMatchObject({ code: '55000' });
    await addContact(client, 'Bob');
    await keep();
    expect(await versions('op, origin, who, first_name')).toEqual(
      ['Ann', 'Bob'].map((first_name) => ({ op: 'snapshot', origin: 'mirror', who: 'relate-mirror', first_name })),
    );
    expect(await at(await now())).toHaveLength(2);
  });
});

describe('a statement within a statement ends first; the latest version is still what the row holds', () => {
  const shout = (when: string) => `
    create function public.shout() returns trigger language plpgsql as $$ begin
      if new.city is distinct from upper(new.city) then update crm.contacts set city = upper(city) where id = new.id; end if;
      return null;
    end $$;
    create trigger shout after ${when} on crm.contacts for each row execute function public.shout()`;
  const held = async () => (await client.query('select id, first_name, city from crm.contacts order by id')).rows;
  const told = async () => (await client.query('select id, first_name, city from bi.contacts_at(clock_timestamp()) order by id')).rows;
  beforeEach(async () => void (await keep()));

  it.each([
    ['a person', async (sql: string) => void (await client.query(sql))],
    ['the daemon', async (sql: string) => await asDaemon(client, sql)],
  ])('where a trigger of the user’s edits the row that %s has written', async (_who, run) => {
    await client.query(shout('insert or update of city'));
    await run(`insert into crm.contacts (first_name, city) values ('Ann', 'berlin'), ('Bob', 'BONN')`);
    expect(await told()).toEqual(await held());
    expect((await versions('op, city')).filter(({ op }) => op === 'insert')).toEqual([
      { op: 'insert', city: 'BERLIN' },
      { op: 'insert', city: 'BONN' },
    ]);
    await run(`update crm.contacts set city = 'oslo' where first_name = 'Ann'`);
    expect(await told()).toEqual(await held());
    expect((await versions('city')).at(-1)).toEqual({ city: 'OSLO' });
    // None that nobody could ever see.
    expect((await versions('city')).filter(({ city }) => city === 'oslo')).toEqual([]);
  });

  it('where a function in RETURNING edits it', async () => {
    const id = await addContact(client);
    await client.query(`create function public.shout(wanted bigint) returns void language sql as
      $$ update crm.contacts set city = upper(city) where id = wanted $$`);
    await client.query(`update crm.contacts set city = 'oslo' where id = $1 returning public.shout(id)`, [id]);
    expect(await told()).toEqual(await held());
  });
});

describe('partitions', () => {
  beforeEach(async () => void (await keep()));

  it('are made for this month and the next two, and for none of which the default partition has versions', async () => {
    expect(await partitions()).toHaveLength(4);
    await addContact(client);
    await client.query(`update sync.contact_versions set valid_from = '2031-03-31 23:59:59.999Z'`);
    await client.query(`set timezone = 'America/New_York'`);
    const make = async (moment: string) => await one(client, 'select sync.add_history_month($1) as value', [moment]);
    expect([await make('2031-03-15Z'), await make('2031-04-01Z'), await make('2031-04-15Z')]).toEqual([false, true, false]);
    expect(await partitions()).toEqual(expect.arrayContaining(['2031_04', 'default']));
    expect(await one(client, 'select count(*)::int as value from sync.contact_versions_default')).toBe(1);
    expect(await one(client, 'select sync.add_history_months() as value')).toBe(0);
  });

  it('are not made while the default partition is too large to be read under a lock', async () => {
    await client.query(
      `insert into sync.contact_versions_default (contact_id, valid_from, op, origin, who, phones, custom_fields, street)
       select n, '2031-03-15Z', 'update', 'crm', 'CRM', '[]', '{}', (select string_agg(md5(n || '.' || m), '') from generate_series(1, 40) m)
       from generate_series(1, 13000) n`,
    );
    expect(await one(client, `select sync.add_history_month('2031-04-15Z') as value`)).toBe(false);
    await client.query('truncate sync.contact_versions_default');
    expect(await one(client, `select sync.add_history_month('2031-04-15Z') as value`)).toBe(true);
  });

  it('that were missed are pruned in the default partition, beside those that were not', async () => {
    const [changed, gone] = [await addContact(client, 'Changed'), await addContact(client, 'Gone')];
    await pass(500);
    // Nobody made that month: the deletion is in the default partition, what it ended is not.
    await client.query('delete from crm.contacts where id = $1', [gone]);
    await client.query(`update crm.contacts set city = 'Rome' where id = $1`, [changed]);
    await client.query(
      `update sync.contact_versions set valid_from = valid_from - interval '450 days' where valid_from > now() - interval '1 day'`,
    );
    expect(await one(client, 'select count(*)::int as value from sync.contact_versions_default')).toBe(2);
    await client.query(`update crm.contacts set city = 'Oslo' where id = $1`, [changed]);
    await client.query('update sync.account set history_pruned_to = null');
    expect(await keep(365)).toBe(true);
    expect(await versions('contact_id, op, city')).toEqual([
      { contact_id: changed, op: 'update', city: 'Rome' },
      { contact_id: changed, op: 'update', city: 'Oslo' },
    ]);
  });

  it('do not bring a contact back whose deletion was written by a clock that was set back', async () => {
    const id = await addContact(client, 'Ann');
    await client.query('delete from crm.contacts where id = $1', [id]);
    await client.query(`update sync.contact_versions set valid_from = valid_from - interval '500 days' where op = 'delete'`);
    await client.query(`update sync.account set history_since = '2020-01-01', history_pruned_to = null`);
    expect(await keep(365)).toBe(true);
    expect(await at(await now())).toEqual([]);
  });

  it('are left alone, and nothing is written, where nothing is to do', async () => {
    await addLargeContacts(3000);
    await pass(500);
    await keep();
    const before = await monthOf(500);
    expect(before.versions).toBe(3000);
    const again = await connect(database.url);
    for (let round = 1; round <= 10; round += 1) {
      await again.query('begin');
      expect(await one(again, 'select sync.prune_history(365) as value')).toBeNull();
      await again.query('select sync.add_history_months(), sync.switch_history(true), sync.is_history_whole()');
      expect(await one(again, 'select pg_current_xact_id_if_assigned()::text as value')).toBeNull();
      await again.query('commit');
    }
    await again.end();
    expect(await monthOf(500)).toEqual(before);
  });

  it('lose the few versions that go, and are made anew only where most of it goes', async () => {
    /** An edit of a third of the contacts, so many days ago. */
    const edited = async (third: number, days: number): Promise<void> => {
      await client.query(`update crm.contacts set city = 'Rome' where id % 3 = $1`, [third]);
      await client.query('select sync.add_history_month(now() - make_interval(days => $1))', [days]);
      await client.query(
        `update sync.contact_versions set valid_from = valid_from - make_interval(days => $1) where valid_from > now() - interval '1 day'`,
        [days],
      );
    };
    await addLargeContacts(3000);
    await pass(500);
    const before = await monthOf(500);
    await edited(0, 300);
    expect(await keep(200)).toBe(true);
    expect(await monthOf(500)).toMatchObject({ oid: before.oid, versions: 2000 });
    await edited(1, 100);
    expect(await keep(30)).toBe(true);
    const anew = await monthOf(500);
    expect(anew.versions).toBe(1000);
    expect(anew.oid).not.toBe(before.oid);
    expect(anew.bytes).toBeLessThan(before.bytes / 2);
    expect(await at(await now())).toHaveLength(3000);
  });

  it('are not copied while somebody reads them', async () => {
    await addLargeContacts(3000);
    await pass(400);
    await client.query(`update crm.contacts set city = 'Rome' where id % 3 > 0`);
    await pass(100);
    // Any table that is made would be refused by this.
    await client.query(`create function public.refuse_tables() returns event_trigger language plpgsql as $$
      begin raise exception 'a table is made' using errcode = 'RM999'; end $$`);
    await client.query(
      `create event trigger refuse_tables on ddl_command_start when tag in ('CREATE TABLE') execute function public.refuse_tables()`,
    );
    const reader = await connect(database.url);
    await reader.query('begin');
    await reader.query('select count(*) from bi.contact_history');
    expect(await refusal(client, 'select sync.prune_history(30)')).toMatchObject({ code: '55P03' });
    await reader.query('commit');
    expect(await refusal(client, 'select sync.prune_history(30)')).toMatchObject({ code: 'RM999' });
    await reader.end();
  });

  it('older than HISTORY_DAYS go, but for what was still true when it begins', async () => {
    const [still, changed, gone] = [
      await addContact(client, 'Still'),
      await addContact(client, 'Changed'),
      await addContact(client, 'Gone'),
    ];
    await client.query(`update crm.contacts set city = 'Rome' where id = $1`, [changed]);
    await client.query('delete from crm.contacts where id = $1', [gone]);
    await pass(500);
    await client.query(`update crm.contacts set city = 'Oslo' where id = $1`, [changed]);
    await pass(100);
    expect(await versions('contact_id')).toHaveLength(6);
    const moment = await one<string>(client, `select date_trunc('month', clock_timestamp() - interval '365 days', 'UTC')::text as value`);
    const before = await at(moment);
    expect(before.map((row) => [row['id'], row['city']])).toEqual([
      [still, null],
      [changed, 'Rome'],
    ]);
    expect(await keep(365)).toBe(true);
    // Its old state at the beginning, and all since; nothing of who was gone by then.
    expect((await versions('contact_id, op, city')).map((row) => Object.values(row))).toEqual([
      [still, 'insert', null],
      [changed, 'update', 'Rome'],
      [changed, 'update', 'Oslo'],
    ]);
    expect(await at(moment)).toEqual(before);
    const earlier = await one<string>(client, `select ($1::timestamptz - interval '1 s')::text as value`, [moment]);
    expect(await refusal(client, 'select * from bi.contacts_at($1)', [earlier])).toMatchObject({ code: '22008' });
    const left = await partitions();
    expect(await keep(365)).toBe(true);
    expect(await partitions()).toEqual(left);
  });

  it('of which nothing is left are dropped', async () => {
    const id = await addContact(client, 'Ann');
    await pass(400);
    await client.query(`update crm.contacts set city = 'Rome' where id = $1`, [id]);
    await pass(400);
    const [oldest] = await partitions();
    await keep(365);
    expect(await partitions()).not.toContain(oldest);
    expect(await versions('city')).toEqual([{ city: 'Rome' }]);
  });

  it('are pruned under readers who never wait long, never see a hole, and whom it waits for', { timeout: 60_000 }, async () => {
    await client.query(`insert into crm.contacts (first_name) select 'Old ' || n from generate_series(1, 3000) n`);
    await pass(500);
    await client.query(`update crm.contacts set city = 'Rome'`);
    await pass(100);
    const reader = await connect(database.url);
    await reader.query('begin');
    await reader.query('select count(*) from bi.contact_history');
    expect(await keep(30)).toBe(false);
    await reader.query('commit');
    const waits: number[] = [];
    const seen = new Set<number>();
    const pruned = new AbortController();
    const reading = (async () => {
      while (!pruned.signal.aborted) {
        const startedAt = performance.now();
        seen.add(await one<number>(reader, 'select count(*)::int as value from bi.contacts_at(clock_timestamp())'));
        waits.push(performance.now() - startedAt);
      }
    })();
    while (!(await keep(30))) await new Promise((resolve) => setImmediate(resolve));
    pruned.abort();
    await reading;
    await reader.end();
    expect(await versions('op')).toHaveLength(3000);
    expect([...seen]).toEqual([3000]);
    expect(Math.max(...waits)).toBeLessThan(1000);
  });
});
