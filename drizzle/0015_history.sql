ALTER TABLE "sync"."account" ADD COLUMN "history_since" timestamp with time zone;
--> statement-breakpoint
-- History: every version that a contact ever had, written by the transaction that made it.
--
-- Append-only: a version is one row with its beginning; its end is the beginning of the next. Closing the version before in the same
-- statement (a stored valid_to), or keeping ended versions beside a table of current ones, was measured at 100,000 rows and is dearer:
-- docs/decisions.md. An append-only table is also what a subscriber of logical replication takes best.
--
-- A contact's versions are ordered by id, never by time: a row's lock is held when its version is numbered, and a clock may be set back.
-- Links have no versions here.

create schema if not exists bi;
--> statement-breakpoint
create sequence sync.contact_versions_id_seq;
--> statement-breakpoint
create table sync.contact_versions (
  id bigint not null default nextval('sync.contact_versions_id_seq'),
  contact_id bigint not null,
  valid_from timestamptz not null,
  op text not null,
  origin text not null,
  who text not null,
  crm_id bigint,
  first_name text,
  last_name text,
  email text,
  phones jsonb not null,
  user_id bigint,
  source_id bigint,
  job_title text,
  street text,
  city text,
  state text,
  postal_code text,
  country_id bigint,
  custom_fields jsonb not null,
  extra jsonb,
  crm_created_at timestamptz,
  constraint contact_versions_pk primary key (contact_id, id, valid_from),
  constraint contact_versions_op_known check (op in ('insert', 'update', 'delete', 'snapshot')),
  constraint contact_versions_origin_known check (origin in ('crm', 'mirror', 'merge', 'resync'))
) partition by range (valid_from);
--> statement-breakpoint
alter sequence sync.contact_versions_id_seq owned by sync.contact_versions.id;
--> statement-breakpoint
-- A month that nobody has prepared: no edit fails for want of a partition.
create table sync.contact_versions_default partition of sync.contact_versions default;
--> statement-breakpoint
-- jit and enable_nestloop: as in sync.capture_contacts(). crm_updated_at is no part of a version: it follows the CRM even when nothing else
-- changed. A deleted contact's last version keeps what it held.
create function sync.write_versions() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set enable_nestloop = off as $$
declare
  made_at constant timestamptz := clock_timestamp();
  is_own constant boolean := sync.is_own_write();
  told constant text := nullif(current_setting('relate_mirror.origin', true), '');
  -- An own write without an origin is a person's decision: sync.resolve(), sync.reject().
  came_from constant text := case when not is_own then 'mirror' else coalesce(told, 'merge') end;
  made_by constant text := case when is_own and told is not null then 'CRM' else sync.effective_role() end;
begin
  if tg_op = 'INSERT' then
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select n.id, made_at, 'insert', came_from, made_by, n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id, n.source_id,
      n.job_title, n.street, n.city, n.state, n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at
    from new_rows n;
  elsif tg_op = 'UPDATE' then
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select n.id, made_at, 'update', came_from, made_by, n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id, n.source_id,
      n.job_title, n.street, n.city, n.state, n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at
    from old_rows o join new_rows n on n.id = o.id
    where (o.crm_id, o.first_name, o.last_name, o.email, o.phones, o.user_id, o.source_id, o.job_title, o.street, o.city, o.state, o.postal_code,
        o.country_id, o.custom_fields, o.extra, o.crm_created_at)
      is distinct from (n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id, n.source_id, n.job_title, n.street, n.city, n.state,
        n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at);
  else
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select o.id, made_at, 'delete', came_from, made_by, o.crm_id, o.first_name, o.last_name, o.email, o.phones, o.user_id, o.source_id,
      o.job_title, o.street, o.city, o.state, o.postal_code, o.country_id, o.custom_fields, o.extra, o.crm_created_at
    from old_rows o;
  end if;
  return null;
end $$;
--> statement-breakpoint
-- As before; and whoever decides by a function is told in the history, whatever the session says of the origin.
create or replace function sync.begin_own_write() returns void
language sql volatile
begin atomic
  select set_config('relate_mirror.writer', pg_current_xact_id()::text, true), set_config('relate_mirror.origin', '', true);
