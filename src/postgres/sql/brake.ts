/** Plans that wait for a person, and how much damage was done lately. What is destructive is said in drizzle/0009_brake.sql. */

/** Two workers that brake at the same moment write into one plan. */
export const LOCK_HOLDS = `select sync.take_lock('holds')`;

/** A line a contact. What is held without destroying anything by row and base (an edit that no trigger saw, say) is there as what it is. */
export const PLAN = `
select coalesce(jsonb_agg(case
    when $2 = 'pull' then d.line - 'fields' - 'links' || '{"op": "delete"}'
    when d.line ->> 'op' is null then d.line || '{"op": "update"}'
    else d.line end order by d.line -> 'contact_id'), '[]') as plan
from sync.destruction($1::bigint[]) d(line)`;

/** Lines of everything that waits and that no attempt has taken, and of $1, which is ours. */
export const PLAN_WAITING = `
with waiting as materialized (
  select w.id from sync.waiting_damage() w(id)
  join sync.contact_state s on s.contact_id = w.id
  where s.attempt is null and exists (
    select from sync.change_log l where l.contact_id = w.id and l.settled_at is null and l.state in ('pending', 'retry'))
)
select coalesce(jsonb_agg(case when d.line ->> 'op' is null then d.line || '{"op": "update"}' else d.line end order by d.line -> 'contact_id'), '[]')
  as plan
from sync.destruction(array(select id from waiting union select $1::bigint)) d(line)
where d.line ->> 'op' is not null or (d.line ->> 'contact_id')::bigint = $1`;

/** Locked: one that somebody is deciding right now is decided when we get it, and takes nothing more. */
export const OPEN_HOLD = `
select id from sync.holds where state = 'open' and cause = 'brake' and direction = $1 order by id limit 1 for update`;

/**
 * A contact that stands in the plan already gets its line anew, where it stood, with what it said of the parts that the new one is silent about.
 * Nothing is written where all lines are the same.
 */
export const ADD_TO_HOLD = `
with known as materialized (
  select p.line, p.ord, (p.line ->> 'contact_id')::bigint as contact_id
  from sync.holds h cross join lateral jsonb_array_elements(h.plan) with ordinality p(line, ord) where h.id = $1
), more as materialized (
  select p.line, p.ord, (p.line ->> 'contact_id')::bigint as contact_id from jsonb_array_elements($2::jsonb) with ordinality p(line, ord)
), merged as (
  select known.ord as known_ord, more.ord as more_ord, case when more.line is null then known.line else
      more.line - 'silent'
      || case when kept.links is null then '{}' else jsonb_build_object('op', 'detach', 'links', kept.links || coalesce(more.line -> 'links', '{}')) end
      || case when more.line -> 'silent' ? 'fields' and known.line ? 'fields' then jsonb_build_object('fields', known.line -> 'fields') else '{}' end
    end as line
  from known full join more on more.contact_id = known.contact_id
  left join lateral (
    select jsonb_object_agg(k.key, k.value) as links
    from jsonb_each(case when not known.line ? 'released' then known.line -> 'links' end) k where more.line -> 'silent' ? k.key
  ) kept on true
)
update sync.holds h set plan = m.plan, rows = m.rows
from (
  select jsonb_agg(line order by known_ord nulls last, more_ord) as plan, count(*) filter (where not line ? 'released') as rows from merged
) m
where h.id = $1 and h.plan is distinct from m.plan`;
export const MAKE_HOLD = `
insert into sync.holds (direction, reason, rows, plan)
select $1, $2, count(*), coalesce(jsonb_agg(p.line - 'silent' order by p.ord), '[]') from jsonb_array_elements($3::jsonb) with ordinality p(line, ord)
returning id`;

/** Nothing was sent yet: what had been noted for the next call goes with the attempt. */
export const HOLD_PUSH = `
with log as (
  update sync.change_log set state = 'held', hold_id = $2, next_attempt_at = null
  where contact_id = any($1::bigint[]) and settled_at is null
)
update sync.contact_state set attempt = null, attempt_state = null, attempt_epoch = null, attempt_at = null, sent = null
where contact_id = any($1::bigint[]) and attempt is not null`;
/** What a worker has claimed meanwhile is `sending` by now and comes by itself. */
export const HOLD_WAITING = `
update sync.change_log set state = 'held', hold_id = $2, next_attempt_at = null
where contact_id = any($1::bigint[]) and settled_at is null and state in ('pending', 'retry')`;
export const HOLD_PULL = `
update sync.contact_state set hold_id = $2, gone_at = coalesce(gone_at, clock_timestamp())
where contact_id = any($1::bigint[]) and (hold_id is distinct from $2 or gone_at is null)`;
export const HOLD_INCOMING = `
update sync.contact_state set hold_id = $2, gone_at = null
where contact_id = any($1::bigint[]) and (hold_id is distinct from $2 or gone_at is not null)`;
/** Approved and still to be read: the read applies it. */
export const NOT_APPROVED = `
select s.contact_id, s.crm_id from sync.contact_state s
where s.contact_id = any($1::bigint[])
  and not exists (select from sync.marks m where m.crm_id = s.crm_id and m.reason = 'approved')`;

