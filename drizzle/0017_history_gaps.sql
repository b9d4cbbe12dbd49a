CREATE TABLE "sync"."history_gaps" (
	"began" timestamp with time zone PRIMARY KEY NOT NULL,
	"ended" timestamp with time zone,
	"first_version" bigint,
	CONSTRAINT "history_gaps_in_order" CHECK (ended >= began)
);
--> statement-breakpoint
-- As before; but a version holds what its row holds when the statement ends. A trigger of the user's own, or a function in RETURNING, may have written
-- the same row again, and its version is there already, since a statement within a statement ends first: with the row as this statement wrote it, the
-- latest version would be what nobody ever saw. OFFSET 0 keeps the look-up an index scan per row, whatever the cached plan was made for.
create or replace function sync.write_versions() returns trigger
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
    from new_rows r cross join lateral (select * from crm.contacts c where c.id = r.id offset 0) n;
  elsif tg_op = 'UPDATE' then
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select n.id, made_at, 'update', came_from, made_by, n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id, n.source_id,
      n.job_title, n.street, n.city, n.state, n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at
    from old_rows o cross join lateral (select * from crm.contacts c where c.id = o.id offset 0) n
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
-- Switched off, what was kept stays: sync.forget_history() removes it. Until the contacts have all been looked at again there is a gap. Its number is
-- drawn before any version can be written: what was deleted in the gap comes before whatever the triggers write from now on.
create or replace function sync.switch_history(wanted boolean) returns boolean
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
    update sync.history_gaps set first_version = nextval('sync.contact_versions_id_seq') where ended is null;
  else
    alter table crm.contacts disable trigger relate_mirror_history_insert, disable trigger relate_mirror_history_update,
      disable trigger relate_mirror_history_delete;
    insert into sync.history_gaps (began) select clock_timestamp() where not exists (select from sync.history_gaps where ended is null);
  end if;
  return true;
