CREATE TABLE "sync"."locks" (
	"name" text PRIMARY KEY NOT NULL
);
--> statement-breakpoint
-- Whoever may not write as the daemon is refused where his write passed for the daemon's. Capture and history read the mark at the end of the whole
-- query, long after the rows were written: what else the query calls may have set it by then (set_config() beside an UPDATE in a WITH). So the
-- statement is judged at that same moment: this trigger is queued right behind theirs, by its name, and asks what sync.is_own_write() asks. Nobody's
-- code runs between them but a trigger that the owner of the tables puts there.
--
-- Runs as whoever writes (no SECURITY DEFINER), so everything has its full name, operators too: his search_path is his.
create or replace function sync.guard_writer() returns trigger
language plpgsql as $$
begin
  if pg_catalog.pg_trigger_depth() operator(pg_catalog.=) 1
    and pg_catalog.current_setting('relate_mirror.writer', true)
      operator(pg_catalog.=) pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text then
    -- By itself: who has no right in the schema could not even have it planned.
    if not pg_catalog.has_function_privilege(current_user, 'sync.begin_own_write()'::pg_catalog.regprocedure, 'execute') then
      raise exception 'only relate-mirror marks writes as its own' using
        errcode = 'insufficient_privilege', hint = 'Leave the setting relate_mirror.writer alone.';
    end if;
  end if;
  return coalesce(new, old);
end $$;
--> statement-breakpoint
-- Always called: a WHEN is evaluated when the event is queued, which is too early.
do $$
declare
  name text;
begin
  foreach name in array array['contacts', 'contact_companies', 'contact_deals', 'contact_activities'] loop
    execute format('drop trigger zz_relate_mirror_guard_writer_after on crm.%I', name);
    execute format(
      'create trigger relate_mirror_writer after insert or update or delete on crm.%I for each statement execute function sync.guard_writer()', name);
  end loop;
end $$;
--> statement-breakpoint
-- What workers take turns by. An advisory lock is anybody's who may log in, and a reader of it would stop the sync; to lock a row one has to be allowed
-- to write it.
insert into sync.locks (name) values ('holds'), ('pairing');
--> statement-breakpoint
-- Until the transaction ends. The rows are never changed, so no transaction sees another state of them than it began with.
create function sync.take_lock(wanted text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  perform from sync.locks where name = wanted for update;
  if not found then
    -- Tables that were emptied or filled anew by hand. Whoever inserts it at the same moment is waited for.
    insert into sync.locks (name) values (wanted) on conflict do nothing;
    perform from sync.locks where name = wanted for update;
  end if;
end $$;
--> statement-breakpoint
-- As before, but for the lock.
create or replace function sync.hold_identity(why text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  held bigint;
begin
  perform sync.take_lock('holds');
  select h.id into held from sync.account a join sync.holds h on h.id = a.identity_hold_id and h.state = 'open';
  if held is null then
    insert into sync.holds (direction, cause, reason, rows, plan) values ('push', 'identity', why, 0, '[]') returning id into held;
    update sync.account set identity_hold_id = held;
  else
    update sync.holds set reason = why, created_at = clock_timestamp() where id = held;
  end if;

  -- States before the log, as everybody locks; the rows are gone.
  perform from sync.contact_state s
  where s.attempt_state is distinct from 'sending'
    and s.contact_id in (select contact_id from sync.change_log where settled_at is null and op = 'delete')
  order by s.contact_id for update;
  with deleted as materialized (
    select distinct l.contact_id from sync.change_log l
    left join sync.contact_state s on s.contact_id = l.contact_id
    -- One whose create is in doubt is asked about first: without its attempt a page would take its contact for a stranger.
    where l.settled_at is null and l.op = 'delete' and s.attempt_state is distinct from 'sending' and s.crm_id is not null
  ), states as (
    update sync.contact_state s set attempt = null, attempt_state = null, attempt_epoch = null, attempt_at = null
    from deleted d where s.contact_id = d.contact_id and s.attempt is not null
  )
  update sync.change_log l set state = 'held', hold_id = held, next_attempt_at = null
  from deleted d
  where l.contact_id = d.contact_id and l.settled_at is null and l.state in ('pending', 'retry', 'unknown', 'sending', 'parked');
  perform sync.plan_identity();
  return held;
end $$;
--> statement-breakpoint
-- As before, but for the lock.
create or replace function sync.check_identity(given_url text, out verdict text, out hold_id bigint, out reason text, out is_new boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  known sync.account;
  here record;
  hold sync.holds;
  differences text[];
begin
  perform sync.take_lock('holds');
  select * into known from sync.account;
  select * into here from sync.database_identity();
  is_new := false;

  if known.crm_url <> given_url then
    verdict := 'other_account';
    reason := format('CRM_URL is %s and this mirror was filled from %s: nothing is pulled or pushed. Put the old address back; or approve, if both '
      'are one and the same account', given_url, known.crm_url);
    select h.id into hold_id from sync.holds h
    where h.cause = 'identity' and h.direction = 'pull' and h.state in ('open', 'rejected') and h.reason = check_identity.reason order by h.id desc limit 1;
    if hold_id is null then
      is_new := true;
      insert into sync.holds (direction, cause, reason, rows, plan) values ('pull', 'identity', reason, 0, '[]') returning id into hold_id;
    end if;
    return;
  end if;
  update sync.holds h set state = 'released', decided_at = clock_timestamp(), decided_by = 'relate-mirror'
  where h.cause = 'identity' and h.direction = 'pull' and h.state in ('open', 'rejected');

  update sync.account set crm_url = given_url where crm_url is null;
  differences := array_remove(array[
    case when known.system_identifier <> here.system_identifier
      then format('system identifier %s instead of %s', here.system_identifier, known.system_identifier) end,
    case when known.timeline <> here.timeline then format('timeline %s instead of %s', here.timeline, known.timeline) end,
    case when known.database_oid <> here.database_oid then format('database oid %s instead of %s', here.database_oid, known.database_oid) end
  ], null);
  if differences <> '{}' then
    reason := format('This database is not the one that the mirror was last seen in (%s): it was restored, cloned or failed over. Nothing is pushed '
      'until a complete sweep has compared both sides and a person has approved', array_to_string(differences, ', '));
    select * into hold from sync.holds h where h.id = known.identity_hold_id;
    if hold.reason is distinct from reason then
      is_new := true;
      hold_id := sync.hold_identity(reason);
    end if;
  elsif (known.system_identifier is null and here.system_identifier is not null) or (known.timeline is null and here.timeline is not null)
    or known.database_oid is null then
    update sync.account set system_identifier = coalesce(system_identifier, here.system_identifier),
      timeline = coalesce(account.timeline, here.timeline), database_oid = here.database_oid;
  end if;
  select a.identity_hold_id, h.reason into hold_id, reason from sync.account a left join sync.holds h on h.id = a.identity_hold_id;
  verdict := case when hold_id is null then 'own' else 'changed' end;
end $$;
--> statement-breakpoint
comment on table sync.locks is 'What the daemon''s workers take turns by: a row is locked and never changed, because an advisory lock may be taken by anybody.';
--> statement-breakpoint
comment on column sync.locks.name is 'holds: whoever writes a plan that waits for a person. pairing: whoever stores a contact''s id of the CRM.';
--> statement-breakpoint
comment on function sync.take_lock(text) is 'Locks a row of sync.locks until the transaction ends.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
