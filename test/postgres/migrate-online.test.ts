/** A database in use is migrated under its users: nobody who writes or reads waits for a migration that waits for somebody else. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { indexesIn } from '../../src/postgres/migrate-online.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, connect, one } from './editing.ts';

let database: TestDatabase;
let folder: string;
let others: pg.Client[];

beforeEach(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'relate-mirror-online-'));
  await cp('drizzle', folder, { recursive: true });
  others = [];
});
afterEach(async () => {
  for (const client of others) await client.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

/** Of somebody who would rather fail than wait for long. */
const connectUser = async (): Promise<pg.Client> => {
  const client = await connect(database.url);
  await client.query(`set statement_timeout = '20s'`);
  others.push(client);
  return client;
};

interface Journal {
  readonly entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[];
}
const addMigration = async (...statements: readonly string[]): Promise<void> => {
  const path = join(folder, 'meta', '_journal.json');
  const journal = JSON.parse(await readFile(path, 'utf8')) as Journal;
  const idx = journal.entries.length;
  const entry = { idx, version: '7', when: (journal.entries.at(-1)?.when ?? 0) + 1, tag: `${idx}_test`, breakpoints: true };
  await writeFile(join(folder, `${entry.tag}.sql`), statements.join(';\n--> statement-breakpoint\n'));
  await writeFile(path, JSON.stringify({ ...journal, entries: [...journal.entries, entry] }));
};

/** `told` resolves when it says this for the first time. */
const migrate = (message = ''): { readonly done: Promise<unknown>; readonly told: Promise<object> } => {
  const told = Promise.withResolvers<object>();
  const hear = (fields: object, text: string): void => {
    if (text.includes(message)) told.resolve(fields);
  };
  const log = { debug: hear, info: hear, warn: hear, error: hear };
  return { done: migrateDatabase({ connectionString: database.url, migrationsFolder: folder, log }), told: told.promise };
};

const isValid = (client: pg.Client, name: string) =>
  one<boolean>(client, `select bool_and(indisvalid) as value from pg_index where indexrelid = to_regclass($1)`, [`crm.${name}`]);
const waitsForSomebody = async (client: pg.Client): Promise<void> => {
  const sql = `select count(*)::int as value from pg_stat_activity where application_name = 'relate-mirror migrate' and wait_event_type = 'Lock'
    and datname = current_database()`;
  while ((await one<number>(client, sql)) === 0) await new Promise((resolve) => setImmediate(resolve));
};

it('an index is made while people write, and waits for a transaction without keeping anybody waiting', async () => {
  const [slow, writer] = [await connectUser(), await connectUser()];
  const id = await addContact(writer, 'Ann');
  await addMigration('-- For a question.\ncreate index if not exists "contacts_test" on "crm"."contacts" using btree ("city")');
  await slow.query('begin');
  await slow.query(`update crm.contacts set city = 'Rome' where id = $1`, [id]);
  const { done } = migrate();
  await waitsForSomebody(writer);
  await addContact(writer, 'Bob');
  await writer.query(`update crm.contacts set city = 'Oslo' where first_name = 'Bob'`);
  expect(await one(writer, 'select count(*)::int as value from bi.contact_phones')).toBe(0);
  await slow.query('commit');
  expect(await done).toMatchObject({ applied: 1 });
  expect(await isValid(writer, 'contacts_test')).toBe(true);
});

it('half of an index that an attempt left behind is made anew', async () => {
  const client = await connectUser();
  for (const name of ['Ann', 'Bob']) await client.query(`insert into crm.contacts (first_name, city) values ($1, 'Rome')`, [name]);
  await expect(client.query('create unique index concurrently contacts_test on crm.contacts (city)')).rejects.toThrow(
    'could not create unique index',
  );
  expect(await isValid(client, 'contacts_test')).toBe(false);
  await addMigration('create index if not exists contacts_test on crm.contacts (city)');
  expect(await migrate().done).toMatchObject({ applied: 1 });
  expect(await isValid(client, 'contacts_test')).toBe(true);
});

it('twenty that wait for their turn do not keep the index waiting', async () => {
  await addMigration('create index if not exists contacts_test on crm.contacts (city)');
  const results = await Promise.all(Array.from({ length: 20 }, async () => await migrate().done));
  expect(results.filter((result) => (result as { applied: number }).applied === 1)).toHaveLength(1);
});

it('an index of what the same run makes is left to the migration', async () => {
  const client = await connectUser();
  await addMigration(
    'alter table crm.contacts add column tomorrow text',
    'create index if not exists contacts_test on crm.contacts (tomorrow)',
    'create table crm.later (id bigint)',
    'create index if not exists later_test on crm.later (id)',
  );
  expect(await migrate().done).toMatchObject({ applied: 1 });
  expect([await isValid(client, 'contacts_test'), await isValid(client, 'later_test')]).toEqual([true, true]);
});

it('a view is replaced once nobody is in the way; until then others read it and write', async () => {
  const [report, reader] = [await connectUser(), await connectUser()];
  await report.query('begin');
  await report.query('select count(*) from bi.companies');
  await addMigration(
    `alter table crm.contacts alter column city set statistics 200`,
    `create or replace view bi.companies as select id, name, 1 as more from crm.companies`,
  );
  const { done, told } = migrate('waits for somebody');
  const pid = await one<number>(report, 'select pg_backend_pid() as value');
  expect(await told).toMatchObject({ pid });
  for (let n = 1; n <= 5; n += 1) {
    expect(await one(reader, 'select count(*)::int as value from bi.companies')).toBe(0);
    await addContact(reader, `Reader ${n}`);
  }
  await report.query('commit');
  expect(await done).toMatchObject({ applied: 1 });
  expect((await reader.query('select * from bi.companies')).fields.map(({ name }) => name)).toEqual(['id', 'name', 'more']);
});

it('takes for such an index what says so, whatever its expression', () => {
  expect(
    indexesIn([
      `-- Why.\nCREATE INDEX IF NOT EXISTS "a_b" ON "crm"."contacts" USING btree ("x" DESC NULLS LAST,lower("y"));`,
      'create index c on crm.contacts (z)',
      'create table crm.x ()',
    ]),
  ).toEqual([
    {
      name: 'a_b',
      table: '"crm"."contacts"',
      statement: 'create index concurrently if not exists "a_b" on "crm"."contacts" USING btree ("x" DESC NULLS LAST,lower("y"))',
    },
  ]);
});
