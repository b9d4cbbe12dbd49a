/** The contract's harness on a database of its own, and what the adapter's own tests use of it. */
import pg from 'pg';
import { LINK_KINDS, type LinkKind } from '../../src/domain/contact.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import type { Log } from '../../src/ports/ambient.ts';
import type { LoggedChange, MirrorHarness, OpenHold } from '../contract/mirror-harness.ts';
import { createTestDatabase } from '../database.ts';
import type { Edit, UserSession } from '../fakes/fake-user.ts';

export interface PostgresHarness extends MirrorHarness {
  readonly pool: pg.Pool;
  /** As psql would: no epoch, captured. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
}

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const LINKS: { readonly [K in LinkKind]: readonly [table: string, column: string] } = {
  companies: ['crm.contact_companies', 'company_id'],
  deals: ['crm.contact_deals', 'deal_id'],
  activities: ['crm.contact_activities', 'activity_id'],
};
const NAME_TABLES = [...LINK_KINDS, 'users', 'sources', 'countries'];

const toColumn = (value: unknown): unknown => (value !== null && typeof value === 'object' ? JSON.stringify(value) : value);

const openUser = async (pool: pg.Pool, open: Set<pg.PoolClient>): Promise<UserSession> => {
  const client = await pool.connect();
  open.add(client);
  await client.query('begin');
  const end = async (how: 'commit' | 'rollback'): Promise<void> => {
    await client.query(how);
    open.delete(client);
    client.release();
  };
  const columns = (edit: Edit) => Object.keys(edit);
  const values = (edit: Edit) => Object.values(edit).map(toColumn);
  return {
    insert: async (edit) => {
      const places = columns(edit).map((_, index) => `$${index + 1}`);
      const text = `insert into crm.contacts (${columns(edit).join(', ')}) values (${places.join(', ')}) returning id`;
      const { rows } = await client.query<{ id: string }>(text, values(edit));
      return Number(rows[0]?.id);
    },
    update: async (contactId, edit) => {
      const sets = columns(edit).map((column, index) => `${column} = $${index + 2}`);
      await client.query(`update crm.contacts set ${sets.join(', ')} where id = $1`, [contactId, ...values(edit)]);
    },
    delete: async (contactId) => void (await client.query('delete from crm.contacts where id = $1', [contactId])),
    attach: async (contactId, kind, id) => void (await client.query(`insert into ${LINKS[kind][0]} values ($1, $2)`, [contactId, id])),
    detach: async (contactId, kind, id) =>
      void (await client.query(`delete from ${LINKS[kind][0]} where contact_id = $1 and ${LINKS[kind][1]} = $2`, [contactId, id])),
    commit: () => end('commit'),
    rollback: () => end('rollback'),
  };
};

const LOG = `
select id::int, contact_id::int as "contactId", op, state, changed_by as "changedBy", old_values as "oldValues", new_values as "newValues",
  attempts, attempt::int, settled_at is not null as "isSettled", next_attempt_at is not null as "hasNextAttempt", error_code as code, error
from sync.change_log order by id`;

/** Every row version of both schemas; the leader's row aside, which is renewed each second. */
const VERSIONS = `
select format('select %L, ctid::text, xmin::text from %I.%I', c.oid::regclass, n.nspname, c.relname) as part
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('crm', 'sync') and c.relkind = 'r' and c.relname <> 'leader'
order by 1`;

/** As good as a new database, in a tenth of the time. The guards against TRUNCATE are not meant for this role's replica mode. */
export const RESET = `
set session_replication_role = replica;
alter table crm.contacts drop constraint if exists users_own;
drop function if exists users_own cascade;
do $$ begin
  execute (
    select 'truncate ' || string_agg(c.oid::regclass::text, ', ') || ' restart identity'
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('crm', 'sync') and c.relkind = 'r');
end $$;
insert into sync.account default values;
insert into sync.leader (epoch) values (1);
reset session_replication_role`;

/** A database for a whole test file; each mirror made on it finds it empty. */
export interface MirrorDatabase {
  make(): Promise<PostgresHarness>;
  close(): Promise<void>;
}

const openPool = (connectionString: string): pg.Pool => {
  const pool = new pg.Pool({ connectionString, max: 8 });
  // The database is dropped with its connections, which may still be saying goodbye.
  pool.on('error', () => undefined);
  return pool;
};

/** `mirrorUrlOf`: from the database's address the one that the mirror itself uses, as another role, say; the tests' own statements keep theirs. */
export const openMirrorDatabase = async (mirrorUrlOf?: (url: string) => Promise<string>): Promise<MirrorDatabase> => {
  const database = await createTestDatabase();
  const pool = openPool(database.url);
  const mirrorPool = mirrorUrlOf === undefined ? pool : openPool(await mirrorUrlOf(database.url));
  return {
    make: async () => {
      await pool.query(RESET);
      return harnessOn(pool, mirrorPool);
    },
    close: async () => {
      if (mirrorPool !== pool) await mirrorPool.end();
      await pool.end();
      await database.drop();
    },
  };
};

const harnessOn = (pool: pg.Pool, mirrorPool: pg.Pool): PostgresHarness => {
  let epoch: number | null = 1;
  const openUsers = new Set<pg.PoolClient>();
  const sql = async (text: string, values: readonly unknown[] = []) => (await pool.query<Record<string, unknown>>(text, [...values])).rows;
  const rowsOf = async <T>(text: string, values: readonly unknown[] = []) => (await sql(text, values)) as T[];
  return {
    mirror: createMirror({ pool: mirrorPool, lease: { epoch: () => epoch }, log: silent }),
    pool,
    sql,
    setLeaseEpoch: (next) => {
      epoch = next;
    },
    setLeaderEpoch: async (next) => void (await sql('update sync.leader set epoch = $1', [next])),
    begin: () => openUser(pool, openUsers),
    log: () => rowsOf<LoggedChange>(LOG),
    versions: async () => {
      const parts = await rowsOf<{ part: string }>(VERSIONS);
      return JSON.stringify(await sql(`${parts.map(({ part }) => part).join(' union all ')} order by 1, 2`));
    },
    setPolicy: async (field, policy) => void (await sql('insert into sync.field_policy values ($1, $2)', [field, policy])),
    openConflicts: () => rowsOf<{ field: string; remote: unknown }>(`select field, remote from sync.conflicts where state = 'open'`),
    decidedConflicts: async () => (await sql(`select 1 from sync.conflicts where state = 'decided'`)).length,
    openHolds: () => rowsOf<OpenHold>(`select id::int, reason, plan from sync.holds where state = 'open'`),
    approve: async (holdId) => void (await sql('select sync.approve($1)', [holdId])),
    requestRun: async (kind, withLinks) => {
      const text = `insert into sync.runs (kind, state, with_links, requested_at) values ($1, 'requested', $2, clock_timestamp()) returning id::int`;
      return Number((await sql(text, [kind, withLinks]))[0]?.['id']);
    },
    runCounts: async (runId) => {
      const text = 'select pages, rows_seen::int as "rowsSeen", state, error from sync.runs where id = $1';
      const [run] = await rowsOf<{ pages: number; rowsSeen: number; state: string; error: string | null }>(text, [runId]);
      if (run === undefined) throw new Error('no such run');
      return run;
    },
    names: async () => {
      const parts = NAME_TABLES.map((table) => `select format('${table} %s %s', id, name) as name from crm.${table}`);
      return (await rowsOf<{ name: string }>(`${parts.join(' union all ')} order by 1`)).map(({ name }) => name);
    },
    refused: () => rowsOf<{ crmId: number; code: string }>('select crm_id::int as "crmId", error_code as code from sync.refused'),
    loseSeen: async () => void (await sql('truncate sync.sweep_seen')),
    moveDatabase: async () => void (await sql('update sync.account set database_oid = 1')),
    loseLog: async () => void (await sql('delete from sync.change_log')),
    forbidFirstName: async (name) =>
      void (await sql(`alter table crm.contacts add constraint users_own check (first_name <> ${pg.escapeLiteral(name)})`)),
    rewriteJobTitle: async (from, to) => {
      await sql(`create function users_own() returns trigger language plpgsql as $$
        begin
          if new.job_title = ${pg.escapeLiteral(from)} then new.job_title := ${pg.escapeLiteral(to)}; end if;
          return new;
        end $$`);
      await sql('create trigger users_own before insert or update on crm.contacts for each row execute function users_own()');
    },
    close: async () => {
      // A test that failed half-way leaves sessions open, whose locks would hold up the next one.
      for (const client of openUsers) client.release(true);
      openUsers.clear();
    },
  };
};