end;
--> statement-breakpoint
create trigger relate_mirror_history_insert after insert on crm.contacts referencing new table as new_rows
  for each statement execute function sync.write_versions();
--> statement-breakpoint
create trigger relate_mirror_history_update after update on crm.contacts referencing old table as old_rows new table as new_rows
  for each statement execute function sync.write_versions();
--> statement-breakpoint
create trigger relate_mirror_history_delete after delete on crm.contacts referencing old table as old_rows
  for each statement execute function sync.write_versions();
--> statement-breakpoint
-- Off until the daemon has read HISTORY_DAYS: sync.switch_history().
alter table crm.contacts disable trigger relate_mirror_history_insert, disable trigger relate_mirror_history_update,
  disable trigger relate_mirror_history_delete;
--> statement-breakpoint
-- On and off is whether the triggers fire: the lock of ALTER TABLE waits for everybody who has written without them, so that nobody's edit is
-- missed, and switched off they cost nothing. It stops no reader, and gives up at once where a writer stays. Off removes what was kept.
create function sync.switch_history(wanted boolean) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  is_on constant boolean := (
    select tgenabled <> 'D' from pg_trigger where tgrelid = 'crm.contacts'::regclass and tgname = 'relate_mirror_history_update');
begin
  if is_on = wanted then
    return false;
  end if;
  if wanted then
    alter table crm.contacts enable always trigger relate_mirror_history_insert, enable always trigger relate_mirror_history_update,
      enable always trigger relate_mirror_history_delete;
  else
    alter table crm.contacts disable trigger relate_mirror_history_insert, disable trigger relate_mirror_history_update,
      disable trigger relate_mirror_history_delete;
    truncate sync.contact_versions;
  end if;
  update sync.account set history_since = null;
  return true;
