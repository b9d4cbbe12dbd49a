/** Every index of the tables that readers ask is one that a question of the cookbook uses; what they cost is paid by each change. */
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { planShape } from '../../bench/bi/plan.ts';
import { populate } from '../../bench/bi/population.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { readCookbook } from './cookbook.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const query = async <T extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []) =>
    (await client.query<T>(sql, [...values])).rows;
  await populate({ name: database.name, url: database.url, query, disconnect: () => Promise.resolve() }, 3000, () => undefined);
  // What a million rows would make dear is dear here as well.
  await client.query('set role relate_mirror_reader; set enable_seqscan = off; set enable_bitmapscan = off');
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

/** Of constraints there are as many as the data needs. */
const INDEXES = `
  select distinct x.relname as name from pg_index i join pg_class x on x.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
  where not i.indisunique and (t.relnamespace = 'crm'::regnamespace or t.oid in (select relid from pg_partition_tree('sync.contact_versions')))`;

it('is used by a question, and there is no other', async () => {
  const used = new Set<string>();
  for (const { sql } of readCookbook()) {
    const { rows } = await client.query<{ 'QUERY PLAN': unknown }>(`explain (format json) ${sql}`);
    for (const name of planShape(rows[0]?.['QUERY PLAN']).indexes) used.add(name);
  }
  const standing = (await client.query<{ name: string }>(INDEXES)).rows.map(({ name }) => name);
  expect(standing.filter((name) => !used.has(name))).toEqual([]);
  expect(standing.toSorted()).toEqual(['contact_companies_company_id', 'contact_deals_deal_id', 'contacts_crm_created_at']);
});

it('answers a count by source and country by itself, whatever else the view shows', async () => {
  const sql = 'select source_id, country_id, count(*) from bi.contacts group by source_id, country_id';
  const plan = (await client.query<{ 'QUERY PLAN': string }>(`explain ${sql}`)).rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toContain('Index Only Scan using contacts_crm_created_at');
});
