/** What was written into a database: WAL, and row versions by table. */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchDatabase } from './database.ts';

/** The server's write-ahead log so far, bytes; of all its databases. */
export const walBytes = async (database: BenchDatabase): Promise<number> => {
  const [row] = await database.query<{ bytes: string }>(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes`);
  return Number(row?.bytes);
};

export interface Tuples {
  /** What the sync must leave alone where nothing changed: schema crm, states, the change log. */
  readonly content: number;
  /** How the run itself is going: sync.runs, the unlogged ids seen, and the watermarks in sync.account. */
  readonly bookkeeping: number;
}

const TUPLES = `
select coalesce(sum(n) filter (where not own), 0) as content, coalesce(sum(n) filter (where own), 0) as bookkeeping
from (
  select n_tup_ins + n_tup_upd + n_tup_del as n, relname in ('runs', 'sweep_seen', 'account') as own
  from pg_stat_user_tables where schemaname in ('crm', 'sync') and relname <> 'leader'
) tables`;

const OTHERS = `select count(*) as others from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`;
const POLL_MS = 20;

/** Row versions since the database was made. A session hands in its counts when it ends, so this waits until the bench's own is the last. */
export const tuplesWritten = async (database: BenchDatabase): Promise<Tuples> => {
  for (;;) {
    const [row] = await database.query<{ others: string }>(OTHERS);
    if (row?.others === '0') break;
    await pause(POLL_MS);
  }
  const [row] = await database.query<{ content: string; bookkeeping: string }>(TUPLES);
  return { content: Number(row?.content), bookkeeping: Number(row?.bookkeeping) };
};
