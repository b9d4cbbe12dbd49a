/** bi.contacts: what its columns say, whatever stands in the jsonb; and that no column ever goes, moves or changes its type. */
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { asDaemon, connect, one } from './editing.ts';

let database: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
});
afterEach(async () => {
  await client.end();
  await database.drop();
});

type Field = readonly [
  name: string,
  type: string,
  given?: { readonly label?: string; readonly crmType?: string; readonly options?: unknown },
];
const rowsOf = async (sql: string, values: unknown[] = []) => (await client.query<Record<string, unknown>>(sql, values)).rows;
const refresh = () => one<string>(client, 'select sync.refresh_bi() as value');
/** As the CRM's list declares it. */
const define = async (...fields: readonly Field[]): Promise<void> => {
  for (const [name, type, { label = null, crmType = null, options = [] } = {}] of fields)
    await client.query(
      `insert into sync.custom_fields (name, type, label, options, origin, crm_type) values ($1, $2, $3, $4, 'crm', $5)
       on conflict (name) do update set type = excluded.type, label = excluded.label, options = excluded.options, gone_at = null`,
      [name, type, label, JSON.stringify(options), crmType],
    );
};
const add = (fields: { readonly [name: string]: unknown }) =>
  asDaemon(client, `insert into crm.contacts (first_name, custom_fields) values ('Ann', ${client.escapeLiteral(JSON.stringify(fields))})`);
const columns = async () =>
  await rowsOf(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = 'bi.contacts'::regclass and attnum > 0 order by attnum`,
  );
const typed = async () => (await columns()).slice(BASE.length).map(({ name, type }) => `${String(name)} ${String(type)}`);
const states = async () =>
  (await rowsOf('select column_name, state from bi.custom_fields order by added_at, column_name')).map((row) =>
    Object.values(row).join(' '),
  );

const BASE = (
  'id crm_id full_name first_name last_name email phone phone_e164 phone_count user_id user_name source_id source_name job_title street city state ' +
  'postal_code country_id country_name company_count deal_count activity_count crm_created_at crm_updated_at custom_fields extra'
).split(' ');

describe('every contact', () => {
  it('has its scalars, names beside ids, and counts; activities are null until the CRM has told them', async () => {
    expect((await columns()).map(({ name }) => name)).toEqual(BASE);
    await asDaemon(
      client,
      `insert into crm.users values (3, 'Eve')`,
      `insert into crm.contacts (crm_id, first_name, last_name, user_id, source_id, phones)
       values (7, 'Ann', 'Bee', 3, 9, '[{"number": "1"}, {"number": "2"}]'), (8, 'Cid', null, null, null, '[]')`,
      `insert into crm.contact_companies select id, n from crm.contacts, generate_series(1, 2) n where crm_id = 7`,
      `insert into crm.contact_activities select id, 5 from crm.contacts where crm_id = 7`,
      `insert into sync.contact_state (contact_id, crm_id, activities) select id, crm_id, case when crm_id = 7 then array[5::bigint] end from crm.contacts`,
    );
    const told =
      'full_name, phone, phone_count, user_name, source_id, source_name, company_count::int, deal_count::int, activity_count::int';
    expect(await rowsOf(`select ${told} from bi.contacts order by crm_id`)).toEqual([
      {
        full_name: 'Ann Bee',
        phone: '1',
        phone_count: 2,
        user_name: 'Eve',
        source_id: 9,
        source_name: null,
        company_count: 2,
        deal_count: 0,
        activity_count: 1,
      },
      {
        full_name: 'Cid',
        phone: null,
        phone_count: 0,
        user_name: null,
        source_id: null,
        source_name: null,
        company_count: 0,
        deal_count: 0,
        activity_count: null,
      },
    ]);
  });

  it('costs no join and no count that is not asked for', async () => {
    const plan = await rowsOf('explain (verbose) select id, city from bi.contacts');
    expect(plan.map((row) => String(row['QUERY PLAN'])).filter((line) => /Join|SubPlan|users|contact_/.test(line))).toEqual([]);
  });

  it('with the same options has the same value, in whatever order they were typed', async () => {
    const options = [2, 10, 21].map((id) => ({ id, label: `L${id}` }));
    await define(['cf_several', 'options', { options }]);
    await refresh();
    await add({ cf_several: [21, 10, 2] });
    await add({ cf_several: [10, 2, 21] });
    expect(await rowsOf('select cf_several, count(*)::int as n from bi.contacts group by 1')).toEqual([
      { cf_several: ['L2', 'L10', 'L21'], n: 2 },
    ]);
  });
});

const OPTIONS = [
  { id: 1, label: 'Bronze' },
  { id: 2, label: `It's "gold" \\ %s` },
];

