/** The queue: what is due, taking it, ending it. */
import { isFirst } from './ordered.ts';

/**
 * The contacts of the oldest due log rows. While the outcome of a contact's last call is unknown, its new edits wait until that call is
 * looked into: they come along then. `sending` contacts are never due; the settle or the recovery ends that.
 *
 * Only a window of the index change_log_due is read, in its order: summing up all of 10,000 due rows for each claim took 60 to 100 ms, the
 * window takes 2. A contact with more rows than the window makes a batch of its own. `statement_timestamp()`, since with the volatile
 * `clock_timestamp()` the index would be read to its end.
 */
const DUE = `select contact_id, min(id) as first
  from (
    select l.contact_id, l.id
    from sync.change_log l
    left join sync.contact_state s on s.contact_id = l.contact_id
    where l.state in ('pending', 'retry', 'unknown') and l.next_attempt_at <= statement_timestamp()
      and s.attempt_state is distinct from 'sending'
      and (s.attempt_state is distinct from 'unknown' or l.state = 'unknown')
      and ($2 or s.crm_id is not null or (
        s.contact_id is null and exists (select from crm.contacts c where c.id = l.contact_id and c.crm_id is not null)))
      and (not $3::boolean or ${isFirst('l')})
    order by l.next_attempt_at, l.id limit $1::int * 8 + 100
  ) oldest
  group by contact_id`;

/**
 * After a bulk insert, and until the next ANALYZE, the planner takes 20,000 due rows for fifty: it reads and sorts all of them for each claim of a
 * dozen (measured: 40 to 55 ms, and a sequential scan of the states even afterwards; with these 0.5 to 6 ms whatever their number).
 */
const PLANS = ['bitmapscan', 'seqscan', 'hashjoin', 'mergejoin'] as const;
export const WALK_THE_INDEX = PLANS.map((plan) => `set local enable_${plan} = off`).join('; ');
export const AS_PLANNED = PLANS.map((plan) => `set local enable_${plan} = default`).join('; ');

/** A contact of a new row has no state to lock yet. Nothing is written where all have one. */
export const MAKE_DUE_STATES = `
insert into sync.contact_state (contact_id, crm_id)
select d.contact_id, c.crm_id from (${DUE}) d
left join crm.contacts c on c.id = d.contact_id
where not exists (select from sync.contact_state s where s.contact_id = d.contact_id)
order by d.first limit $1::int
on conflict do nothing`;

/**
 * The state row is what is locked, not log rows: of those two workers could each hold one of the same contact. The condition on the state
 * stands outside of the sub-query a second time, so that Postgres asks it again of a state that another worker has just claimed. The lock is
 * taken under the limit: what another worker holds is skipped and the next one taken instead.
 */
export const LOCK_DUE = `
with due as materialized (${DUE})
select s.contact_id
from due d join sync.contact_state s on s.contact_id = d.contact_id
where s.attempt_state is distinct from 'sending'
order by d.first limit $1::int
for update of s skip locked`;

/** One number for the whole batch. Parked rows come along: a new edit may be what the CRM was missing. Held ones wait for a person. */
export const CLAIM = `
with number as materialized (
  select nextval('sync.attempt_seq') as attempt
), log as (
  update sync.change_log l set state = 'sending', attempt = n.attempt, attempts = l.attempts + 1, next_attempt_at = null
  from number n
  where l.contact_id = any($1::bigint[]) and l.settled_at is null and l.state in ('pending', 'retry', 'parked', 'unknown')
), states as (
  update sync.contact_state s
  set attempt = n.attempt, attempt_state = 'sending', attempt_epoch = $2, attempt_at = clock_timestamp()
  from number n
  where s.contact_id = any($1::bigint[])
)
select attempt from number`;

export const SAVE_SENT = `
update sync.contact_state s set sent = w.sent
from jsonb_to_recordset($1::jsonb) as w(contact_id bigint, sent jsonb)
where s.contact_id = w.contact_id and s.sent is distinct from w.sent`;

export const SAVE_INTENT = `
update sync.contact_state
set intent_at = date_trunc('milliseconds', clock_timestamp()), intent = $2::jsonb || jsonb_build_object('key', gen_random_uuid())
where contact_id = $1
returning intent_at as at, intent ->> 'key' as key`;
export const DOUBT_INTENT = `
update sync.contact_state set intent = intent || jsonb_build_object('unknownAt', clock_timestamp())
where contact_id = $1 and intent_at is not null and not intent ? 'unknownAt'`;
export const CLEAR_INTENT = `update sync.contact_state set intent_at = null, intent = null where contact_id = $1 and intent_at is not null`;