/**
 * Contacts of the open push plan that are harmless by now. One that is held without destroying anything (an edit that no trigger saw) is held
 * for another reason, which this look cannot tell to be gone.
 */
export const HARMLESS = `
with held as materialized (
  select (p.line ->> 'contact_id')::bigint as contact_id
  from sync.holds h cross join lateral jsonb_array_elements(h.plan) p(line)
  where h.state = 'open' and h.cause = 'brake' and h.direction = 'push' and not p.line ? 'released'
    and (p.line ->> 'op' <> 'update' or p.line ? 'fields')
)
select (d.line ->> 'contact_id')::bigint as id
from sync.destruction(array(select contact_id from held)) d(line) where d.line ->> 'op' is null`;
export const RELEASE_PUSH = `
update sync.change_log l set state = 'pending', hold_id = null, next_attempt_at = clock_timestamp()
from sync.holds h
where l.contact_id = any($1::bigint[]) and l.settled_at is null and l.state = 'held'
  and h.id = l.hold_id and h.state = 'open' and h.cause = 'brake' and h.direction = 'push'`;
/** Of $1 those whose line in the plan names nothing that the record is silent about: $2, comma-separated. */
export const TOLD = `
select r.id from unnest($1::bigint[], $2::text[]) as r(id, silent)
where not exists (
  select from sync.holds h cross join lateral jsonb_array_elements(h.plan) p(line)
  where h.state = 'open' and h.cause = 'brake' and h.direction = 'pull'
    and (p.line ->> 'contact_id')::bigint = r.id and not p.line ? 'released'
    and (p.line -> 'links' ?| string_to_array(r.silent, ',') or (p.line ? 'fields' and 'fields' = any(string_to_array(r.silent, ',')))))`;
export const RELEASE_PULL = `
update sync.contact_state s set hold_id = null
from sync.holds h
where s.contact_id = any($1::bigint[]) and h.id = s.hold_id and h.state = 'open' and h.cause = 'brake' and h.direction = 'pull'`;
/** The line stays, so that whoever looks later sees what had been held. */
export const RELEASE_LINES = `
update sync.holds h set plan = m.plan, rows = m.rows,
  state = case when m.rows = 0 then 'released' else h.state end,
  decided_at = case when m.rows = 0 then clock_timestamp() end,
  decided_by = case when m.rows = 0 then 'relate-mirror' end
from sync.holds o cross join lateral (
  select jsonb_agg(line order by ord) as plan, count(*) filter (where not line ? 'released') as rows
  from (
    select p.ord, case when free.id is null then p.line else p.line || '{"released": true}' end as line
    from jsonb_array_elements(o.plan) with ordinality p(line, ord)
    left join (select distinct unnest($2::bigint[]) as id) free on free.id = (p.line ->> 'contact_id')::bigint
  ) lines
) m
where o.id = h.id and h.state = 'open' and h.cause = 'brake' and h.direction = $1 and (h.plan is distinct from m.plan or m.rows = 0)`;

/** At most once a contact and op in one transaction's counting. */
export const COUNT_DAMAGE = `
insert into sync.damage (direction, contact_id, op)
select distinct $1, d.contact_id, d.op from unnest($2::bigint[], $3::text[]) as d(contact_id, op) order by 2, 3`;
/** The brake looks back an hour; a day of it is kept for whoever wants to know what it counted. */
export const PRUNE_DAMAGE = `delete from sync.damage where at < clock_timestamp() - interval '1 day'`;

/**
 * The mirror before the damage: its rows and those whose deletion is still open. The exact count reads an index only, some 20 ms at 100,000 rows;
 * the open deletes come from the partial index change_log_open.
 */
const MIRROR_ROWS = `(select count(*) from crm.contacts) + (
    select count(distinct l.contact_id) from sync.change_log l
    where l.settled_at is null and l.op = 'delete' and not exists (select from crm.contacts c where c.id = l.contact_id)
  ) as mirror_rows`;

/** `statement_timestamp()`, since with the volatile `clock_timestamp()` the index damage_lately would not be used. A deleted contact that is back is no damage. */
const LAST_HOUR = (direction: 'push' | 'pull'): string => `(
    select count(distinct d.contact_id) from sync.damage d
    where d.direction = '${direction}' and d.at > statement_timestamp() - interval '1 hour'
      and not (d.op = 'delete' and exists (select from crm.contacts c where c.id = d.contact_id))
  ) as last_hour`;
export const LOAD_PUSH = `
select ${LAST_HOUR('push')}, (select count(*) from sync.waiting_damage()) as waiting, ${MIRROR_ROWS}`;
export const LOAD_PULL = `
select ${LAST_HOUR('pull')}, (
    select count(*) from sync.contact_state s
    join sync.holds h on h.id = s.hold_id and h.state = 'open' and h.cause = 'brake' and h.direction = 'pull'
  ) as waiting, ${MIRROR_ROWS}`;
