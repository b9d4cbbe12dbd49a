/**
 * Brings the database up to this program's schema, and refuses to start on any other.
 *
 * drizzle's migrate() takes no lock, silently skips a migration that is older than the newest applied one, and never notices one that was
 * edited after it was applied. So it runs under an advisory lock on one connection, and its journal is compared with the files, by time and
 * hash, before and after.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import pg from 'pg';
import type { Log } from '../ports/ambient.ts';
import { makeIndexesFirst, withBriefLocks } from './migrate-online.ts';
import { applyGrants, grantsInside } from './roles.ts';
import { openSession, type Session } from './session.ts';

export type MigrationErrorCode =
  /** The server is older than PostgreSQL 15, or the database is not in UTF-8. */
  | 'unsupported_server'
  /** Another process has held the migration lock, or somebody's transaction a lock that a migration needs, for too long. */
  | 'busy'
  /** The database was migrated by a newer version of this program. */
  | 'database_newer'
  /** A migration was changed after it had been applied. */
  | 'edited'
  /** The journal knows a migration that this program does not, or lacks one that is older than one it has. */
  | 'mismatch'
  /** Migrations are missing, and this role may not apply them. */
  | 'no_right'
  /** Postgres refused a migration; nothing of it was applied. */
  | 'failed';

/** Why the database is not at this program's schema. The message is for the operator. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly code: MigrationErrorCode;
  constructor(code: MigrationErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** One migration, as a file tells it and as the journal remembers it. */
export interface MigrationMark {
  /** Its time in the journal of the files, in milliseconds: what identifies it. */
  readonly createdAt: number;
  readonly hash: string;
}

export interface MigrateOptions {
  /** A direct connection: the lock belongs to a session, which a transaction pooler would share out. */
  readonly connectionString: string;
  readonly log?: Log;
  /** Cuts it off; what was not committed is rolled back. */
  readonly signal?: AbortSignal;
  /** Whether the roles get their rights also where there is nothing to migrate; that needs the schemas' owner. */
  readonly grants?: 'always' | 'with-migrations';
  /** For tests; the files that come with the program otherwise. */
  readonly migrationsFolder?: string;
}

// The same number of levels below the package in src and in dist.
const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url));
/** No migration creates this schema, so none can drop or need it. */
const JOURNAL_SCHEMA = 'relate_mirror';
const JOURNAL = `${JOURNAL_SCHEMA}.__drizzle_migrations`;
/** Advisory, because it is needed before there is any table; whoever may log in can take it, so whoever has it is named. */
const TRY_LOCK = 'select pg_try_advisory_lock(7210, 3) as locked';
const LOCK_HOLDER = `
select a.pid, coalesce(a.usename::text, 'unknown') as role, a.application_name as application
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.classid = 7210 and l.objid = 3 and l.objsubid = 2 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())`;
const MAY_MIGRATE = `
select current_user::text as role, coalesce(
  (select pg_has_role(nspowner, 'USAGE') from pg_namespace where nspname = 'sync'),
  has_database_privilege(current_database(), 'CREATE')) as may`;
/** Made by a later migration than the schema: a database half way there has none. */
const REFRESH_BI = `do $$ begin if to_regprocedure('sync.refresh_bi()') is not null then perform sync.refresh_bi(); end if; end $$`;
const LOCK_TIMEOUT_MS = 60_000;
const LOCK_POLL_MS = 100;
/** For the locks of the migrations themselves: a report that runs for minutes is no reason to give up. */
const TABLE_LOCKS_TIMEOUT_MS = 600_000;
const SERVER_VERSION_MIN = 150_000;
const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';

/**
 * Applies what is missing, in one transaction. Any number of processes may call it at once: they take turns.
 * @returns how many migrations were applied just now, and how many there are
 * @throws MigrationError, what the network or the server said of the connection, or the signal's reason once that has fired
 */
