import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { type TestDatabase, createTestDatabase } from './database.ts';

const made: TestDatabase[] = [];
const make = async (options?: { empty: boolean }): Promise<TestDatabase> => {
  const database = await createTestDatabase(options);
  made.push(database);
  return database;
};
afterEach(async () => {
  for (const database of made.splice(0)) await database.drop();
});

const query = async <T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
};

test('two test databases do not see each other', async () => {
  const [one, two] = await Promise.all([make({ empty: true }), make({ empty: true })]);
  await query(one.url, 'create table only_here (a int)');
  expect(await query(one.url, "select to_regclass('only_here')::text as found")).toEqual([{ found: 'only_here' }]);
  expect(await query(two.url, "select to_regclass('only_here')::text as found")).toEqual([{ found: null }]);
});

test('a test database comes with the migrations applied, an empty one without', async () => {
  const [migrated, empty] = await Promise.all([make(), make({ empty: true })]);
  expect(await query(migrated.url, "select to_regclass('crm.contacts')::text as found")).toEqual([{ found: 'crm.contacts' }]);
  expect(await query(empty.url, "select to_regclass('crm.contacts')::text as found")).toEqual([{ found: null }]);
});

test('drop ends open connections and may be repeated', async () => {
  const database = await make({ empty: true });
  const client = new pg.Client({ connectionString: database.url });
  const ended = new Promise((resolve) => client.on('error', resolve));
  await client.connect();
  await database.drop();
  await database.drop();
  expect(await ended).toMatchObject({ code: '57P01' });
});
