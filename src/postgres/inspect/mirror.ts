/** What `doctor` asks of the mirror in the database: its triggers, the rights of this role, its storage, and what it knows of the account. */
import { z } from 'zod';
import type { Session } from '../session.ts';
import { DRAWN_BY_DAEMON, SYNC_RELATIONS, WRITTEN_BY_DAEMON } from '../sql/grants.ts';
import { EXPECTED_TRIGGERS, HISTORY_TRIGGERS, triggerFaults, type TriggerFault, type TriggerMode } from './triggers.ts';

const Account = z.object({
  first_sweep_at: z.date().nullable(),
  last_complete_sweep_at: z.date().nullable(),
  changes_watermark: z.date().nullable(),
  crm_url: z.string().nullable(),
  notify: z.boolean(),
  contacts: z.coerce.number(),
  paired: z.coerce.number(),
  hidden: z.coerce.number(),
  bytes: z.coerce.number(),
  keeps_history: z.boolean(),
  has_versions: z.boolean(),
  columns_wait_seconds: z.coerce.number().nullable(),
  columns_over_limit: z.coerce.number(),
  /** Custom fields that went or changed their type in the last week, and columns that cannot show some values: by name. */
  fields_gone: z.array(z.string()),
  fields_retyped: z.array(z.string()),
  columns_unfit: z.array(z.string()),
});

export interface MirrorFacts extends z.infer<typeof Account> {
  readonly triggers: { readonly expected: number; readonly faults: readonly TriggerFault[] };
  /** Tables that lose everything in a crash, other than the one that is meant to. */
  readonly unlogged: readonly string[];
  /** Other daemons that are connected, waiting for the lead. */
  readonly standbys: readonly string[];
}

const ACCOUNT = `
  select a.first_sweep_at, a.last_complete_sweep_at, a.changes_watermark, a.crm_url, a.notify,
    (select count(*) from crm.contacts) as contacts, (select count(*) from crm.contacts where crm_id is not null) as paired,
    (select count(*) from sync.contact_state where hidden_at is not null) as hidden, pg_database_size(current_database()) as bytes,
    exists (select from pg_trigger where tgrelid = 'crm.contacts'::regclass and tgname = 'relate_mirror_history_update' and tgenabled <> 'D') as keeps_history,
    exists (select from sync.contact_versions) as has_versions,
    (select extract(epoch from clock_timestamp() - waits_since) from sync.bi_refresh) as columns_wait_seconds,
    coalesce((select over_limit from sync.bi_refresh), 0) as columns_over_limit,
    array(select column_name from sync.bi_columns where state = 'gone' and ended_at > now() - interval '7 days' order by position) as fields_gone,
    array(select column_name from sync.bi_columns where state = 'retyped' and ended_at > now() - interval '7 days' order by position) as fields_retyped,
    array(select column_name from sync.bi_columns where unfit > 0 order by position) as columns_unfit
  from sync.account a`;
const TRIGGERS = `
  select format('%s.%s %s', n.nspname, c.relname, t.tgname) as name, t.tgenabled::text as mode
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where not t.tgisinternal and n.nspname in ('crm', 'sync')`;
const UNLOGGED = `
  select format('%s.%s', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('crm', 'sync') and c.relkind = 'r' and c.relpersistence = 'u' and c.relname <> 'sweep_seen' order by 1`;
const READ_BY_DAEMON = Object.keys(SYNC_RELATIONS).map((name) => `sync.${name}`);
/** By the list that `relate-mirror grants` prints: a table that is not there is the migrations' matter. */
const MISSING_RIGHTS = `
  select format('USAGE on schema %s', n.nspname) as missing from pg_namespace n
  where n.nspname in ('crm', 'sync', 'relate_mirror') and not has_schema_privilege(n.oid, 'USAGE')
  union all
  select format('%s on %s', p.privilege, t.name) from unnest($1::text[]) t(name)
  cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(privilege)
  where not has_table_privilege(to_regclass(t.name)::oid, p.privilege)
  union all
  select format('SELECT on %s', t.name) from unnest($2::text[]) t(name) where not has_table_privilege(to_regclass(t.name)::oid, 'SELECT')
  union all
  select format('USAGE on sequence %s', t.name) from unnest($3::text[]) t(name) where not has_sequence_privilege(to_regclass(t.name)::oid, 'USAGE')
  union all
  select format('EXECUTE on function %s.%s', n.nspname, p.proname) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'sync' and p.prorettype <> 'trigger'::regtype and not has_function_privilege(p.oid, 'EXECUTE')`;
/** One name a process: each keeps a connection for its lease. */
const STANDBYS = `
  select distinct application_name as name from pg_stat_activity, sync.leader l
  where datname = current_database() and application_name ~ '^relate-mirror .+ [0-9]+$'
    and application_name <> left('relate-mirror ' || coalesce(l.holder, ''), 63)
  order by 1`;
/** Ids below the largest that no contact here has: deleted in the CRM, or never shown to this token. The newest first. */
const GAPS = `
  select g.id::float8 as id from generate_series($1::bigint, greatest(1, $1::bigint - 100000), -1) g(id)
  where not exists (select from sync.contact_state s where s.crm_id = g.id) limit $2`;

export const inspectMirror = async (session: Session): Promise<MirrorFacts> => {
  const names = z.array(z.object({ name: z.string() }));
  const triggers = z.array(z.object({ name: z.string(), mode: z.enum(['A', 'O', 'R', 'D']) })).parse(await session.query(TRIGGERS));
  const found = new Map<string, TriggerMode>(triggers.map(({ name, mode }) => [name, mode]));
  return {
    ...Account.parse((await session.query(ACCOUNT))[0]),
    triggers: { expected: EXPECTED_TRIGGERS.size + HISTORY_TRIGGERS.length, faults: triggerFaults(found) },
    unlogged: names.parse(await session.query(UNLOGGED)).map(({ name }) => name),
    standbys: names.parse(await session.query(STANDBYS)).map(({ name }) => name.slice('relate-mirror '.length)),
  };
};

/** `SELECT on sync.runs`: what this role lacks to do a daemon's work. */
export const missingRights = async (session: Session): Promise<readonly string[]> =>
  z
    .array(z.object({ missing: z.string() }))
    .parse(await session.query(MISSING_RIGHTS, [WRITTEN_BY_DAEMON, READ_BY_DAEMON, DRAWN_BY_DAEMON]))
    .map(({ missing }) => missing);

/** At most `limit` CRM ids up to `maxId` that the mirror has never seen. */
export const unseenIds = async (session: Session, maxId: number, limit: number): Promise<readonly number[]> =>
  z
    .array(z.object({ id: z.number() }))
    .parse(await session.query(GAPS, [maxId, limit]))
    .map(({ id }) => id);

/** `relate-mirror doctor --restored`: as `sync.mark_restored()`, which answers the hold. */
export const markRestored = async (session: Session): Promise<number> =>
  z.object({ hold: z.coerce.number() }).parse((await session.query('select sync.mark_restored() as hold'))[0]).hold;