end $$;
--> statement-breakpoint
create function sync.is_history_whole() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select history_since is not null and not exists (select from sync.history_gaps where ended is null) from sync.account
$$;
--> statement-breakpoint
-- A version of contacts whose latest one is not what they hold: the first, or the first after a gap; a batch a call, whose rows are locked for as long
-- as that takes. At the end those that went in the gap. Answers where to go on; null at the end, from when on the history is whole.
create or replace function sync.snapshot_history(after_id bigint, batch integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set jit = off as $$
declare
  seen bigint;
  last_id bigint;
  gap_number bigint;
begin
  with here as materialized (
    select c.* from crm.contacts c where c.id > after_id order by c.id limit batch for no key update
  ), written as (
    insert into sync.contact_versions (contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select n.id, clock_timestamp(), 'snapshot', 'mirror', 'relate-mirror', n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id,
      n.source_id, n.job_title, n.street, n.city, n.state, n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at
    from here n
    left join lateral (select v.* from sync.contact_versions v where v.contact_id = n.id order by v.id desc limit 1) v on true
    where v.id is null or v.op = 'delete' or (v.crm_id, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street,
        v.city, v.state, v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at)
      is distinct from (n.crm_id, n.first_name, n.last_name, n.email, n.phones, n.user_id, n.source_id, n.job_title, n.street, n.city, n.state,
        n.postal_code, n.country_id, n.custom_fields, n.extra, n.crm_created_at)
    order by n.id
  )
  select count(*), max(id) into seen, last_id from here;
  if seen = batch then
    return last_id;
  end if;

  select first_version into gap_number from sync.history_gaps where ended is null;
  if found then
    insert into sync.contact_versions (id, contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id,
      job_title, street, city, state, postal_code, country_id, custom_fields, extra, crm_created_at)
    select gap_number, v.contact_id, clock_timestamp(), 'delete', 'mirror', 'relate-mirror', v.crm_id, v.first_name, v.last_name, v.email, v.phones,
      v.user_id, v.source_id, v.job_title, v.street, v.city, v.state, v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at
    from (
      select l.contact_id, max(l.id) as id from sync.contact_versions l
      where not exists (select from crm.contacts c where c.id = l.contact_id) group by l.contact_id
    ) gone
    join sync.contact_versions v on v.contact_id = gone.contact_id and v.id = gone.id
    where v.op <> 'delete';
    update sync.history_gaps set ended = greatest(began, clock_timestamp()) where ended is null;
  end if;
  update sync.account set history_since = clock_timestamp() where history_since is null;
  return null;
end $$;
--> statement-breakpoint
-- By the caller's rights: only who owns the table may empty it. Answers how many versions went.
create function sync.forget_history() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  forgotten bigint;
begin
  if (select tgenabled <> 'D' from pg_trigger where tgrelid = 'crm.contacts'::regclass and tgname = 'relate_mirror_history_update') then
    raise exception 'versions are being kept' using errcode = 'object_not_in_prerequisite_state',
      hint = 'Start the daemon with HISTORY_DAYS=0 first: what is kept would have a hole that nobody is told of.';
  end if;
  lock table sync.contact_versions in access exclusive mode;
  select count(*) into forgotten from sync.contact_versions;
  truncate sync.contact_versions;
  delete from sync.history_gaps;
  update sync.account set history_since = null;
  return forgotten;
end $$;
--> statement-breakpoint
create or replace function bi.contacts_at(moment timestamptz) returns table (
  id bigint, crm_id bigint, first_name text, last_name text, email text, phones jsonb, user_id bigint, source_id bigint, job_title text,
  street text, city text, state text, postal_code text, country_id bigint, custom_fields jsonb, extra jsonb, crm_created_at timestamptz,
  valid_from timestamptz, op text, origin text, who text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  since constant timestamptz := (select history_since from sync.account);
  gap sync.history_gaps;
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
  select * into gap from sync.history_gaps g where moment > g.began and (g.ended is null or moment < g.ended) limit 1;
  if found then
    raise exception 'bi.contacts_at: no history was kept after %', gap.began || coalesce(' until ' || gap.ended, '') using
      errcode = 'datetime_field_overflow', hint = 'HISTORY_DAYS was 0, or the contacts had not all been looked at again. sync.history_gaps has the times.';
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
create or replace function sync.prune_history(keep_days integer) returns bigint
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
    delete from sync.history_gaps where ended <= cutoff;
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
-- What is published is the mirror: a table that somebody adds to the schema is his, and may have no primary key.
create function sync.mirrored_tables() returns text[]
language sql immutable
return array['activities', 'companies', 'contact_activities', 'contact_companies', 'contact_deals', 'contacts', 'countries', 'deals', 'sources', 'users'];
--> statement-breakpoint
create or replace function sync.create_publication(publication text default 'relate_mirror') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  mirrored constant text := (select string_agg(format('crm.%I', name), ', ' order by name) from unnest(sync.mirrored_tables()) name);
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
create or replace function sync.subscriber_ddl() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  with published as (
    select c.oid, format('%I.%I', c.relnamespace::regnamespace::text, c.relname) as name from pg_class c
    where c.oid = any(select format('crm.%I', t)::regclass from unnest(sync.mirrored_tables()) t) or c.oid = 'sync.contact_versions'::regclass
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
comment on table sync.history_gaps is 'Times in which no whole history was kept: from when HISTORY_DAYS=0 switched it off until every contact had been looked at again.';
--> statement-breakpoint
comment on column sync.history_gaps.began is 'When it was switched off; up to here the history is whole.';
--> statement-breakpoint
comment on column sync.history_gaps.ended is 'From when on it is whole again; null: it is not yet.';
--> statement-breakpoint
comment on column sync.history_gaps.first_version is 'Versions from this number on were written after the gap.';
--> statement-breakpoint
comment on column sync.account.history_since is 'From when on every version of every contact is in bi.contact_history, but for the times in sync.history_gaps; null: not kept, or not whole yet.';
--> statement-breakpoint
comment on function sync.write_versions() is 'Writes a version of each contact that a statement made, changed or deleted; crm_updated_at alone is no change. It holds what the row holds when the statement ends.';
--> statement-breakpoint
comment on function sync.switch_history(boolean) is 'Begins to keep versions, or stops; what was kept stays. True where that changed anything.';
--> statement-breakpoint
comment on function sync.is_history_whole() is 'Whether every contact''s latest version is in the history.';
--> statement-breakpoint
comment on function sync.snapshot_history(bigint, integer) is 'Writes a version of contacts above an id whose latest one is not what they hold, and at the end of those that are gone. Answers where to go on, null at the end.';
--> statement-breakpoint
comment on function sync.forget_history() is 'Removes every version, once HISTORY_DAYS=0 has switched the history off; for the owner of the schemas. Answers how many.';
--> statement-breakpoint
comment on function sync.mirrored_tables() is 'The tables of schema crm that are the mirror''s own.';
--> statement-breakpoint
comment on function bi.contacts_at(timestamptz) is 'The contacts as they were at a moment, as far back as the history goes; an error where it does not, or has a gap. Final once every transaction that was open at that moment has ended.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