export const migrateDatabase = async (options: MigrateOptions): Promise<{ readonly applied: number; readonly total: number }> => {
  const { connectionString, signal } = options;
  const limits = { statementTimeoutMs: 0, lockTimeoutMs: LOCK_TIMEOUT_MS, answerTimeoutMs: 0 };
  const session = await openSession({ connectionString, applicationName: 'relate-mirror migrate', ...limits }, signal);
  const giveUp = (): void => void session.close();
  signal?.addEventListener('abort', giveUp);
  try {
    signal?.throwIfAborted();
    return await migrateOn(session, options);
  } catch (error) {
    // What the driver says of a connection that we closed ourselves tells nobody anything.
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
    // The lock ends with the session.
    await session.close();
  }
};

const migrateOn = async (
  session: Session,
  { log, signal, migrationsFolder = MIGRATIONS_FOLDER, grants = 'with-migrations' }: MigrateOptions,
) => {
  const [server] = await session.query<{ version: number; encoding: string }>(
    `select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`,
  );
  checkServer(server?.version ?? 0, server?.encoding ?? '');
  await lock(session, log);
  const read = readMigrationFiles({ migrationsFolder });
  const files = read.map(({ folderMillis, hash }) => ({ createdAt: folderMillis, hash }));
  const pending = checkJournal(files, await readJournal(session));
  // Not even asked for nothing: CREATE SCHEMA IF NOT EXISTS needs rights that a daemon on a prepared database may lack.
  if (pending === 0) {
    if (grants === 'always' && (await whoMayMigrate(session)).may) await applyGrants(session, log);
    return { applied: 0, total: files.length };
  }
  await checkRights(session, pending);
  log?.info({ pending, total: files.length }, 'migrating the database');
  // Half a second of loading that a start on a database that is up to date can do without.
  const [{ NodePgSession }, { PgDialect }] = await Promise.all([import('drizzle-orm/node-postgres'), import('drizzle-orm/pg-core')]);
  try {
    const statements = read.slice(-pending).flatMap(({ sql }) => sql);
    await makeIndexesFirst(session, statements, log);
    const inside = await grantsInside(session);
    const migrations = read.map((file, at) => (at === read.length - 1 ? { ...file, sql: [...file.sql, ...inside] } : file));
    const dialect = new PgDialect();
    const drizzle = new NodePgSession<Record<string, never>, Record<string, never>>(session.client, dialect, undefined);
    const work = () => dialect.migrate(migrations, drizzle, { migrationsFolder, migrationsSchema: JOURNAL_SCHEMA });
    await withBriefLocks(session, work, {
      log,
      signal,
      timeoutMs: TABLE_LOCKS_TIMEOUT_MS,
    });
    await session.query(`select set_config('lock_timeout', $1, false)`, [`${LOCK_TIMEOUT_MS}ms`]);
  } catch (error) {
    throw toFailure(error);
  }
  const left = checkJournal(files, await readJournal(session));
  if (left > 0) throw new MigrationError('mismatch', `${left} migrations were not applied, and nothing said why.`);
  // Whatever a migration changed in what the view of the contacts is made from.
  await session.query(REFRESH_BI);
  await applyGrants(session, log);
  return { applied: pending, total: files.length };
};

/** How many of the migrations that come with the program are not applied. Takes no lock and applies nothing. @throws MigrationError as migrateDatabase */
export const inspectMigrations = async (session: Session): Promise<{ readonly pending: number; readonly total: number }> => {
  const files = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).map(({ folderMillis, hash }) => ({
    createdAt: folderMillis,
    hash,
  }));
  return { pending: checkJournal(files, await readJournal(session)), total: files.length };
};

/** @throws MigrationError `unsupported_server` */
export const checkServer = (version: number, encoding: string): void => {
  if (version < SERVER_VERSION_MIN) {
    throw new MigrationError('unsupported_server', `PostgreSQL 15 or newer is needed; this server's server_version_num is ${version}.`);
  }
  if (encoding !== 'UTF8') {
    throw new MigrationError('unsupported_server', `The database has to be in UTF8, since the CRM's texts are; it is in ${encoding}.`);
  }
};

/**
 * Compares what was applied with the files: what was applied must be their beginning, unchanged.
 * @returns how many are still to be applied
 * @throws MigrationError `database_newer`, `edited` or `mismatch`
 */