describe('typed columns', () => {
  it('show numbers, booleans, dates, times and labels; ids where no label is known', async () => {
    await define(['cf_n', 'number'], ['cf_b', 'boolean'], ['cf_d', 'date'], ['cf_t', 'datetime'], ['cf_x', 'text']);
    await define(['cf_o', 'option', { options: OPTIONS }], ['cf_oo', 'options', { options: OPTIONS }]);
    expect(await refresh()).toBe('changed');
    expect(await refresh()).toBe('same');
    expect(await typed()).toEqual([
      'cf_b boolean',
      'cf_d date',
      'cf_n numeric',
      'cf_o text',
      'cf_oo text[]',
      'cf_t timestamp with time zone',
      'cf_x text',
    ]);
    await add({ cf_n: 1.5, cf_b: false, cf_d: '2024-02-29', cf_t: '2026-01-23T04:58:56Z', cf_x: 'hi', cf_o: 2, cf_oo: [1, 2, 9] });
    await add({ cf_o: 9, cf_t: '2026-01-23 04:58+02:00', cf_d: '2026-12-31' });
    await client.query(`set timezone = 'Asia/Tokyo'; set datestyle = 'german'`);
    const shown = `cf_n::text, cf_b, to_char(cf_d, 'YYYY-MM-DD') as cf_d, to_char(cf_t at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as cf_t, cf_x, cf_o, cf_oo`;
    expect(await rowsOf(`select ${shown} from bi.contacts order by id`)).toEqual([
      {
        cf_n: '1.5',
        cf_b: false,
        cf_d: '2024-02-29',
        cf_t: '2026-01-23 04:58:56',
        cf_x: 'hi',
        cf_o: OPTIONS[1]?.label,
        cf_oo: ['Bronze', OPTIONS[1]?.label, '9'],
      },
      { cf_n: null, cf_b: null, cf_d: '2026-12-31', cf_t: '2026-01-23 02:58:00', cf_x: null, cf_o: '9', cf_oo: null },
    ]);
  });

  it('are null, never an error, where the value does not fit; after a sweep it is told how many', async () => {
    await define(['cf_n', 'number'], ['cf_b', 'boolean'], ['cf_d', 'date'], ['cf_t', 'datetime'], ['cf_oo', 'options']);
    await refresh();
    const hostile = [
      '',
      ' ',
      '2021-02-29',
      '1900-02-29',
      '2021-13-01',
      '2021-1-1',
      '0000-01-01',
      '9999-99-99',
      '2021-12-05T00:00:00Z x',
      'infinity',
      'now',
      'epoch',
      'today',

      '2026-01-23T25:00:00Z',
      '2026-01-23T10:60:00Z',
      '2026-01-23T10:00:60Z',
      '2026-01-23T10:00:00+99:00',
      '2026-01-23T10:00:00Z\n',
      '-1-1-1',
      "'; drop",
      '１２３４-01-01',
      true,
      5,
      -0.5,
      [],
      [[]],
      [null],
      {},
      { id: 1 },
      1e300,
      1e-300,
      'x'.repeat(10_000),
    ];
    for (const value of hostile) await add(Object.fromEntries(['cf_n', 'cf_b', 'cf_d', 'cf_t', 'cf_oo'].map((name) => [name, value])));
    for (const digits of ['9'.repeat(10_000), `0.${'9'.repeat(10_000)}`, '1e9999', '-1e38'])
      await asDaemon(
        client,
        `insert into crm.contacts (first_name, custom_fields) values ('Big', '{"cf_n": ${digits}, "cf_b": ${digits}, "cf_t": ${digits}}')`,
      );
    const rows = await rowsOf(
      `select cf_n::text, cf_b, cf_d::text, cf_t::text, cf_oo from bi.contacts where num_nonnulls(cf_n, cf_b, cf_d, cf_t, cf_oo) > 0 order by id`,
    );
    const nothing = { cf_n: null, cf_b: null, cf_d: null, cf_t: null, cf_oo: null };
    expect(rows).toEqual(
      [
        { ...nothing, cf_b: true },
        { ...nothing, cf_n: '5' },
        { ...nothing, cf_n: '-0.5' },
        { ...nothing, cf_oo: [null] },
        { ...nothing, cf_oo: ['[]'] },
      ].toSorted((a, b) => Number(a.cf_oo?.[0] === null) - Number(b.cf_oo?.[0] === null)),
    );
    expect(await rowsOf('select distinct unfit from bi.custom_fields')).toEqual([{ unfit: null }]);
    await client.query('select sync.count_custom_values()');
    expect(await rowsOf('select column_name, unfit::int from bi.custom_fields order by 1')).toEqual([
      { column_name: 'cf_b', unfit: hostile.length + 4 - 1 },
      { column_name: 'cf_d', unfit: hostile.length },
      { column_name: 'cf_n', unfit: hostile.length + 4 - 2 },
      { column_name: 'cf_oo', unfit: hostile.length - 3 },
      { column_name: 'cf_t', unfit: hostile.length + 4 },
    ]);
  });
});

