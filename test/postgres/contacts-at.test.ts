/** bi.contacts_at: the planner sees through it, it refuses what it cannot tell in whatever way it is asked, and a clock set back changes no answer. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { connect, one, refusal } from './editing.ts';

let database: TestDatabase;
let client: pg.Client;

/** 200 contacts with up to six versions each, whose times are in no order: numbered as written, by a clock that was set back again and again. */
const SCRAMBLED = `
  insert into sync.contact_versions (contact_id, valid_from, op, origin, who, phones, custom_fields, city)
  select n % 200, timestamptz '2026-01-15Z' + random() * interval '120 days', (array['insert', 'update', 'update', 'delete', 'snapshot'])[1 + floor(random() * 5)::int],
    'mirror', 'somebody', '[]', '{}', 'City ' || n
  from generate_series(1, 800) n`;

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
  await client.query(`select sync.add_history_month(m) from generate_series(timestamptz '2026-01-01Z', '2026-06-01Z', '1 month') m`);
  await client.query(SCRAMBLED);
  await client.query(`update sync.account set history_since = '2026-01-01Z'`);
  await client.query('analyze sync.contact_versions');
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const planOf = async (sql: string): Promise<string> =>
  (await client.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${sql}`)).rows.map((row) => row['QUERY PLAN']).join('\n');

it('is the version of the highest number up to the moment, whatever the times of the others', async () => {
  const plainly = `
    select contact_id as id, city from (
      select *, row_number() over (partition by contact_id order by id desc) as nth from sync.contact_versions where valid_from <= $1) v
    where nth = 1 and op <> 'delete' order by 1`;
  const counts: number[] = [];
  for (let day = 0; day <= 150; day += 10) {
    const moment = new Date(Date.UTC(2026, 0, 1 + day)).toISOString();
    const { rows } = await client.query(plainly, [moment]);
    expect((await client.query('select id, city from bi.contacts_at($1) order by 1', [moment])).rows).toEqual(rows);
    counts.push(rows.length);
  }
  expect(counts[0]).toBe(0);
  expect(Math.max(...counts)).toBeGreaterThan(50);
});

it('is seen through by the planner: the months after the moment and the columns that nobody asks for are not read', async () => {
  const plan = await planOf(`select city, count(*) from bi.contacts_at('2026-03-10Z') group by city`);
  expect(plan).not.toContain('Function Scan');
  expect(plan).toContain('contact_versions_2026_03');
  expect(plan).not.toContain('contact_versions_2026_04');
  expect(await planOf('select count(*) from bi.contacts_at(clock_timestamp())')).toContain('Function Scan');
});

it("does not look for its operators along the asker's search_path", async () => {
  const ask = `select count(*)::int as value from bi.contacts_at('2026-03-10Z')`;
  const plainly = await one(client, ask);
  await client.query(`
    create schema trap;
    create function trap.never(text, text) returns boolean language sql return false;
    create operator trap.<> (leftarg = text, rightarg = text, function = trap.never);
    set search_path = trap, pg_catalog`);
  expect(await one(client, `select 'a'::text <> 'b'::text as value`)).toBe(false);
  expect(await one(client, ask)).toBe(plainly);
  await client.query('reset search_path');
});

it.each([
  [
    'a null moment',
    '22004',
    ['null', 'nullif(now(), now())', '(select null::timestamptz)', `nullif(clock_timestamp(), 'infinity') - null::interval`],
  ],
  [
    'a moment before the history',
    '22008',
    [`'2020-01-01'`, `'-infinity'`, `(select '2020-01-01'::timestamptz)`, `clock_timestamp() - interval '99 years'`],
  ],
])('refuses %s, however it is told', async (_what, code, moments) => {
  for (const moment of moments) {
    for (const sql of [`select * from bi.contacts_at(${moment})`, `select count(*) from bi.contacts_at(${moment}) where id = 7`]) {
      expect(await refusal(client, sql)).toMatchObject({ code });
    }
  }
  expect(await refusal(client, 'select count(*) from bi.contacts_at($1)', [code === '22004' ? null : '2020-01-01'])).toMatchObject({
    code,
  });
  expect(
    await refusal(client, `select count(*) from (values (${moments[0]}::timestamptz)) m (at) cross join lateral bi.contacts_at(m.at)`),
  ).toMatchObject({ code });
});

it('answers for several moments at once', async () => {
  const { rows } = await client.query<{ n: number }>(
    `select count(c.id)::int as n from generate_series(timestamptz '2026-02-01Z', '2026-05-01Z', '1 month') m left join lateral bi.contacts_at(m) c on true
     group by m order by m`,
  );
  expect(rows).toHaveLength(4);
  for (const [month, { n }] of rows.entries())
    expect(n).toBe(await one(client, 'select count(*)::int as value from bi.contacts_at($1)', [`2026-0${month + 2}-01Z`]));
});
