-- Which database this is, and of which CRM account. Where that is not what the mirror was filled from, nothing is pushed before a person has looked.

-- Null for what the role may not know. The timeline is the one that is written to right now: the control file tells the one of the last checkpoint,
-- for a while after a promotion still the old one.
create function sync.database_identity(out system_identifier text, out timeline integer, out database_oid bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  select d.oid into database_oid from pg_database d where d.datname = current_database();
  begin
    select s.system_identifier::text into system_identifier from pg_control_system() s;
  exception when insufficient_privilege or feature_not_supported then
    system_identifier := null;
  end;
  begin
    timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;
  exception when insufficient_privilege or feature_not_supported or object_not_in_prerequisite_state then
    timeline := null;
  end;
end $$;
--> statement-breakpoint
-- A line for each contact for which something is open: what a push would do to it at worst. So that a plan can be read, the first 10,000 of them;
-- holds.rows tells all.
create function sync.plan_identity() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update sync.holds h set plan = p.plan, rows = p.contacts
  from (
    select count(*) as contacts, coalesce(jsonb_agg(l.line order by l.place) filter (where l.place <= 10000), '[]') as plan
    from (
      select row_number() over (order by o.contact_id) as place,
        jsonb_build_object('contact_id', o.contact_id, 'crm_id', coalesce(s.crm_id, c.crm_id), 'op', o.op) as line
      from (
        select contact_id, case when bool_or(op = 'delete') then 'delete' when bool_or(op = 'insert') then 'insert'
          when bool_or(op = 'detach') then 'detach' when bool_or(op = 'update') then 'update' else 'attach' end as op
        from sync.change_log where settled_at is null group by contact_id
      ) o
      left join crm.contacts c on c.id = o.contact_id
      left join sync.contact_state s on s.contact_id = o.contact_id
    ) l
  ) p
  where h.id = (select identity_hold_id from sync.account) and h.state = 'open' and (h.plan, h.rows) is distinct from (p.plan, p.contacts::integer);
end $$;
--> statement-breakpoint
-- Stops the push until a person approves: a new hold, or the open one anew, which then waits for another sweep. Deletions that are open stand in it;
-- what a living leader is sending right now is not taken from it.
create function sync.hold_identity(why text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  held bigint;
begin
  perform pg_advisory_xact_lock(7210, 4);
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
-- Compares, and stores what is not known yet. verdict: own, changed (pull, but do not push), other_account (do neither).
create function sync.check_identity(given_url text, out verdict text, out hold_id bigint, out reason text, out is_new boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  known sync.account;
  here record;
  hold sync.holds;
  differences text[];
begin
  perform pg_advisory_xact_lock(7210, 4);
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
create function sync.mark_restored() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  held bigint;
begin
  held := sync.hold_identity(format('%s said that this database was restored. Nothing is pushed until a complete sweep has compared both sides and a '
    'person has approved', sync.effective_role()));
  perform pg_notify('relate_mirror_request', '');
  return held;
end $$;
--> statement-breakpoint
create function sync.identity_swept() returns boolean
language sql stable
begin atomic
  select exists (
    select from sync.account a join sync.holds h on h.id = a.identity_hold_id
    join sync.runs r on r.kind in ('sweep', 'resync') and r.complete and r.started_at > h.created_at);
end;
--> statement-breakpoint
-- Whatever decides a hold passes here: approve(), a command, a hand-written update.
create function sync.decide_identity() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if new.state <> 'approved' then
    return new;
  end if;
  if old.direction = 'pull' then
    -- The next leader stores its own address, as the first one did.
    update sync.account set crm_url = null;
    return new;
  end if;
  if old.id is distinct from (select identity_hold_id from sync.account) then
    return new;
  end if;
  if not sync.identity_swept() then
    raise exception 'hold % cannot be approved yet: no complete sweep has ended that began after it', old.id using
      errcode = 'object_not_in_prerequisite_state',
      hint = 'A running daemon sweeps by itself; without one: relate-mirror resync. Then read the plan of the hold again.';
  end if;
  update sync.account a set identity_hold_id = null, system_identifier = coalesce(i.system_identifier, a.system_identifier),
    timeline = coalesce(i.timeline, a.timeline), database_oid = i.database_oid
  from sync.database_identity() i;
  return new;
end $$;
--> statement-breakpoint
create trigger relate_mirror_decide_identity before update of state on sync.holds
  for each row when (old.cause = 'identity' and old.state = 'open' and new.state is distinct from old.state) execute function sync.decide_identity();
--> statement-breakpoint
create or replace view sync.status as
select
  case when l.expires_at > clock_timestamp() then l.holder end as leader,
  a.paused_at is not null as paused,
  extract(epoch from clock_timestamp() - l.last_pull_at)::float8 as pull_lag_seconds,
  coalesce(extract(epoch from clock_timestamp() - o.oldest), 0)::float8 as push_lag_seconds,
  o.queue_depth,
  a.last_complete_sweep_at,
  l.budget_limit,
  l.budget_used,
  o.parked + (select count(*) from sync.refused) as parked,
  o.held + (select count(*) from sync.contact_state s join sync.holds h on h.id = s.hold_id and h.state = 'open') as held,
  o.unknown,
  (select count(*) from sync.conflicts where state = 'open') as open_conflicts,
  o.retry,
  (select count(*) from crm.contacts) as contacts,
  a.first_sweep_at is not null as first_sweep_done,
  coalesce((
    select max(h.id) from sync.holds h where h.cause = 'identity' and h.direction = 'pull' and h.state in ('open', 'rejected')
  ), a.identity_hold_id) as identity_hold
from sync.account a
cross join sync.leader l
cross join (
  select
    count(*) filter (where state in ('pending', 'sending', 'retry', 'unknown')) as queue_depth,
    min(changed_at) filter (where state in ('pending', 'sending', 'retry', 'unknown')) as oldest,
    count(*) filter (where state = 'parked') as parked,
    count(*) filter (where state = 'held') as held,
    count(*) filter (where state = 'unknown') as unknown,
    count(*) filter (where state = 'retry') as retry
  from sync.change_log
  where settled_at is null
) o;
--> statement-breakpoint
comment on column sync.status.identity_hold is 'The hold, open or rejected, that stops the push because this database or CRM_URL is not the one that the mirror was filled from: id in sync.holds. Null: it is.';
comment on function sync.database_identity() is 'What tells this database from its copies; null for what the role may not know.';
comment on function sync.plan_identity() is 'Writes into the open identity hold what would be pushed, as of now.';
comment on function sync.hold_identity(text) is 'Stops the push until a person approves, with the reason given; answers the number of the hold.';
comment on function sync.check_identity(text) is 'Whether database and CRM address are those that the mirror was filled from; stores them the first time, and holds the push where they are not.';
comment on function sync.mark_restored() is 'Says that this database was restored where nothing else tells it (a rolled-back disk, say): nothing is pushed until a complete sweep and a person''s approval. Answers the number of the hold.';
comment on function sync.identity_swept() is 'Whether a complete sweep has ended that began after the identity hold.';
comment on function sync.decide_identity() is 'Trigger function: an identity hold is approved only after a complete sweep; then this database is the mirror''s own.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
