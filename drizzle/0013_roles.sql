-- What the rights of roles rest on. The roles themselves belong to the server and are no part of a migration: src/postgres/sql/grants.ts.

-- The mark that keeps the daemon's own writes from being captured is a setting, which any session may set. Whoever may not begin own writes is
-- refused here: he would write crm_id, or edit without a trace. Run as whoever writes (no SECURITY DEFINER), and everything by its full name, since his
-- search_path is his. Before each row, because the guard of that row asks for the mark; and after the statement, because the capture does: nothing of
-- his runs between the two.
create function sync.guard_writer() returns trigger
language plpgsql as $$
begin
  if not pg_catalog.has_function_privilege(current_user, 'sync.begin_own_write()'::pg_catalog.regprocedure, 'execute') then
    raise exception 'only relate-mirror marks writes as its own' using
      errcode = 'insufficient_privilege', hint = 'Leave the setting relate_mirror.writer alone.';
  end if;
  return coalesce(new, old);
end $$;
--> statement-breakpoint
do $$
declare
  name text;
  is_marked constant text := 'when (current_setting(''relate_mirror.writer'', true) = pg_current_xact_id_if_assigned()::text)';
begin
  foreach name in array array['contacts', 'contact_companies', 'contact_deals', 'contact_activities'] loop
    execute format(
      'create trigger zz_relate_mirror_guard_writer before insert or update or delete on crm.%I for each row %s execute function sync.guard_writer()',
      name, is_marked);
    execute format(
      'create trigger zz_relate_mirror_guard_writer_after after insert or update or delete on crm.%I for each statement %s '
      'execute function sync.guard_writer()', name, is_marked);
  end loop;
end $$;
--> statement-breakpoint
comment on function sync.guard_writer() is 'Trigger function: refuses a write that is marked as the daemon''s by a role that may not write as the daemon.';
--> statement-breakpoint
-- As before, but for the hint: sync.change_log is not an editor's to read.
create or replace function sync.wait(change_id bigint default null, timeout_ms integer default 10000) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  wanted constant bigint := coalesce(change_id, nullif(current_setting('relate_mirror.last_change', true), '')::bigint);
  until constant timestamptz := clock_timestamp() + least(greatest(timeout_ms, 0), 3600000) * interval '1 millisecond';
  pause_s float8 := 0.01;
  change_state text;
  change_txid bigint;
begin
  if wanted is null then
    raise exception 'this session has made no edit to wait for' using
      errcode = 'object_not_in_prerequisite_state', hint = 'Give the id of a change: select change_id from sync.queue where contact_id = …';
  end if;
  loop
    select state, txid into change_state, change_txid from sync.change_log where id = wanted;
    if not found then
      raise exception 'there is no change %', wanted using errcode = 'no_data_found';
    elsif change_txid = pg_current_xact_id_if_assigned()::text::bigint then
      raise exception 'change % was made in this transaction, which the daemon cannot see yet', wanted using
        errcode = 'object_not_in_prerequisite_state', hint = 'Commit first, then wait.';
    elsif change_state in ('done', 'merged', 'held', 'parked') or clock_timestamp() >= until then
      return change_state;
    elsif current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
      raise exception 'this transaction sees the database as it was when it began, so waiting in it cannot end' using
        errcode = 'object_not_in_prerequisite_state', hint = 'Wait outside of it, or in READ COMMITTED.';
    end if;
    perform pg_sleep(least(pause_s, greatest(extract(epoch from until - clock_timestamp()), 0)));
    pause_s := least(pause_s * 1.5, 0.1);
  end loop;
end $$;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
