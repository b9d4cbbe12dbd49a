/**
 * How a database in use is migrated: indexes are made beforehand without stopping a writer, and a lock that others wait behind is asked for only
 * for a moment, again and again, until nobody is in the way.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../ports/ambient.ts';
import type { Session } from './session.ts';

/** Whoever comes while a migration waits for a lock waits behind it. */
const LOCK_TIMEOUT_MS = 400;
/** Between two attempts everybody gets through. */
const PAUSE_MS = 600;
/** CONCURRENTLY waits for every transaction that is older; nobody waits for it meanwhile. */
const OLD_TRANSACTIONS_TIMEOUT_MS = 600_000;
/** An index is begun anew where it was in somebody's way (a deadlock), or a lock did not come. */
const INDEX_ATTEMPTS = 3;

/** lock_not_available, deadlock_detected */
const IN_THE_WAY: ReadonlySet<string> = new Set(['55P03', '40P01']);
/** undefined_table, undefined_column, invalid_schema_name: of something that a migration of the same run makes. It makes the index as well, of an empty table. */
const NOT_THERE_YET: ReadonlySet<string> = new Set(['42P01', '42703', '3F000']);

const isOneOf = (codes: ReadonlySet<string>, error: unknown): boolean => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof pg.DatabaseError && codes.has(cause.code ?? '');
};

const INDEX = /^create index if not exists "?(?<name>\w+)"? on (?<table>"?\w+"?\."?\w+"?) (?<rest>.+?);?$/is;
const COMMENT_LINES = /^\s*--.*$/gm;

interface Index {
  readonly name: string;
  readonly table: string;
  readonly statement: string;
}

/** Those of the statements that make an index of a table that may be large: `create index if not exists …`, which then finds it. */
export const indexesIn = (statements: readonly string[]): readonly Index[] =>
  statements.flatMap((text) => {
    const found = INDEX.exec(text.replaceAll(COMMENT_LINES, '').trim())?.groups;
    const { name, table, rest } = found ?? {};
    if (name === undefined || table === undefined || rest === undefined) return [];
    return [{ name, table, statement: `create index concurrently if not exists "${name}" on ${table} ${rest}` }];
  });

/** Partitioned tables know no CONCURRENTLY; `valid` is null where there is no such index. */
const STANDING = `
select c.relkind = 'p' as partitioned, (
  select i.indisvalid from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid and x.relname = $2) as valid
from pg_class c where c.oid = to_regclass($1)`;

const makeIndex = async (session: Session, { name, table, statement }: Index, log?: Log): Promise<void> => {
  const [schema] = table.replaceAll('"', '').split('.');
  for (let attempt = 1; ; attempt += 1) {
    const [found] = await session.query<{ partitioned: boolean; valid: boolean | null }>(STANDING, [table, name]);
    if (found === undefined || found.partitioned || found.valid === true) return;
    // Half of one, left by an attempt that was cut off: it costs every writer, and serves nobody.
    if (found.valid === false) await session.query(`drop index concurrently if exists "${schema}"."${name}"`);
    if (attempt > INDEX_ATTEMPTS) throw new Error(`The index ${name} could not be made.`);
    const startedAt = performance.now();
    try {
      log?.info({ index: name, table }, 'making an index; reading and writing go on');
      await session.query(statement);
      log?.info({ index: name, seconds: Math.round((performance.now() - startedAt) / 100) / 10 }, 'the index is made');
    } catch (error) {
      if (isOneOf(NOT_THERE_YET, error)) return;
      if (!isOneOf(IN_THE_WAY, error) || attempt === INDEX_ATTEMPTS) {
        await session.query(`drop index concurrently if exists "${schema}"."${name}"`).catch(() => undefined);
        throw error;
      }
    }
  }
};

/** @param statements of the migrations that are about to be applied */
export const makeIndexesFirst = async (session: Session, statements: readonly string[], log?: Log): Promise<void> => {
  const indexes = indexesIn(statements);
  if (indexes.length === 0) return;
  await session.query(`select set_config('lock_timeout', $1, false)`, [`${OLD_TRANSACTIONS_TIMEOUT_MS}ms`]);
  for (const index of indexes) await makeIndex(session, index, log);
};

/**
 * Whose transaction has locks on anything of ours, oldest first: what an operator has to look for. Since when is told to superusers and
 * pg_read_all_stats only; who it is, to everybody.
 */
const WHO = `
select a.pid, coalesce(a.usename::text, 'unknown') as role, a.application_name as application,
  extract(epoch from clock_timestamp() - a.xact_start)::int as seconds
from pg_stat_activity a
where a.pid <> pg_backend_pid() and exists (
  select from pg_locks l join pg_class c on c.oid = l.relation
  where l.pid = a.pid and l.granted and l.database = (select oid from pg_database where datname = current_database())
    and c.relnamespace::regnamespace::text in ('crm', 'sync', 'bi'))
order by a.xact_start nulls last, a.pid limit 1`;

/** Runs `migrate`, one transaction, until it got every lock at once, or the time is over. @throws what it threw last */
export const withBriefLocks = async (
  session: Session,
  migrate: () => Promise<void>,
  { log, timeoutMs, signal }: { readonly log?: Log | undefined; readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<void> => {
  await session.query(`select set_config('lock_timeout', $1, false)`, [`${LOCK_TIMEOUT_MS}ms`]);
  const deadline = performance.now() + timeoutMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await migrate();
    } catch (error) {
      if (!isOneOf(IN_THE_WAY, error) || performance.now() > deadline) throw error;
      const [who] = attempt === 1 ? await session.query(WHO) : [];
      if (attempt === 1) log?.warn({ ...who }, 'the migration waits for somebody’s transaction to end, and keeps nobody waiting');
      await delay(PAUSE_MS, undefined, { ...(signal && { signal }) });
    }
  }
};
