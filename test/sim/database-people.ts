/** A person's session as psql would have it: one transaction on a connection of its own, opened by its first statement. */
import pg from 'pg';
import type { LinkKind } from '../../src/domain/contact.ts';
import { RefusedByRule } from '../fakes/fake-database.ts';
import type { UserSession } from '../fakes/fake-user.ts';

const LINKS: { readonly [K in LinkKind]: readonly [table: string, column: string] } = {
  companies: ['crm.contact_companies', 'company_id'],
  deals: ['crm.contact_deals', 'deal_id'],
  activities: ['crm.contact_activities', 'activity_id'],
};

const toColumn = (value: unknown): unknown => (value !== null && typeof value === 'object' ? JSON.stringify(value) : value);

export interface SqlSession extends UserSession {
  run(text: string, values?: readonly unknown[]): Promise<pg.QueryResult<pg.QueryResultRow>>;
}

/** @throws RefusedByRule where the server refused the statement: the transaction is lost then */
export const openSession = (
  pool: pg.Pool,
  committing: (commit: () => Promise<unknown>) => Promise<unknown>,
  isCaptured = true,
): SqlSession => {
  let opened: Promise<pg.PoolClient> | null = null;
  const open = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    await client.query('begin');
    // What the daemon says before its own writes.
    if (!isCaptured) await client.query(`select set_config('relate_mirror.writer', pg_current_xact_id()::text, true)`);
    return client;
  };
  const run = async (text: string, values: readonly unknown[] = []): Promise<pg.QueryResult<{ id: string }>> => {
    opened ??= open();
    try {
      return await (await opened).query<{ id: string }>(text, [...values]);
    } catch (error) {
      throw error instanceof pg.DatabaseError ? new RefusedByRule(error.code ?? '', error.message) : error;
    }
  };
  const end = async (how: 'commit' | 'rollback'): Promise<void> => {
    if (opened === null) return;
    const client = await opened;
    opened = null;
    try {
      if (how === 'commit') await committing(() => client.query('commit'));
      else await client.query('rollback');
    } finally {
      client.release();
    }
  };
  return {
    run,
    insert: async (edit) => {
      const columns = Object.keys(edit);
      const places = columns.map((_, index) => `$${index + 1}`);
      const text = `insert into crm.contacts (${columns.join(', ')}) values (${places.join(', ')}) returning id`;
      return Number((await run(text, Object.values(edit).map(toColumn))).rows[0]?.id);
    },
    update: async (contactId, edit) => {
      const sets = Object.keys(edit).map((column, index) => `${column} = $${index + 2}`);
      await run(`update crm.contacts set ${sets.join(', ')} where id = $1`, [contactId, ...Object.values(edit).map(toColumn)]);
    },
    delete: async (contactId) => void (await run('delete from crm.contacts where id = $1', [contactId])),
    attach: async (contactId, kind, id) =>
      void (await run(`insert into ${LINKS[kind][0]} values ($1, $2) on conflict do nothing`, [contactId, id])),
    detach: async (contactId, kind, id) =>
      void (await run(`delete from ${LINKS[kind][0]} where contact_id = $1 and ${LINKS[kind][1]} = $2`, [contactId, id])),
    commit: () => end('commit'),
    rollback: () => end('rollback'),
  };
};
