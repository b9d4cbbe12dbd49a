/** Plans that wait for a person, and how much damage was done lately. */

/** Key (7210, 4): two workers that brake at the same moment write into one plan. */
export const LOCK_HOLDS = `select pg_advisory_xact_lock(7210, 4)`;

/** One line a contact: the worst that would have happened to it. */
export const PLAN = `
select coalesce(jsonb_agg(jsonb_build_object('contact_id', w.id, 'crm_id', coalesce(s.crm_id, c.crm_id), 'op', case
    when $2 = 'pull' then 'delete'
    when 'delete' = any(l.ops) then 'delete'
    when 'detach' = any(l.ops) then 'detach'
    else 'update' end) order by w.id), '[]') as plan
from (select distinct unnest($1::bigint[]) as id) w
left join sync.contact_state s on s.contact_id = w.id
left join crm.contacts c on c.id = w.id
left join lateral (
  select array_agg(op) as ops from sync.change_log where contact_id = w.id and settled_at is null
) l on true`;

/** Into the open plan of the direction, contacts that stand in it already left out; else a new one. */
export const ADD_TO_HOLD = `
update sync.holds h set plan = merged.plan, rows = jsonb_array_length(merged.plan)
from (
  select o.id, o.plan || coalesce((
    select jsonb_agg(line) from jsonb_array_elements($2::jsonb) line
    where not exists (select from jsonb_array_elements(o.plan) old where old -> 'contact_id' = line -> 'contact_id')
  ), '[]') as plan
  from sync.holds o where o.state = 'open' and o.direction = $1 order by o.id limit 1
) merged
where h.id = merged.id
returning h.id`;
export const MAKE_HOLD = `
insert into sync.holds (direction, reason, rows, plan) values ($1, $2, jsonb_array_length($3::jsonb), $3::jsonb) returning id`;

export const HOLD_PUSH = `
with log as (
  update sync.change_log set state = 'held', hold_id = $2, next_attempt_at = null
  where contact_id = any($1::bigint[]) and settled_at is null
)
update sync.contact_state set attempt = null, attempt_state = null, attempt_epoch = null, attempt_at = null
where contact_id = any($1::bigint[]) and attempt is not null`;
export const HOLD_PULL = `
update sync.contact_state set hold_id = $2, gone_at = coalesce(gone_at, clock_timestamp())
where contact_id = any($1::bigint[]) and (hold_id is distinct from $2 or gone_at is null)`;

/**
 * The mirror before the damage: its rows and those whose deletion is still open. The exact count reads an index only, some 20 ms at 100,000 rows;
 * the open deletes come from the partial index change_log_open.
 */
const MIRROR_ROWS = `(select count(*) from crm.contacts) + (
    select count(distinct l.contact_id) from sync.change_log l
    where l.settled_at is null and l.op = 'delete' and not exists (select from crm.contacts c where c.id = l.contact_id)
  ) as mirror_rows`;

/** A delete of what the CRM never had damages nothing. */
export const LOAD_PUSH = `
select (
    select count(*) from sync.change_log
    where op = 'delete' and state = 'done' and settled_at > clock_timestamp() - interval '1 hour'
  ) as last_hour, (
    select count(distinct l.contact_id) from sync.change_log l
    join sync.contact_state s on s.contact_id = l.contact_id
    left join sync.holds h on h.id = l.hold_id
    where l.settled_at is null and l.op = 'delete' and l.state in ('pending', 'retry', 'unknown', 'sending', 'held')
      and h.state is distinct from 'approved' and s.crm_id is not null
  ) as waiting, ${MIRROR_ROWS}`;
/** Partial index contact_state_gone_in_crm. */
export const LOAD_PULL = `
select (
    select count(*) from sync.contact_state where deleted_by = 'crm' and deleted_at > clock_timestamp() - interval '1 hour'
  ) as last_hour, 0::bigint as waiting, ${MIRROR_ROWS}`;
