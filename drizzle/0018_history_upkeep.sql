ALTER TABLE "sync"."account" ADD COLUMN "history_pruned_to" timestamp with time zone;
--> statement-breakpoint
-- No row is ever moved between partitions: readers and edits would wait for that. A month that came without a table of its own (nobody led for two months)
-- stays in the default partition and is pruned there. Attaching reads the default partition under ACCESS EXCLUSIVE, so it has to be small: 16 MB are 45,000
-- versions and a few milliseconds. While it is larger, all new versions go there too, which costs nothing but the dropping of whole months.
-- Answers whether it made one.
create function sync.add_history_month(month timestamptz) returns boolean
language plpgsql set timezone = 'UTC' as $$
declare
  beginning constant timestamptz := date_trunc('month', month);
  name constant text := sync.history_partition(beginning);
begin
  if to_regclass(format('sync.%I', name)) is not null
    or pg_table_size('sync.contact_versions_default') > 16 * 1024 * 1024
    or exists (select from sync.contact_versions_default v where v.valid_from >= beginning and v.valid_from < beginning + interval '1 month')
  then
    return false;
  end if;
  lock table sync.contact_versions_default in access exclusive mode;
  perform sync.create_history_month(name, beginning);
  perform sync.attach_history_month(name, beginning);
  return true;
end $$;
--> statement-breakpoint
-- This month and the next two, where they are missing. Answers how many it made. Times are cut in UTC, whatever the session's time zone.
create or replace function sync.add_history_months() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '40ms' set timezone = 'UTC' as $$
declare
  made integer := 0;
begin
  for n in 0..2 loop
    if sync.add_history_month(date_trunc('month', clock_timestamp()) + n * interval '1 month') then
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;
--> statement-breakpoint
-- Removes what ended before the month in which the retention begins; each contact's state at that moment stays. Answers how many versions went; null
-- where nothing is left to do, which is one comparison until the next month begins (sync.account.history_pruned_to).
--
-- One thing a call, each in a transaction of its own:
-- - A month's table of which nothing is left is dropped. One that would become less than half as large (and smaller by a megabyte) is made anew with what
--   is left: else the space would never be used again, since nobody writes to a month that is over. A first load's month, of which a few contacts go each
--   month, stays as it is until half of it has gone.
-- - What is superseded elsewhere is deleted, which keeps nobody waiting; then the last versions of contacts that are gone, and only where nothing older
--   is left that they would bring back (the clock was set back).
-- The lock that a table's replacing needs is tried, and let go, before anything is copied. It is waited for 40 ms on the table and 40 ms on a partition at
-- the most, since whoever comes meanwhile waits behind it.
create or replace function sync.prune_history(keep_days integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '40ms' set timezone = 'UTC' set jit = off as $$
declare
  cutoff constant timestamptz := date_trunc('month', clock_timestamp() - make_interval(days => keep_days));
  is_superseded constant text := format(
    'exists (select from sync.contact_versions n where n.contact_id = v.contact_id and n.id > v.id and n.valid_from <= %L)', cutoff);
  old_name text;
  fresh_name text;
  month timestamptz;
  rows_before bigint;
  rows_left bigint;
  bytes_left bigint;
  bytes_before bigint;
  removed bigint;
  removed_last bigint;
begin
  if exists (select from sync.account where history_pruned_to >= cutoff) then
    return null;
  end if;

  for old_name, month in
    select c.relname, to_date(right(c.relname, 7), 'YYYY_MM')::timestamptz
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'sync.contact_versions'::regclass and c.relname ~ '^contact_versions_\d{4}_\d\d$'
    order by c.relname
  loop
    exit when month + interval '1 month' > cutoff;
    execute format('select count(*), coalesce(sum(pg_column_size(v.*)), 0) from sync.%I v where not %s', old_name, is_superseded)
      into rows_left, bytes_left;
    bytes_before := pg_table_size(format('sync.%I', old_name)::regclass);
    continue when rows_left > 0 and (bytes_left * 2 > bytes_before or bytes_before - bytes_left < 1024 * 1024);
    execute format('select count(*) from sync.%I', old_name) into rows_before;
    continue when rows_left > 0 and rows_left = rows_before;

    begin
      lock table sync.contact_versions in access exclusive mode;
      raise exception 'nobody is in the way' using errcode = 'RM001';
    exception when sqlstate 'RM001' then
      null;
    end;
    if rows_left > 0 then
      -- Nobody deletes by hand meanwhile what would be back afterwards.
      execute format('lock table sync.%I in share mode', old_name);
      fresh_name := old_name || '_kept';
      perform sync.create_history_month(fresh_name, month);
      execute format('insert into sync.%I select v.* from sync.%I v where not %s', fresh_name, old_name, is_superseded);
      get diagnostics rows_left = row_count;
    end if;
    lock table sync.contact_versions in access exclusive mode;
    update sync.account set history_since = cutoff where history_since < cutoff;
    delete from sync.history_gaps where ended <= cutoff;
    execute format('drop table sync.%I', old_name);
    if rows_left > 0 then
      execute format('alter table sync.%I rename to %I', fresh_name, old_name);
      perform sync.attach_history_month(old_name, month);
    end if;
    return rows_before - rows_left;
  end loop;

  execute format('delete from sync.contact_versions v where v.valid_from < %L and %s', cutoff, is_superseded);
  get diagnostics removed = row_count;
  execute format('delete from sync.contact_versions v where v.valid_from < %L and v.op = ''delete'' and not exists ('
    '  select from sync.contact_versions o where o.contact_id = v.contact_id and o.id < v.id)', cutoff);
  get diagnostics removed_last = row_count;
  -- No lock above is held any more that keeps anybody waiting; the pull saves its place in the same row.
  perform set_config('lock_timeout', '5s', true);
  if removed + removed_last = 0 then
    update sync.account set history_pruned_to = cutoff;
    return null;
  end if;
  update sync.account set history_since = cutoff where history_since < cutoff;
  delete from sync.history_gaps where ended <= cutoff;
  return removed + removed_last;
end $$;
--> statement-breakpoint
revoke execute on function sync.add_history_month(timestamptz) from public;
--> statement-breakpoint
comment on column sync.account.history_pruned_to is 'Versions that ended before this moment were removed; null: never looked for.';
--> statement-breakpoint
comment on table sync.contact_versions_default is 'Versions of months that have no partition of their own; they stay here.';
--> statement-breakpoint
comment on function sync.add_history_month(timestamptz) is 'Makes the partition of a month, unless the default partition holds versions of it, or much. Answers whether it did.';
--> statement-breakpoint
comment on function sync.add_history_months() is 'Makes the partitions of this month and the next two. Answers how many.';
--> statement-breakpoint
comment on function sync.prune_history(integer) is 'Removes versions that ended before the month in which that many days ago lies, a part a call. Answers how many; null when done.';