end $$;
--> statement-breakpoint
-- The first version of contacts that were here before history was on, a batch a call: their rows are locked for as long as that takes. Answers
-- where to go on; null at the end, from when on the history is whole.
create function sync.snapshot_history(after_id bigint, batch integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  seen bigint;
  last_id bigint;
begin
  with here as materialized (
    select c.* from crm.contacts c where c.id > after_id order by c.id limit batch for no key update
  ), written as (
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select n.id, clock_timestamp(), 'snapshot', 'mirror', 'relate-mirror', n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id,
      n.source_id, n.job_title, n.street, n.city, n.state, n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at
    from here n
    where not exists (select from sync.contact_versions v where v.contact_id = n.id)
    order by n.id
  )
  select count(*), max(id) into seen, last_id from here;
  if seen < batch then
    update sync.account set history_since = clock_timestamp() where history_since is null;
    return null;
  end if;
  return last_id;
end $$;
--> statement-breakpoint
create function sync.history_partition(month timestamptz) returns text
language sql immutable
return 'contact_versions_' || to_char(month at time zone 'UTC', 'YYYY_MM');
--> statement-breakpoint
-- A table of one month that is no partition yet; the check spares the attaching a look at every row.
create function sync.create_history_month(name text, month timestamptz) returns void
language plpgsql as $$
begin
  execute format('create table sync.%I (like sync.contact_versions including all, check (valid_from >= %L and valid_from < %L))',
    name, month, month + interval '1 month');
end $$;
--> statement-breakpoint
create function sync.attach_history_month(name text, month timestamptz) returns void
language plpgsql as $$
begin
  execute format('alter table sync.contact_versions attach partition sync.%I for values from (%L) to (%L)', name, month, month + interval '1 month');
end $$;
--> statement-breakpoint
-- This month, the next two, and every one that rows wait for in the default partition. Answers how many it made. Times are cut in UTC, whatever
-- the session's time zone.
create function sync.add_history_months() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set timezone = 'UTC' as $$
declare
  month timestamptz;
  name text;
  made integer := 0;
begin
  for month in
    select date_trunc('month', clock_timestamp()) + n * interval '1 month' from generate_series(0, 2) n
    union
    select date_trunc('month', valid_from) from sync.contact_versions_default
  loop
    name := sync.history_partition(month);
    continue when to_regclass(format('sync.%I', name)) is not null;
    lock table sync.contact_versions_default in access exclusive mode;
    perform sync.create_history_month(name, month);
    execute format(
      'with moved as (delete from sync.contact_versions_default where valid_from >= %L and valid_from < %L returning *) '
      'insert into sync.%I select * from moved', month, month + interval '1 month', name);
    perform sync.attach_history_month(name, month);
    made := made + 1;
  end loop;
  return made;
end $$;
--> statement-breakpoint
-- Removes what ended before the month in which the retention begins, one old month a call: its table is made anew with what is still to be
-- told (each contact's state when the retention begins) and takes the old one's place; readers wait for that last step only. Answers how
-- many versions went; null where nothing is left to do.
create function sync.prune_history(keep_days integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set timezone = 'UTC' set jit = off as $$
declare
  cutoff constant timestamptz := date_trunc('month', clock_timestamp() - make_interval(days => keep_days));
  old_name text;
  fresh_name text;
  month timestamptz;
  rows_before bigint;
  rows_kept bigint;
begin
  for old_name, month in
    select c.relname, to_date(right(c.relname, 7), 'YYYY_MM')::timestamptz
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'sync.contact_versions'::regclass and c.relname ~ '^contact_versions_\d{4}_\d\d$'
    order by c.relname
  loop
    exit when month + interval '1 month' > cutoff;
    fresh_name := old_name || '_kept';
    perform sync.create_history_month(fresh_name, month);
    execute format(
      'insert into sync.%I select v.* from sync.%I v where v.op <> ''delete'' and not exists ('
      '  select from sync.contact_versions n where n.contact_id = v.contact_id and n.id > v.id and n.valid_from <= %L)', fresh_name, old_name, cutoff);
    get diagnostics rows_kept = row_count;
    execute format('select count(*) from sync.%I', old_name) into rows_before;
    if rows_kept = rows_before and rows_kept > 0 then
      execute format('drop table sync.%I', fresh_name);
      continue;
    end if;
    update sync.account set history_since = cutoff where history_since < cutoff;
    execute format('drop table sync.%I', old_name);
    if rows_kept = 0 then
      execute format('drop table sync.%I', fresh_name);
    else
      execute format('alter table sync.%I rename to %I', fresh_name, old_name);
      perform sync.attach_history_month(old_name, month);
    end if;
    return rows_before - rows_kept;
  end loop;
  return null;
end $$;
--> statement-breakpoint
-- The end is looked up for the rows that are asked for: a window would read every version there is. The earliest of the later ones, because
-- a clock that was set back gives the next version an earlier beginning.
create view bi.contact_history as
select v.contact_id, v.crm_id, v.valid_from,
  (select min(n.valid_from) from sync.contact_versions n where n.contact_id = v.contact_id and n.id > v.id) as valid_to,
  v.op, v.origin, v.who, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street, v.city, v.state,
  v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at, v.id as version_id
from sync.contact_versions v;
--> statement-breakpoint
-- An error instead of a wrong answer where the history does not reach.
create function bi.contacts_at(moment timestamptz) returns table (
  id bigint, crm_id bigint, first_name text, last_name text, email text, phones jsonb, user_id bigint, source_id bigint, job_title text,
  street text, city text, state text, postal_code text, country_id bigint, custom_fields jsonb, extra jsonb, crm_created_at timestamptz,
  valid_from timestamptz, op text, origin text, who text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  since constant timestamptz := (select history_since from sync.account);
begin
  if moment is null then
    raise exception 'bi.contacts_at: the moment is null' using errcode = 'null_value_not_allowed';
  elsif since is null then
    raise exception 'bi.contacts_at: no whole history is kept' using errcode = 'object_not_in_prerequisite_state',
      hint = 'HISTORY_DAYS=0 switches it off; switched on, it is whole once the daemon has written the first version of every contact.';
  elsif moment < since then
    raise exception 'bi.contacts_at: the history begins at %', since using errcode = 'datetime_field_overflow',
      hint = 'Earlier versions were removed (HISTORY_DAYS), or never kept.';
  end if;
  return query
  select v.contact_id, v.crm_id, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street, v.city, v.state,
    v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at, v.valid_from, v.op, v.origin, v.who
  from (
    select l.contact_id, max(l.id) as id from sync.contact_versions l where l.valid_from <= moment group by l.contact_id
  ) last
  join sync.contact_versions v on v.contact_id = last.contact_id and v.id = last.id and v.valid_from <= moment
  where v.op <> 'delete';
end $$;
--> statement-breakpoint
-- With the caller's rights: whoever owns the tables and may create in the database needs no superuser. Two publications, because the history's
-- never deletes: a warehouse may keep versions for longer than the mirror does.
create function sync.create_publication(publication text default 'relate_mirror') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  mirrored constant text := (select string_agg(format('crm.%I', c.relname), ', ' order by c.relname)
    from pg_class c where c.relnamespace = 'crm'::regnamespace and c.relkind = 'r');
begin
  if exists (select from pg_publication where pubname = publication) then
    execute format('alter publication %I set table %s', publication, mirrored);
  else
    execute format('create publication %I for table %s', publication, mirrored);
  end if;
  if not exists (select from pg_publication where pubname = publication || '_history') then
    execute format('create publication %I for table sync.contact_versions with (publish = ''insert'', publish_via_partition_root = true)',
      publication || '_history');
  end if;
end $$;
--> statement-breakpoint
-- Plain tables: with the mirror's own ones, a warehouse would capture what it is sent and guard it against its own subscription. May be run
-- again after an upgrade, for columns that came with it.
create function sync.subscriber_ddl() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  with published as (
    select c.oid, format('%I.%I', c.relnamespace::regnamespace::text, c.relname) as name from pg_class c
    where (c.relnamespace = 'crm'::regnamespace and c.relkind = 'r') or c.oid = 'sync.contact_versions'::regclass
  ), columns as (
    select t.name, a.attnum, format('%I', a.attname) as attname, format_type(a.atttypid, a.atttypmod) as type,
      array_position((select array_agg(k) from pg_index i, unnest(i.indkey::int[]) k where i.indrelid = t.oid and i.indisprimary), a.attnum::int) as place,
      col_description(t.oid, a.attnum) as told
    from published t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  ), statements as (
    select 0 as part, '' as name, 0 as place, format('create schema if not exists %s;', s) as text from unnest(array['bi', 'crm', 'sync']) s
    union all
    select 1, name, 0, format('create table if not exists %s (%s, primary key (%s));', name,
      string_agg(format('%s %s', attname, type), ', ' order by place), string_agg(attname, ', ' order by place))
    from columns where place is not null group by name
    union all
    select 1, name, attnum, format('alter table %s add column if not exists %s %s;', name, attname, type) from columns where place is null
    union all
    select 2, name, attnum, format('comment on column %s.%s is %L;', name, attname, told) from columns where told is not null
    union all
    select 3, '', 0, format('create or replace view bi.contact_history as %s', pg_get_viewdef('bi.contact_history'::regclass))
  )
  select string_agg(text, E'\n' order by part, name, place, text) from statements;
$$;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
--> statement-breakpoint
revoke execute on all functions in schema bi from public;
--> statement-breakpoint
comment on schema bi is 'For BI tools, read only: names and columns stay as they are over resyncs and upgrades.';
--> statement-breakpoint
comment on column sync.account.history_since is 'From when on every version of every contact is in bi.contact_history; null: not kept, or not whole yet.';
--> statement-breakpoint
comment on table sync.contact_versions is 'Every version that a contact had, append-only, a partition a month (UTC). People read bi.contact_history.';
--> statement-breakpoint
comment on table sync.contact_versions_default is 'Versions of months that have no partition yet; the daemon moves them to their own.';
--> statement-breakpoint
comment on sequence sync.contact_versions_id_seq is 'Numbers the versions.';
--> statement-breakpoint
do $$
declare
  told constant jsonb := '{
    "id": "Number of the version: of one contact, a later version has a larger one.",
    "contact_id": "The contact: id in crm.contacts, also after the row was deleted.",
    "valid_from": "When it was made, by the database''s clock: when its statement ran, which is before it was committed.",
    "op": "insert, update, delete (the contact''s last version, with what it held), or snapshot (it was here when the history was switched on).",
    "origin": "Where it came from: crm (taken over from the CRM), mirror (edited here), merge (both were edited, or a person decided), resync (taken over by a sweep or resync of everything, the first load included).",
    "who": "Who made it: the role that edited here, CRM for what came from there, relate-mirror for a snapshot.",
    "crm_id": "The contact''s id in the CRM; null until the CRM had the contact.",
    "first_name": "First name.",
    "last_name": "Last name.",
    "email": "E-mail address.",
    "phones": "Array of {\"number\": \"…\", \"type\": \"mobile\" | \"work\" | \"other\"}; type left out means mobile.",
    "user_id": "The contact''s owner: id in crm.users.",
    "source_id": "Where the contact came from: id in crm.sources.",
    "job_title": "Job title.",
    "street": "Street and number.",
    "city": "City.",
    "state": "State or region.",
    "postal_code": "Postal code.",
    "country_id": "Country: id in crm.countries.",
    "custom_fields": "The account''s custom fields as {\"cf_…\": value}.",
    "extra": "Whatever else the CRM sent of the contact.",
    "crm_created_at": "When the contact was created in the CRM.",
    "valid_to": "When the next version was made; null: this is the latest.",
    "version_id": "Number of the version: of one contact, a later version has a larger one."
  }';
  place record;
begin
  for place in
    select c.oid::regclass as relation, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where c.oid in ('sync.contact_versions'::regclass, 'sync.contact_versions_default'::regclass, 'bi.contact_history'::regclass)
  loop
    execute format('comment on column %s.%I is %L', place.relation, place.attname, told ->> place.attname);
  end loop;
end $$;
--> statement-breakpoint
comment on view bi.contact_history is 'Every version of every contact, deleted ones included: valid from valid_from until valid_to. The latest of a deleted contact has op delete and holds what was deleted. Links have no versions.';
--> statement-breakpoint
comment on function bi.contacts_at(timestamptz) is 'The contacts as they were at a moment, as far back as the history goes. Final once every transaction that was open at that moment has ended.';
--> statement-breakpoint
comment on function sync.write_versions() is 'Writes a version of each contact that a statement made, changed or deleted; crm_updated_at alone is no change.';
--> statement-breakpoint
comment on function sync.switch_history(boolean) is 'Begins to keep versions, or stops and removes them. True where that changed anything.';
--> statement-breakpoint
comment on function sync.snapshot_history(bigint, integer) is 'Writes a first version of contacts above an id that have none. Answers where to go on, null at the end.';
--> statement-breakpoint
comment on function sync.history_partition(timestamptz) is 'The name of a month''s partition.';
--> statement-breakpoint
comment on function sync.create_history_month(text, timestamptz) is 'Makes a table for the versions of a month.';
--> statement-breakpoint
comment on function sync.attach_history_month(text, timestamptz) is 'Makes such a table a partition.';
--> statement-breakpoint
comment on function sync.add_history_months() is 'Makes the partitions of this month, the next two, and of versions that have none. Answers how many.';
--> statement-breakpoint
comment on function sync.prune_history(integer) is 'Removes versions that ended before the month in which that many days ago lies, one old month a call. Answers how many; null when done.';
--> statement-breakpoint
comment on function sync.create_publication(text) is 'Publishes schema crm, and the versions of contacts under the same name with _history, for logical replication. Called by whoever owns the tables and may create in the database.';
--> statement-breakpoint
comment on function sync.subscriber_ddl() is 'SQL that makes the published tables on a subscriber, plain ones without triggers. May be run there again after an upgrade.';
