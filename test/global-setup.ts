/** One server for the whole run, with one migrated template: each test's own database is a copy of it, made in milliseconds. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startTestServer } from './postgres-server.ts';

/** What the tests are told of the server; plain data, since it crosses to other processes. */
export interface TestDatabases {
  /** Of a role that may create databases. */
  readonly serverUrl: string;
  /** How this run's databases begin; all of them are dropped in the end. */
  readonly prefix: string;
  readonly template: string;
  /** Why there is no template, so that tests without a database still run; null where there is one. */
  readonly problem: string | null;
}

declare module 'vitest' {
  interface ProvidedContext {
    databases: TestDatabases;
  }
}

const withClient = async (connectionString: string, work: (client: pg.Client) => Promise<void>): Promise<void> => {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
};

const urlOf = (serverUrl: string, database: string): string => {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
};

const makeTemplate = async (serverUrl: string, template: string): Promise<string | null> => {
  try {
    await withClient(serverUrl, async (client) => void (await client.query(`create database ${template} template template0`)));
    const { migrateDatabase } = await import('../src/postgres/migrate.ts');
    await migrateDatabase({ connectionString: urlOf(serverUrl, template) });
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
};

const dropAll = (serverUrl: string, prefix: string): Promise<void> =>
  withClient(serverUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>('select datname from pg_database where starts_with(datname, $1)', [prefix]);
    for (const { datname } of rows) await client.query(`drop database if exists "${datname}" with (force)`);
  });

const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const server = await startTestServer();
  const prefix = `relate_mirror_test_${randomBytes(4).toString('hex')}_`;
  const template = `${prefix}template`;
  const problem = await makeTemplate(server.url, template);
  process.stderr.write(`Tests run on: ${server.what}${problem === null ? '' : '; the migrations failed'}\n`);
  project.provide('databases', { serverUrl: server.url, prefix, template, problem });
  return async () => {
    // A server of ours is thrown away whole; somebody else's is left as it was.
    if (server.what === 'TEST_DATABASE_URL') await dropAll(server.url, prefix);
    await server.stop();
  };
};

export { setup };