describe('a column', () => {
  it('stays where it is, whatever becomes of its field', async () => {
    await define(['cf_score', 'number', { label: 'Score' }], ['cf_day', 'date']);
    await refresh();
    await add({ cf_score: 5, cf_day: '2026-01-01' });
    await define(['cf_score', 'text', { label: 'Grade' }], ['cf_new', 'boolean']);
    await refresh();
    const first = ['cf_day date', 'cf_score numeric', 'cf_new boolean', 'cf_score_text text'];
    expect(await typed()).toEqual(first);
    expect(await rowsOf('select cf_score, cf_score_text from bi.contacts')).toEqual([{ cf_score: null, cf_score_text: '5' }]);
    await client.query(`update sync.custom_fields set gone_at = now() where name = 'cf_day'`);
    await define(['cf_score', 'number', { label: 'Score' }]);
    await refresh();
    expect(await typed()).toEqual(first);
    expect(await rowsOf('select cf_score::int, cf_score_text, cf_day from bi.contacts')).toEqual([
      { cf_score: 5, cf_score_text: null, cf_day: null },
    ]);
    expect(await states()).toEqual(['cf_day gone', 'cf_score current', 'cf_new current', 'cf_score_text retyped']);
    await define(['cf_day', 'date']);
    await refresh();
    expect(await rowsOf('select cf_day::text from bi.contacts')).toEqual([{ cf_day: '2026-01-01' }]);
    expect(await typed()).toEqual(first);
    expect(
      (await rowsOf('select field, change from sync.custom_field_changes order by id')).map((row) => Object.values(row).join(' ')),
    ).toEqual([
      'cf_score added',
      'cf_day added',
      'cf_score retyped',
      'cf_score relabelled',
      'cf_new added',
      'cf_day gone',
      'cf_score retyped',
      'cf_score relabelled',
      'cf_day back',
    ]);
  });

  it('of a text that becomes an option, or the other way round, is the same column', async () => {
    await define(['cf_tier', 'text']);
    await refresh();
    await add({ cf_tier: 'Old' });
    await add({ cf_tier: 1 });
    await define(['cf_tier', 'option', { options: OPTIONS }]);
    expect(await refresh()).toBe('changed');
    expect(await typed()).toEqual(['cf_tier text']);
    expect(await rowsOf('select cf_tier from bi.contacts order by id')).toEqual([{ cf_tier: 'Old' }, { cf_tier: 'Bronze' }]);
  });

  it('has a name that Postgres can hold and no other column has', async () => {
    const long = `cf_${'ö'.repeat(40)}`;
    await define(
      ['cf_a', 'number'],
      ['cf_a_text', 'number'],
      [`${long}1`, 'text'],
      [`${long}2`, 'text'],
      ['cf_Ä "q" \'; --', 'text'],
      ['cf_%s %1$L', 'date'],
    );
    await refresh();
    await define(['cf_a', 'text']);
    await refresh();
    const names = (await columns()).slice(BASE.length).map(({ name }) => String(name));
    expect(names).toHaveLength(7);
    expect(names).toEqual(expect.arrayContaining(['cf_a', 'cf_a_text', 'cf_a_text_2', 'cf_Ä "q" \'; --', 'cf_%s %1$L']));
    expect(names.filter((name) => name.startsWith('cf_ö')).toSorted()).toEqual(
      [`cf_${'ö'.repeat(27)}_text`, `cf_${'ö'.repeat(30)}`].toSorted(),
    );
    await add({ [`${long}2`]: 'two' });
    expect(await rowsOf(`select "cf_${'ö'.repeat(27)}_text" as two from bi.contacts`)).toEqual([{ two: 'two' }]);
  });

  it('says in its comment what it is, in the words of the CRM', async () => {
    await define(['cf_score', 'number', { label: `Lead's "score"` }]);
    await refresh();
    const comment = () => one<string>(client, `select col_description('bi.contacts'::regclass, ${BASE.length + 1}) as value`);
    expect(await comment()).toBe(`Lead's "score" (custom field cf_score, number).`);
    await define(['cf_score', 'text', { label: 'Grade' }]);
    await refresh();
    expect(await comment()).toMatch(
      /^Grade \(custom field cf_score, number\)\. Null: the field's type changed on \d{4}-\d\d-\d\d\. Its values are in cf_score_text\.$/,
    );
  });

  it('waits for whoever reads the view in a long transaction, says so, and keeps nobody waiting', async () => {
    const reader = await connect(database.url);
    await reader.query('begin');
    await reader.query('select count(*) from bi.contacts');
    await define(['cf_score', 'number']);
    expect(await refresh()).toBe('waits');
    expect(await one(client, 'select waits_since is not null as value from sync.bi_refresh')).toBe(true);
    expect(await rowsOf('select * from bi.custom_fields')).toEqual([]);
    await reader.query('select count(*) from bi.contacts');
    await reader.query('commit');
    await reader.end();
    expect(await refresh()).toBe('changed');
    expect(await one(client, 'select waits_since is null as value from sync.bi_refresh')).toBe(true);
    expect(await typed()).toEqual(['cf_score numeric']);
  });

  it('that waits says so as long as it does: also where the field is again what it was', async () => {
    await define(['cf_score', 'number', { label: 'Score' }]);
    await refresh();
    const waits = () => one(client, 'select waits_since is not null as value from sync.bi_waiting');
    const other = await connect(database.url);
    await other.query('begin');
    await other.query('select count(*) from bi.contacts');
    await define(['cf_score', 'text', { label: 'Score' }]);
    expect(await refresh()).toBe('waits');
    expect(await waits()).toBe(true);
    await define(['cf_score', 'number', { label: 'Score' }]);
    expect(await refresh()).toBe('same');
    expect(await waits()).toBe(false);
    const before = await one(client, 'select xmin::text as value from sync.bi_refresh');
    expect(await refresh()).toBe('same');
    expect(await one(client, 'select xmin::text as value from sync.bi_refresh')).toBe(before);
    await other.query('rollback');
    await other.end();
  });

  it('is made by one call at a time: the other is told to come again', async () => {
    await define(['cf_score', 'number']);
    const other = await connect(database.url);
    await other.query('begin');
    expect(await one(other, 'select sync.refresh_bi() as value')).toBe('changed');
    expect(await refresh()).toBe('waits');
    await other.query('commit');
    await other.end();
    expect(await refresh()).toBe('same');
    expect(await typed()).toEqual(['cf_score numeric']);
  });

  it('of a field that only records showed comes once the CRM’s list was read again, or, without a list, once everything was read', async () => {
    const see = (name: string) =>
      client.query(`insert into sync.custom_fields (name, type, origin) values ($1, 'number', 'inferred')`, [name]);
    await see('cf_a');
    await refresh();
    expect(await typed()).toEqual([]);
    await client.query('update sync.account set first_sweep_at = now()');
    await refresh();
    expect(await typed()).toEqual(['cf_a numeric']);
    await client.query('update sync.bi_refresh set fields_read_at = now()');
    await see('cf_b');
    await refresh();
    expect(await typed()).toEqual(['cf_a numeric']);
    expect(await one(client, 'select fields_wanted_at > fields_read_at as value from sync.bi_refresh')).toBe(true);
    await client.query('update sync.bi_refresh set fields_read_at = now()');
    await refresh();
    expect(await typed()).toEqual(['cf_a numeric', 'cf_b numeric']);
  });

  it('is not made where there would be too many; that is told', async () => {
    await client.query(
      `insert into sync.custom_fields (name, type, origin) select 'cf_' || n, 'number', 'crm' from generate_series(1, 1203) n`,
    );
    // Readers wait for the view while it is made: not for all columns at once.
    expect(await refresh()).toBe('changed');
    expect(await typed()).toHaveLength(100);
    for (let columns = 200; columns <= 1200; columns += 100) expect(await refresh()).toBe('changed');
    expect(await refresh()).toBe('same');
    expect(await typed()).toHaveLength(1200);
    expect(await one(client, 'select over_limit as value from sync.bi_refresh')).toBe(3);
  });
});
