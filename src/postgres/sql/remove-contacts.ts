/**
 * The rows of contacts that the CRM has proven gone. Their links go by cascade. The state stays as a tombstone with crm_id and id, and
 * without base: should a page bring the id again (restored from the trash), it is a new contact with its old id. What was still to be pushed
 * has nowhere to go and is settled as merged; the caller has recorded the conflict, where there was one. Answers how many rows a trigger of the
 * user's kept.
 */
export const REMOVE_CONTACTS = `
with gone as (
  delete from crm.contacts where id = any($1::bigint[]) returning id, crm_id
), counted as (
  insert into sync.damage (direction, contact_id, op) select 'pull', id, 'delete' from gone
), logged as (
  update sync.change_log set state = 'merged', settled_at = clock_timestamp(), next_attempt_at = null
  where contact_id = any($1::bigint[]) and settled_at is null
), decided as (
  update sync.conflicts set state = 'decided', outcome = 'crm', decided_at = clock_timestamp(), decided_by = 'relate-mirror'
  where contact_id = any($1::bigint[]) and state = 'open'
), buried as (
insert into sync.contact_state as s (contact_id, crm_id, deleted_at, deleted_by)
select w.id, g.crm_id, clock_timestamp(), 'crm'
from (select distinct unnest($1::bigint[]) as id) w
left join gone g on g.id = w.id
where g.id is not null or exists (select from sync.contact_state t where t.contact_id = w.id)
order by w.id
on conflict (contact_id) do update set deleted_at = clock_timestamp(), deleted_by = 'crm', base = null, base_hash = null, extra_hash = null,
  companies = null, deals = null, activities = null, sent = null, gone_at = null, hidden_at = null, hold_id = null
where s.deleted_at is null or s.base_hash is not null
)
select (select count(*) from crm.contacts where id = any($1::bigint[])) - (select count(*) from gone) as suppressed`;

/** A contact that is visible again leaves the plan that wanted to remove it. */
export const MARK_VISIBLE = `
update sync.contact_state set gone_at = null, hidden_at = null, hold_id = null
where contact_id = any($1::bigint[]) and (gone_at is not null or hidden_at is not null)`;
export const MARK_HIDDEN = `
update sync.contact_state set hidden_at = clock_timestamp(), gone_at = null
where contact_id = any($1::bigint[]) and (hidden_at is null or gone_at is not null)`;
export const MARK_GONE = `
update sync.contact_state set gone_at = clock_timestamp(), hidden_at = null
where contact_id = any($1::bigint[]) and (gone_at is null or hidden_at is not null)`;
