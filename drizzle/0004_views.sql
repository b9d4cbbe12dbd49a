-- How it is going, for people, scripts and dashboards. No view shows a contact's values: sync.change_log does, to those who may read it.
-- Times use clock_timestamp(), so that a view read twice in one transaction does not stand still.

create view sync.queue as
select l.id as change_id, l.contact_id, l.crm_id, l.op,
  array(select key from jsonb_object_keys(coalesce(l.new_values, l.old_values, '{}')) key order by key) as fields,
  l.state, l.changed_at, l.changed_by, l.attempts, l.next_attempt_at, l.error_code, l.error, l.hold_id,
  extract(epoch from clock_timestamp() - l.changed_at)::float8 as waiting_seconds
from sync.change_log l
where l.settled_at is null and l.state <> 'parked';
--> statement-breakpoint
create view sync.parked as
select 'push' as direction, l.id as change_id, l.contact_id, l.crm_id, l.op,
  array(select key from jsonb_object_keys(coalesce(l.new_values, l.old_values, '{}')) key order by key) as fields,
  l.error_code, l.error, l.attempts, l.changed_at as since
from sync.change_log l
where l.settled_at is null and l.state = 'parked'
union all
select 'pull', null, s.contact_id, r.crm_id, null, null, r.error_code, r.error, null, r.refused_at
from sync.refused r
left join sync.contact_state s on s.crm_id = r.crm_id;
--> statement-breakpoint
-- The state is the one that most needs a person, then the one that is furthest from being in step. Each source is first brought to one row a
-- contact, so that a look-up of one contact stays an index look-up.
create view sync.contact_status as
with open_edits as not materialized (
  select contact_id, max(crm_id) as crm_id, min(changed_at) as since,
    bool_or(op = 'delete') as deleted,
    min(changed_at) filter (where state = 'parked') as parked_since,
    min(changed_at) filter (where state = 'held') as held_since,
    min(changed_at) filter (where state = 'unknown') as unknown_since,
    min(changed_at) filter (where state = 'retry') as retry_since,
    min(changed_at) filter (where state = 'sending') as sending_since,
    (array_agg(error_code order by id desc) filter (where error_code is not null))[1] as error_code,
    (array_agg(error order by id desc) filter (where error is not null))[1] as error
  from sync.change_log
  where settled_at is null
  group by contact_id
), open_conflicts as (
  select contact_id, min(at) as since from sync.conflicts where state = 'open' group by contact_id
), known as (
  select id as contact_id, crm_id from crm.contacts
  union all
  select o.contact_id, o.crm_id from open_edits o where o.deleted and not exists (select from crm.contacts c where c.id = o.contact_id)
)
select k.contact_id, coalesce(k.crm_id, s.crm_id) as crm_id, t.state,
  case when t.state = 'parked' and o.parked_since is null then r.error_code when t.state not in ('gone', 'hidden', 'in_sync') then o.error_code end
    as error_code,
  case when t.state = 'parked' and o.parked_since is null then r.error when t.state not in ('gone', 'hidden', 'in_sync') then o.error end as error,
  case t.state
    when 'parked' then coalesce(o.parked_since, r.refused_at)
    when 'held' then coalesce(o.held_since, h.created_at)
    when 'conflict' then f.since
    when 'unknown' then o.unknown_since
    when 'retry' then o.retry_since
    when 'sending' then o.sending_since
    when 'pending' then o.since
    when 'gone' then s.gone_at
    when 'hidden' then s.hidden_at
    else s.settled_at
  end as since
from known k
left join open_edits o on o.contact_id = k.contact_id
left join open_conflicts f on f.contact_id = k.contact_id
left join sync.contact_state s on s.contact_id = k.contact_id
left join sync.holds h on h.id = s.hold_id and h.state = 'open'
left join sync.refused r on r.crm_id = s.crm_id
cross join lateral (
  select case
    when o.parked_since is not null or r.crm_id is not null then 'parked'
    when o.held_since is not null or h.id is not null then 'held'
    when f.contact_id is not null then 'conflict'
    when o.unknown_since is not null then 'unknown'
    when o.retry_since is not null then 'retry'
    when o.sending_since is not null then 'sending'
    when o.contact_id is not null then 'pending'
    when s.gone_at is not null then 'gone'
    when s.hidden_at is not null then 'hidden'
    when s.base is null then 'pending'
    else 'in_sync'
  end as state
) t;
--> statement-breakpoint
create view sync.status as
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
  a.first_sweep_at is not null as first_sweep_done
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
