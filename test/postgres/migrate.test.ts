/** The database is at this program's schema, or the program says why it is not and does not start. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkServer, migrateDatabase, MigrationError } from '../../src/postgres/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { connect, one } from './editing.ts';

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let database: TestDatabase;
let client: pg.Client;
let folder: string;

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  client = await connect(database.url);
  folder = await mkdtemp(join(tmpdir(), 'relate-mirror-migrations-'));
  await cp('drizzle', folder, { recursive: true });
});
afterEach(async () => {
  await client.end();
  await database.drop();
  await rm(folder, { recursive: true });
});

interface Journal {
  readonly entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[];
}
const journalPath = () => join(folder, 'meta', '_journal.json');
const readJournal = async () => JSON.parse(await readFile(journalPath(), 'utf8')) as Journal;
const writeJournal = (journal: Journal) => writeFile(journalPath(), JSON.stringify(journal));
const addMigration = async (sql: string, when?: number): Promise<void> => {
  const journal = await readJournal();
  const idx = journal.entries.length;
  const entry = { idx, version: '7', when: when ?? (journal.entries.at(-1)?.when ?? 0) + 1, tag: `${idx}_test`, breakpoints: true };
  await writeFile(join(folder, `${entry.tag}.sql`), sql);
  await writeJournal({ ...journal, entries: [...journal.entries, entry].toSorted((a, b) => a.when - b.when) });
};
const migrate = () => migrateDatabase({ connectionString: database.url, migrationsFolder: folder });
const failure = async (): Promise<MigrationError> => {
  const error: unknown = await migrate().catch((cause: unknown) => cause);
  if (error instanceof MigrationError) return error;
  throw new Error('No MigrationError', { cause: error });
};

it('20 migrators at once: one applies all, the others find nothing to do', async () => {
  const results = await Promise.all(Array.from({ length: 20 }, () => migrateDatabase({ connectionString: database.url })));
  const { total } = results[0] ?? { total: 0 };
  expect(total).toBeGreaterThan(0);
  expect(results.map(({ applied }) => applied).toSorted((a, b) => b - a)).toEqual([total, ...Array.from({ length: 19 }, () => 0)]);
});

it('goes on where an older version of the program stopped', async () => {
  const { total } = await migrate();
  await addMigration('create table sync.tomorrow ()');
  expect(await migrate()).toEqual({ applied: 1, total: total + 1 });
  expect(await migrate()).toEqual({ applied: 0, total: total + 1 });
});

it('needs no right to create a schema where there is nothing to apply', async () => {
  await migrate();
  const role = `relate_test_daemon_${process.pid}`;
  await client.query(`create role ${role} login password 'x'; grant usage on schema relate_mirror to ${role}`);
  await client.query(`grant select on all tables in schema relate_mirror to ${role}`);
  const url = new URL(database.url);
  [url.username, url.password] = [role, 'x'];
  try {
    expect(await migrateDatabase({ connectionString: url.href })).toMatchObject({ applied: 0 });
  } finally {
    await client.query(`drop owned by ${role}; drop role ${role}`);
  }
});

it('says at once for whom it waits', async () => {
  const holder = await connect(database.url);
  await holder.query(`set application_name = 'somebody''s tool'`);
  const role = await one<string>(holder, 'select pg_advisory_lock(7210, 3), session_user::text as value');
  const pid = await one<number>(holder, 'select pg_backend_pid() as value');
  const told: unknown[] = [];
  const warn = (fields: object): void => {
    told.push(fields);
    void holder.end();
  };
  const log = { ...SILENT, warn };
  expect(await migrateDatabase({ connectionString: database.url, log })).not.toMatchObject({ applied: 0 });
  expect(told).toEqual([{ pid, role, application: `somebody's tool` }]);
});

describe('stops', () => {
  it('at a migration that was edited after it was applied', async () => {
    await migrate();
    const { entries } = await readJournal();
    const path = join(folder, `${entries[1]?.tag}.sql`);
    await writeFile(path, `${await readFile(path, 'utf8')}\n-- better`);
    expect(await failure()).toMatchObject({ code: 'edited' });
  });

  it('at a database that a newer version has migrated', async () => {
    await addMigration('create table sync.tomorrow ()');
    await migrate();
    const journal = await readJournal();
    await writeJournal({ ...journal, entries: journal.entries.slice(0, -1) });
    expect(await failure()).toMatchObject({ code: 'database_newer' });
  });

  it('at a new migration older than one that was applied, which drizzle would skip in silence', async () => {
    await migrate();
    const { entries } = await readJournal();
    await addMigration('create table sync.yesterday ()', (entries[0]?.when ?? 0) + 1);
    expect(await failure()).toMatchObject({ code: 'mismatch' });
  });

  it('at a journal that lost a row', async () => {
    await migrate();
    await client.query('delete from relate_mirror.__drizzle_migrations where id = 2');
    expect(await failure()).toMatchObject({ code: 'mismatch' });
  });

  it('at a migration that fails, and leaves nothing of it nor of those before it', async () => {
    await addMigration('create table sync.half (); select 1 / 0');
    const error = await failure();
    expect(error).toMatchObject({ code: 'failed', message: 'A migration failed and was rolled back: division by zero (SQLSTATE 22012)' });
    expect(await one(client, `select to_regnamespace('sync') is null as value`)).toBe(true);
    expect(await one(client, 'select count(*) as value from relate_mirror.__drizzle_migrations')).toBe(0);
  });

  it('at an old server, and at a database that cannot hold every text', () => {
    expect(() => checkServer(149_999, 'UTF8')).toThrow(expect.objectContaining({ code: 'unsupported_server' }));
    expect(() => checkServer(180_004, 'SQL_ASCII')).toThrow(expect.objectContaining({ code: 'unsupported_server' }));
    checkServer(150_000, 'UTF8');
  });
});

describe('what it makes', () => {
  let made: TestDatabase;
  let reader: pg.Client;
  beforeAll(async () => {
    made = await createTestDatabase();
    reader = await connect(made.url);
  });
  afterAll(async () => {
    await reader.end();
    await made.drop();
  });
  const names = async (sql: string) => (await reader.query<{ name: string }>(sql)).rows.map(({ name }) => name);
  const OURS = `(select oid from pg_namespace where nspname in ('crm', 'sync', 'bi'))`;

  it('has a comment on every schema, table, view, column and function, typed columns of custom fields among them', async () => {
    await reader.query(
      `insert into sync.custom_fields (name, type, origin, label) values ('cf_score', 'number', 'crm', 'Score of the lead')`,
    );
    await reader.query('select sync.refresh_bi()');
    expect(
      await names(`select col_description('bi.contacts'::regclass, attnum) as name from pg_attribute
      where attrelid = 'bi.contacts'::regclass and attname = 'cf_score'`),
    ).toEqual([expect.stringMatching(/^Score of the lead/)]);
    const silent = await names(`
      select n.nspname as name from pg_namespace n where n.oid in ${OURS} and obj_description(n.oid, 'pg_namespace') is null
      union all
      select c.oid::regclass::text from pg_class c where c.relnamespace in ${OURS} and c.relkind in ('r', 'v', 'p') and obj_description(c.oid, 'pg_class') is null
      union all
      select c.oid::regclass || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace in ${OURS} and c.relkind in ('r', 'v', 'p') and col_description(c.oid, a.attnum) is null
      union all
      select p.oid::regprocedure::text from pg_proc p where p.pronamespace in ${OURS} and obj_description(p.oid, 'pg_proc') is null`);
    expect(silent).toEqual([]);
  });

  it('has no comment on a column that only repeats its name', async () => {
    const letters = (text: string): string => `lower(regexp_replace(${text}, '[^a-zA-Z0-9]', '', 'g'))`;
    const idle = await names(`
      select c.oid::regclass || '.' || a.attname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace in ${OURS} and c.relkind in ('r', 'v', 'p') and not c.relispartition
        and (${letters('col_description(c.oid, a.attnum)')} = ${letters('a.attname')} or col_description(c.oid, a.attnum) !~ '\\s\\S+\\s')`);
    expect(idle).toEqual([]);
  });

  it('fixes the search_path of every function that runs with its owner’s rights', async () => {
    const loose = await names(`
      select oid::regprocedure::text as name from pg_proc
      where pronamespace in ${OURS} and prosecdef and not coalesce(array_to_string(proconfig, ','), '') like '%search_path=pg_catalog, pg_temp%'`);
    expect(loose).toEqual([]);
  });

  it('captures every event of the four tables, always', async () => {
    const triggers = await names(`
      select tgrelid::regclass || ' ' || tgname as name from pg_trigger
      where tgname like 'relate_mirror_capture_%' and tgenabled = 'A' and not tgisinternal order by 1`);
    const expected = ['crm.contact_activities', 'crm.contact_companies', 'crm.contact_deals', 'crm.contacts'].flatMap((table) =>
      ['delete', 'insert', 'update'].map((event) => `${table} relate_mirror_capture_${event}`),
    );
    expect(triggers).toEqual(expected);
  });
});
