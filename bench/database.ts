/** The server that the bench runs on, with fsync as the server has it, and databases of the bench's own. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrateDatabase } from '../src/postgres/migrate.ts';
import { startEmbeddedPostgres } from '../src/sandbox/postgres/launch.ts';

/** Disposed, it drops the databases, and stops the server if it is the bench's own. */
export interface BenchServer extends AsyncDisposable {
  readonly what: string;
  /** Server settings that explain the figures, by name. */
  readonly settings: { readonly [name: string]: string };
  /** An empty mirror, or a copy of one that nobody is connected to. */
  createDatabase(template?: BenchDatabase): Promise<BenchDatabase>;
}

export interface BenchDatabase {
  readonly name: string;
  readonly url: string;
  /** One statement on a connection that is kept until `disconnect`. Integers come as text, as pg has it. */
  query<T extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<readonly T[]>;
  disconnect(): Promise<void>;
}

const SETTINGS = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'data_checksums'];

const onServer = async <T extends pg.QueryResultRow>(url: string, sql: string, values: readonly unknown[] = []): Promise<readonly T[]> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
};

const openDatabase = (serverUrl: string, name: string): BenchDatabase => {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  let client: pg.Client | null = null;
  return {
    name,
    url: url.href,
    query: async <T extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []) => {
      if (client === null) {
        client = new pg.Client({ connectionString: url.href });
        await client.connect();
      }
      return (await client.query<T>(sql, [...values])).rows;
    },
    disconnect: async () => {
      await client?.end();
      client = null;
    },
  };
};

const startOrUse = async (given: string | undefined) => {
  if (given !== undefined && given !== '') return { what: 'TEST_DATABASE_URL', url: given, stop: () => Promise.resolve() };
  const embedded = await startEmbeddedPostgres({ fsync: true });
  return { what: 'embedded PostgreSQL', url: embedded.url('postgres'), stop: () => embedded.stop() };
};

/** @param given TEST_DATABASE_URL: of a role that may create databases; without it the embedded server */
export const startServer = async (given: string | undefined): Promise<BenchServer> => {
  const { what, url, stop } = await startOrUse(given);
  const prefix = `relate_mirror_bench_${randomBytes(4).toString('hex')}_`;
  const databases: BenchDatabase[] = [];
  const rows = await onServer<{ name: string; setting: string }>(
    url,
    'select name, current_setting(name) as setting from pg_settings where name = any($1) order by name',
    [SETTINGS],
  );
  const create = async (template: string): Promise<BenchDatabase> => {
    const name = `${prefix}${databases.length}`;
    await onServer(url, `create database ${name} template ${template} strategy file_copy`);
    const database = openDatabase(url, name);
    databases.push(database);
    return database;
  };
  const migrated = await create('template0');
  await migrateDatabase({ connectionString: migrated.url });
  return {
    what,
    settings: Object.fromEntries(rows.map(({ name, setting }) => [name, setting])),
    createDatabase: (template = migrated) => create(template.name),
    [Symbol.asyncDispose]: async () => {
      for (const database of databases) {
        await database.disconnect();
        await onServer(url, `drop database if exists ${database.name} with (force)`);
      }
      await stop();
    },
  };
};