const checkJournal = (files: readonly MigrationMark[], applied: readonly MigrationMark[]): number => {
  const newest = Math.max(0, ...files.map((file) => file.createdAt));
  for (const [at, mark] of applied.entries()) {
    const file = files[at];
    if (mark.createdAt > newest) {
      throw new MigrationError('database_newer', 'The database was migrated by a newer version of relate-mirror: run that one.');
    }
    if (file === undefined || file.createdAt !== mark.createdAt) {
      throw new MigrationError('mismatch', `Migration ${at} of the database is not the one that comes with this program.`);
    }
    if (file.hash !== mark.hash) {
      throw new MigrationError('edited', `Migration ${at} was changed after it had been applied to this database.`);
    }
  }
  return files.length - applied.length;
};

/** Whether this role may make or change the mirror's schemas, and who it is. */
export const whoMayMigrate = async (session: Session): Promise<{ readonly may: boolean; readonly role: string }> => {
  const [row] = await session.query<{ may: boolean; role: string }>(MAY_MIGRATE);
  return row ?? { may: false, role: 'unknown' };
};

/** A daemon of few rights runs on a database that is up to date; to bring it there is its owner's. @throws MigrationError `no_right` */
const checkRights = async (session: Session, pending: number): Promise<void> => {
  const { may, role } = await whoMayMigrate(session);
  if (may) return;
  throw new MigrationError(
    'no_right',
    `${pending} migrations are missing, and the role ${role} of DATABASE_URL may not apply them: run \`relate-mirror migrate\` as the owner ` +
      'of the schemas crm and sync first (on an empty database: as a role that has the right CREATE in it).',
  );
};

const readJournal = async (session: Session): Promise<readonly MigrationMark[]> => {
  const [journal] = await session.query<{ exists: boolean }>('select to_regclass($1) is not null as exists', [JOURNAL]);
  if (journal?.exists !== true) return [];
  const rows = await session.query<{ created_at: number; hash: string }>(`select created_at, hash from ${JOURNAL} order by created_at, id`);
  return rows.map((row) => ({ createdAt: row.created_at, hash: row.hash }));
};

export interface LockHolder {
  readonly pid: number;
  readonly role: string;
  /** As its session calls itself. */
  readonly application: string;
}

/** Whose session has the migration lock. */
export const migrationLockHolder = async (session: Session): Promise<LockHolder | null> =>
  (await session.query<LockHolder & pg.QueryResultRow>(LOCK_HOLDER))[0] ?? null;

/**
 * Waits for its turn, and says for whom. Asks again and again instead of waiting in the statement: whoever makes an index CONCURRENTLY under this lock
 * waits for the end of every older statement, ours included.
 */
const lock = async (session: Session, log?: Log): Promise<void> => {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (let attempt = 1; ; attempt += 1) {
    const [row] = await session.query<{ locked: boolean }>(TRY_LOCK);
    if (row?.locked === true) return;
    const holder = attempt === 1 || performance.now() > deadline ? await migrationLockHolder(session) : null;
    if (attempt === 1 && holder !== null) log?.warn({ ...holder }, 'waiting for the session that has the migration lock');
    if (performance.now() > deadline) {
      const who = holder === null ? 'another process' : describeHolder(holder);
      throw new MigrationError('busy', `Waited ${LOCK_TIMEOUT_MS / 1000} s for the migration lock: ${who} has it.`);
    }
    await delay(LOCK_POLL_MS);
  }
};

export const describeHolder = ({ pid, role, application }: LockHolder): string =>
  `session ${pid} of the role ${role} (application_name "${application}")`;

/** drizzle's own error quotes the whole statement; the server's error says what is wrong. */
const toFailure = (error: unknown): MigrationError => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof pg.DatabaseError))
    return new MigrationError('failed', `A migration failed and was rolled back: ${String(cause)}`, cause);
  if (cause.code === LOCK_NOT_AVAILABLE || cause.code === DEADLOCK_DETECTED) {
    return new MigrationError(
      'busy',
      `Waited ${TABLE_LOCKS_TIMEOUT_MS / 60_000} min for somebody's transaction to end; nothing was changed.`,
      cause,
    );
  }
  return new MigrationError(
    'failed',
    `A migration failed and was rolled back: ${cause.message} (SQLSTATE ${cause.code ?? 'unknown'})`,
    cause,
  );
};
