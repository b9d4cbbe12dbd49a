/**
 * Two real servers: what the mirror publishes reaches a warehouse that has plain tables, history and deletions included.
 * docs/scaling.md tells these very steps.
 */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../postgres-server.ts';
import { openHarness, type Harness } from '../sync/harness.ts';
import { connect, refusal } from './editing.ts';
import { OWNER, startRoleServer, type RoleServer } from './role-server.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const DEADLINE_MS = 60_000;
const TABLES = [
  'crm.contacts',
  'crm.contact_companies',
  'crm.contact_deals',
  'crm.contact_activities',
  'crm.companies',
  'crm.deals',
  'crm.activities',
  'crm.users',
  'crm.sources',
  'crm.countries',
  'sync.contact_versions',
];

let publisher: RoleServer;
let warehouse: EmbeddedPostgres;
let analyst: pg.Client;
let harness: Harness;

/** What differs, by table; the rows of both sides as text, in one order. */
const behind = async (tables: readonly string[] = TABLES): Promise<readonly string[]> => {
  const different: string[] = [];
  for (const table of tables) {
    const text = `select md5(coalesce(string_agg(to_jsonb(t)::text, ',' order by to_jsonb(t)::text), '')) as digest, count(*)::int as n from ${table} t`;
    const [here] = await harness.sql(text);
    const [there] = (await analyst.query<Record<string, unknown>>(text)).rows;
    if (here?.['digest'] !== there?.['digest']) different.push(`${table}: ${String(here?.['n'])} and ${String(there?.['n'])} rows`);
  }
  return different;
};
const until = async (what: string, look: () => Promise<boolean>): Promise<void> => {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`${what}: not after ${DEADLINE_MS} ms: ${(await behind()).join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
const arrived = () => until('everything in the warehouse', async () => (await behind()).length === 0);
const prepareWarehouse = async (): Promise<void> => {
  const [row] = await harness.sql('select sync.subscriber_ddl() as ddl');
  await analyst.query(String(row?.['ddl']));
};

beforeAll(async () => {
  publisher = await startRoleServer({ settings: { wal_level: 'logical' } });
  warehouse = await startEmbeddedPostgres({ major: postgresMajor(), fsync: false, settings: { wal_retrieve_retry_interval: '200ms' } });
  await publisher.migrateAs(OWNER);
  harness = await openHarness({ seed: { contacts: 20 }, database: { url: publisher.urlOf(OWNER), drop: () => Promise.resolve() } });
  const keeper = createHistoryKeeper({ connectionString: publisher.urlOf(OWNER), days: 365, log: silent });
  await keeper.keepOnce(new AbortController().signal);
  await harness.probe();
  await harness.settle();

  // Somebody's own table in the mirror's schema, without a key that its rows could be told apart by.
  await harness.sql('create table crm.my_notes (note text)');
  await harness.sql(`insert into crm.my_notes values ('mine')`);
  // The owner of the tables publishes them; the login that reads them needs REPLICATION and SELECT.
  await harness.sql('select sync.create_publication()');
  await publisher.addLogin('warehouse');
  await publisher.sql('alter role warehouse replication');
  await harness.sql('grant usage on schema crm, sync to warehouse');
  await harness.sql('grant select on all tables in schema crm to warehouse');
  await harness.sql('grant select on sync.contact_versions to warehouse');

  analyst = await connect(warehouse.url());
  await prepareWarehouse();
  const from = new URL(publisher.urlOf('warehouse'));
  const parts = { host: from.hostname, port: from.port, dbname: from.pathname.slice(1), user: from.username, password: from.password };
  const conninfo = Object.entries(parts).map(([name, value]) => `${name}=${value}`);
  await analyst.query(
    `create subscription relate_mirror connection '${conninfo.join(' ')}' publication relate_mirror, relate_mirror_history`,
  );
}, 120_000);
afterAll(async () => {
  await analyst.end();
  // The subscriber first: a publisher waits for it at its own stop.
  await warehouse.stop();
  await harness.close();
  await publisher.stop();
});

describe('a warehouse', { timeout: 120_000 }, () => {
  it('gets what is there, and the history so far', async () => {
    await arrived();
    expect((await analyst.query('select from bi.contact_history')).rowCount).toBeGreaterThanOrEqual(20);
  });

  it('follows every kind of edit of either side, deletions and links included, version by version', async () => {
    const [first, second, third] = await harness.sql('select id, crm_id from crm.contacts order by id limit 3');
    await harness.sql(
      `insert into crm.contacts (first_name, email, phones) values ('Ada', 'ada@example.com', '[{"number": "+41 61 5550000"}]')`,
    );
    await harness.sql(`update crm.contacts set city = 'Rome', custom_fields = custom_fields || '{"cf_nickname": "Al"}' where id = $1`, [
      first?.['id'],
    ]);
    await harness.sql(`update crm.contacts set state = 'BE'`);
    await harness.sql('delete from crm.contact_companies where contact_id = $1', [first?.['id']]);
    await harness.sql('insert into crm.contact_deals select $1, 3 on conflict do nothing', [first?.['id']]);
    await harness.sql('delete from crm.contacts where id = $1', [second?.['id']]);
    harness.account.update(Number(third?.['crm_id']), { job_title: 'Chief' });
    harness.account.create({ first_name: 'Bob', email: 'bob@example.com' });
    await harness.settle();
    await arrived();

    const { rows } = await analyst.query<Record<string, unknown>>(
      `select op, origin, who, valid_to is null as latest from bi.contact_history where contact_id = $1 order by version_id`,
      [second?.['id']],
    );
    expect(rows).toEqual([
      { op: 'insert', origin: 'resync', who: 'CRM', latest: false },
      { op: 'update', origin: 'mirror', who: OWNER, latest: false },
      { op: 'delete', origin: 'mirror', who: OWNER, latest: true },
    ]);
    expect((await analyst.query('select from crm.contacts where id = $1', [second?.['id']])).rowCount).toBe(0);
    const nickname = await analyst.query<{ cf: string }>(`select custom_fields ->> 'cf_nickname' as cf from crm.contacts where id = $1`, [
      first?.['id'],
    ]);
    expect(nickname.rows).toEqual([{ cf: 'Al' }]);
  });

  it('is sent nothing of a table that somebody added to the schema, and which stays his to write', async () => {
    await harness.sql(`update crm.my_notes set note = 'still mine'`);
    const published = await harness.sql(`select format('%s.%s', schemaname, tablename) as name from pg_publication_tables order by 1`);
    expect(published.map(({ name }) => name)).toEqual(TABLES.toSorted());
  });

  it('has nothing of the mirror’s own but the tables: no trigger, no log, no state', async () => {
    const { rows } = await analyst.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c
       where c.relnamespace::regnamespace::text in ('crm', 'sync', 'bi') and c.relkind in ('r', 'p', 'v', 'S') order by 1`,
    );
    expect(rows.map(({ name }) => name)).toEqual([...TABLES, 'bi.contact_history'].toSorted());
    expect((await analyst.query('select from pg_trigger where not tgisinternal')).rowCount).toBe(0);
  });

  it('keeps versions for longer than the mirror does, also where a month’s table was made anew', async () => {
    const old = (contact: number, day: number, city: string, count = 1): string =>
      `insert into sync.contact_versions (contact_id, valid_from, op, origin, who, first_name, phones, custom_fields, city, street)
       select ${contact}, date_trunc('month', clock_timestamp(), 'UTC') - interval '30 months' + interval '${day} days', 'update', 'crm', 'CRM', 'Old', '[]', '{}',
         '${city}', (select string_agg(md5(n || '.' || m), '') from generate_series(1, 25) m) from generate_series(1, ${count}) n`;
    await harness.sql(`select sync.add_history_month(clock_timestamp() - interval '30 months')`);
    await harness.sql(old(999_999, 5, 'first', 3000));
    await harness.sql(old(999_999, 6, 'second'));
    await harness.sql(old(999_998, 40, 'first'));
    await harness.sql(old(999_998, 41, 'second'));
    await arrived();
    // Looked through already: as if the retention had moved on.
    await harness.sql('update sync.account set history_pruned_to = null');
    const prune = async () => Number((await harness.sql('select sync.prune_history(365) as n'))[0]?.['n']);
    // A month's table made anew, and a row deleted.
    expect([await prune(), await prune()]).toEqual([3000, 1]);
    await harness.sql(`update crm.contacts set city = 'After'`);
    await until(
      'the edit after the pruning',
      async () => (await behind(TABLES.filter((table) => table !== 'sync.contact_versions'))).length === 0,
    );
    const { rows } = await analyst.query<{ city: string }>(
      'select city from sync.contact_versions where contact_id in (999998, 999999) group by contact_id, city order by contact_id, city',
    );
    expect(rows.map(({ city }) => city)).toEqual(['first', 'second', 'first', 'second']);
  });

  it('waits for a column that an upgrade brought, and goes on once it has it', async () => {
    await harness.sql('alter table crm.contacts add column tomorrow text');
    await harness.sql(`update crm.contacts set tomorrow = 'yes'`);
    await until('the subscription stopped by the missing column', async () => {
      const { rows } = await analyst.query<{ errors: string }>('select apply_error_count as errors from pg_stat_subscription_stats');
      return Number(rows[0]?.errors) > 0;
    });
    await prepareWarehouse();
    const [edited] = await harness.sql(`select count(*)::int as n from crm.contacts where tomorrow = 'yes'`);
    let there: unknown;
    await until('the edit with the new column', async () => {
      there = (await analyst.query<{ n: number }>(`select count(*)::int as n from crm.contacts where tomorrow = 'yes'`)).rows[0]?.n;
      return there !== 0;
    });
    expect(there).toBe(edited?.['n']);
  });

  it('is refused to a login without the right to read', async () => {
    await publisher.addLogin('stranger');
    const stranger = await publisher.as('stranger');
    expect(await refusal(stranger, 'select * from sync.contact_versions')).toMatchObject({ code: '42501' });
    expect(await refusal(stranger, 'select sync.create_publication()')).toMatchObject({ code: '42501' });
  });
});