/**
 * Rows of this attempt only, never "by contact": an edit that was committed since the claim stays pending. Rows that were settled, held or
 * claimed anew meanwhile are somebody else's. A deletion that went through counts for the brake.
 */
export const SETTLE_LOG = `
with settled as (
update sync.change_log l set state = o.state, error_code = o.code, error = o.error,
  settled_at = case when o.state in ('done', 'merged') then clock_timestamp() end,
  next_attempt_at = case when o.state in ('pending', 'retry', 'unknown') then clock_timestamp() + o.delay_ms * interval '1 millisecond' end
from jsonb_to_recordset($3::jsonb) as o(ops text[], state text, code text, error text, delay_ms double precision)
where l.contact_id = $1 and l.attempt = $2 and l.settled_at is null and l.state in ('sending', 'unknown') and l.op = any(o.ops)
returning l.op, l.state
), damaged as (
insert into sync.damage (direction, contact_id, op)
select distinct 'push', $1::bigint, op from settled where op = 'delete' and state = 'done'
)
select state, count(*) as rows from settled group by state`;

/**
 * $4: a delete of this contact came to its end; without a row, and without a deletion that was logged since the claim, that makes the state
 * a tombstone. (A row deleted while a call was in flight would otherwise look settled, and the next page would bring it back.)
 */
export const SETTLE_STATE = `
update sync.contact_state s set settled_at = clock_timestamp(),
  attempt = case when $3 = 'unknown' then s.attempt end,
  attempt_state = case when $3 = 'unknown' then 'unknown' end,
  attempt_epoch = case when $3 = 'unknown' then s.attempt_epoch end,
  attempt_at = case when $3 = 'unknown' then s.attempt_at end,
  sent = case when $3 = 'unknown' then s.sent end,
  deleted_at = case when t.buried then coalesce(s.deleted_at, clock_timestamp()) else s.deleted_at end,
  deleted_by = case when t.buried then coalesce(s.deleted_by, 'mirror') else s.deleted_by end
from (
  select $4::boolean and not exists (select from crm.contacts where id = $1)
    and not exists (select from sync.change_log where contact_id = $1 and op = 'delete' and settled_at is null) as buried
) t
where s.contact_id = $1 and s.attempt = $2`;

export const QUEUE = `
insert into sync.change_log (contact_id, crm_id, op, changed_by, txid)
select w.id, s.crm_id, $2, 'relate-mirror', pg_current_xact_id()::text::bigint
from (select distinct unnest($1::bigint[]) as id) w
left join sync.contact_state s on s.contact_id = w.id
where not exists (select from sync.change_log l where l.contact_id = w.id and l.settled_at is null and l.state = 'pending')
order by w.id`;

/**
 * Calls that an earlier leader may have sent. A create is asked about only $2 milliseconds after its claim, when its POST cannot be under way
 * any more: asked earlier, the answer "not there" would be worth nothing. A contact whose log rows are all settled meanwhile gets one to be
 * asked by: without it nothing would ever end the attempt, and every page would pass the contact by.
 */
export const RECOVER_ATTEMPTS = `
with lost as (
  update sync.contact_state set attempt_state = 'unknown'
  where attempt is not null and attempt_state = 'sending' and attempt_epoch is distinct from $1
  returning contact_id, crm_id, attempt, case when intent_at is null then clock_timestamp()
    else greatest(clock_timestamp(), coalesce(attempt_at, intent_at) + $2 * interval '1 millisecond') end as ask_at
), log as (
  update sync.change_log l set state = 'unknown', next_attempt_at = lost.ask_at
  from lost where l.contact_id = lost.contact_id and l.settled_at is null and l.state = 'sending'
  returning l.contact_id
), asked as (
  insert into sync.change_log (contact_id, crm_id, op, changed_by, txid, state, attempt, next_attempt_at)
  select contact_id, crm_id, 'update', 'relate-mirror', pg_current_xact_id()::text::bigint, 'unknown', attempt, ask_at from lost
  where contact_id not in (select contact_id from log)
)
select count(*) as contacts from lost`;

/** Walks index change_log_due from its start and stops at the first row that passes. */
export const NEXT_DUE = `
select greatest(0, ceil(extract(epoch from l.next_attempt_at - clock_timestamp()) * 1000))::float8 as ms
from sync.change_log l
left join sync.contact_state s on s.contact_id = l.contact_id
where l.state in ('pending', 'retry', 'unknown') and l.next_attempt_at is not null
  and s.attempt_state is distinct from 'sending'
  and (s.attempt_state is distinct from 'unknown' or l.state = 'unknown')
  and ($1 or coalesce(s.crm_id, (select c.crm_id from crm.contacts c where c.id = l.contact_id)) is not null)
  and (not $2::boolean or ${isFirst('l')})
order by l.next_attempt_at, l.id limit 1`;
