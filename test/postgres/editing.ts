/** What the tests of capture and functions share: editing the mirror as people do, as the daemon does, and reading the log. */
import pg from 'pg';
import { toClientConfig } from '../../src/postgres/connection.ts';

export interface LogRow {
  readonly id: number;
  readonly contact_id: number;
  readonly crm_id: number | null;
  readonly op: string;
  readonly old_values: { readonly [field: string]: unknown } | null;
  readonly new_values: { readonly [field: string]: unknown } | null;
  readonly changed_by: string;
  readonly state: string;
}

export const connect = async (url: string): Promise<pg.Client> => {
  const limits = { statementTimeoutMs: 15_000, lockTimeoutMs: 5_000, answerTimeoutMs: 0 };
  const client = new pg.Client(toClientConfig({ connectionString: url, applicationName: 'test', ...limits }));
  // A test that drops its database ends the connection under it.
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

/** Takes the log rows written since the last call, oldest first. */
export const takeLog = async (client: pg.Client): Promise<readonly LogRow[]> => {
  const { rows } = await client.query<LogRow>(
    'delete from sync.change_log returning id, contact_id, crm_id, op, old_values, new_values, changed_by, state',
  );
  return rows.toSorted((a, b) => a.id - b.id);
};

/** The shape most tests compare. */
export const brief = (rows: readonly LogRow[]): readonly unknown[] => rows.map((row) => [row.op, row.old_values, row.new_values]);

export const addContact = async (client: pg.Client, firstName = 'Ann'): Promise<number> => {
  const { rows } = await client.query<{ id: number }>('insert into crm.contacts (first_name) values ($1) returning id', [firstName]);
  return rows[0]?.id ?? Number.NaN;
};

/** Runs statements as the daemon runs its own: announced in their transaction. */
export const asDaemon = async (client: pg.Client, ...statements: readonly string[]): Promise<void> => {
  await client.query('begin');
  await client.query(`select set_config('relate_mirror.writer', pg_current_xact_id()::text, true)`);
  for (const statement of statements) await client.query(statement);
  await client.query('commit');
};

/** SQLSTATE, message, hint and detail of a refused statement. */
export const refusal = async (client: pg.Client, sql: string, values: unknown[] = []): Promise<pg.DatabaseError> => {
  try {
    await client.query(sql, values);
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
  throw new Error(`Not refused: ${sql}`);
};

export const one = async <T>(client: pg.Client, sql: string, values: unknown[] = []): Promise<T> => {
  const { rows } = await client.query<{ value: T }>(sql, values);
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new Error(`Expected one row: ${sql}`);
  return row.value;
};