it('keeps the history that the mirror forgets', { timeout: 60_000 }, async () => {
  const count = async (): Promise<number> =>
    Number((await analyst.query<{ n: string }>('select count(*) as n from bi.contact_history')).rows[0]?.n);
  const before = await count();
  expect(before).toBeGreaterThan(20);
  await harness.sql('select sync.switch_history(false)');
  await harness.sql('select sync.forget_history()');
  expect(await harness.sql('select from sync.contact_versions')).toEqual([]);
  await harness.sql(`insert into crm.contacts (first_name) values ('Behind the switch')`);
  await until('what came behind the switch', async () => {
    const { rowCount } = await analyst.query(`select from crm.contacts where first_name = 'Behind the switch'`);
    return rowCount === 1;
  });
  expect(await count()).toBe(before);
});

it('the publications can be made again after an upgrade that brings a table', async () => {
  const [row] = await harness.sql(`select array_to_string(array_append(sync.mirrored_tables(), 'brand_new'), ''', ''') as names`);
  await harness.sql('create table crm.brand_new (id bigint primary key)');
  await harness.sql(
    `create or replace function sync.mirrored_tables() returns text[] language sql immutable return array['${String(row?.['names'])}']`,
  );
  await harness.sql('select sync.create_publication()');
  const rows = await harness.sql(`select pubname, count(*)::int as tables from pg_publication_tables group by pubname order by pubname`);
  expect(rows).toEqual([
    { pubname: 'relate_mirror', tables: 11 },
    { pubname: 'relate_mirror_history', tables: 1 },
  ]);
});
