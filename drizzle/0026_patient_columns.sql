-- Readers who ask without a pause never leave the view alone for 100 ms: a new column would not come as long as they do. After ten seconds the lock is
-- waited for as long as a reader behind it may wait, which is below a second.
create or replace function sync.refresh_bi() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  now_seen text;
  noted record;
  wanted text;
  remark record;
begin
  if not sync.is_bi_due() then
    return 'same';
  end if;
  begin
    if (select waits_since from sync.bi_refresh) < clock_timestamp() - interval '10 seconds' then
      perform set_config('lock_timeout', '700ms', true);
    end if;
    perform sync.take_lock('bi');
    insert into sync.bi_refresh default values on conflict do nothing;
    now_seen := sync.bi_seen();
    select * into noted from sync.note_bi_columns();
    wanted := sync.bi_contacts_sql();
    if md5(wanted) is distinct from (select definition from sync.bi_refresh) or to_regclass('bi.contacts') is null then
      execute wanted;
    end if;
    for remark in
      select c.column_name, c.told from sync.bi_column_comments() c
      join pg_attribute a on a.attrelid = 'bi.contacts'::regclass and a.attname = c.column_name
      where col_description(a.attrelid, a.attnum) is distinct from c.told
    loop
      execute format('comment on column bi.contacts.%I is %L', remark.column_name, remark.told);
    end loop;
    update sync.bi_refresh
    set seen = case when noted.for_later = 0 then now_seen end, definition = md5(wanted), refreshed_at = clock_timestamp(), waits_since = null,
      over_limit = noted.over_limit;
    return 'changed';
  exception when lock_not_available or deadlock_detected then
    null;
  end;
  insert into sync.bi_refresh as r (waits_since) values (clock_timestamp())
  on conflict ("only") do update set waits_since = excluded.waits_since where r.waits_since is null;
  return 'waits';
end $$;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
