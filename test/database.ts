/** A PostgreSQL database of the test's own. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export interface TestDatabase {
  /** Of a superuser, or of TEST_DATABASE_URL's role. */
  readonly url: string;
  readonly name: string;
  /** Ends every connection to it and removes it; harmless when repeated. */
  drop(): Promise<void>;
}

const onServer = async (statement: string): Promise<void> => {
  const client = new pg.Client({ connectionString: inject('databases').serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
};

export interface TestDatabaseOptions {
  readonly empty?: boolean;
  /** Of the operating system; for an empty one. */
  readonly locale?: 'C.UTF-8';
}

/**
 * Makes a database: a copy of the migrated template, or an empty one (for tests of the migrations). About 20 ms. Each test file, or each
 * test that needs a clean one, takes its own and drops it in the end.
 *
 * @throws Error with the migrations' failure, where the template could not be made.
 */
export const createTestDatabase = async (options: TestDatabaseOptions = {}): Promise<TestDatabase> => {
  const { serverUrl, prefix, template, problem } = inject('databases');
  if (!options.empty && problem !== null) throw new Error(`The migrations failed on an empty database: ${problem}`);
  const name = `${prefix}${randomBytes(6).toString('hex')}`;
  const locale = options.locale === undefined ? '' : `locale_provider libc locale '${options.locale}'`;
  await onServer(`create database ${name} template ${options.empty ? 'template0' : template} strategy file_copy ${locale}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => onServer(`drop database if exists ${name} with (force)`) };
};
