/** What a dry run asks beyond the steps of a real one. */

export const OPEN_CONTACTS = `
select distinct l.contact_id as id from sync.change_log l
where l.settled_at is null and l.state <> 'parked' and l.contact_id > $1
order by 1 limit $2`;

export const OPEN_EDITS = `
select contact_id, jsonb_agg(jsonb_build_array(txid::text, op, old_values, new_values) order by state <> 'unknown', id) as edits
from sync.change_log where contact_id = any($1::bigint[]) and settled_at is null and state <> 'parked'
group by contact_id`;

export const PAIRED_IDS = `
select c.crm_id as id from crm.contacts c join sync.contact_state s on s.contact_id = c.id
where c.crm_id > $1 and s.gone_at is null and s.hidden_at is null order by c.crm_id limit $2`;

export const CRM_URL = 'select crm_url from sync.account';

export const LEADERS_BUDGET = `
select budget_limit as budget from sync.leader where holder is not null and expires_at > clock_timestamp()`;

export const IS_THERE = `select to_regclass('sync.account') is not null as there`;

export const HELD_IN = `
select contact_id, max(hold_id) as hold_id from sync.change_log
where contact_id = any($1::bigint[]) and settled_at is null and state = 'held' and hold_id is not null group by contact_id`;

export const HELD_LINES = `
select (p.line ->> 'contact_id')::bigint as "contactId", (p.line ->> 'crm_id')::bigint as "crmId", h.id as "holdId", p.line ->> 'op' as op,
  coalesce(p.line -> 'fields', '[]') as fields, coalesce(p.line -> 'links', '{}') as links
from sync.holds h cross join lateral jsonb_array_elements(h.plan) p(line)
where h.state = 'open' and h.direction = 'pull' and not p.line ? 'released' and (p.line ->> 'contact_id')::bigint > $1
order by 1 limit $2`;

export const PARKED_CONTACTS = `
select l.contact_id as "contactId", (array_agg(l.error_code order by l.id desc))[1] as code
from sync.change_log l
where l.settled_at is null and l.state = 'parked' and l.contact_id > $1
  and not exists (select from sync.change_log o where o.contact_id = l.contact_id and o.settled_at is null and o.state <> 'parked')
group by l.contact_id order by l.contact_id limit $2`;

export const REFUSED_RECORDS = `
select r.crm_id as "crmId", s.contact_id as "contactId", r.error_code as code
from sync.refused r left join sync.contact_state s on s.crm_id = r.crm_id
where r.crm_id > $1 order by r.crm_id limit $2`;

export const OPEN_CONFLICTS = `
select f.id, f.contact_id as "contactId", s.crm_id as "crmId", f.field, f.base, f.local, f.remote, f.policy
from sync.conflicts f left join sync.contact_state s on s.contact_id = f.contact_id
where f.state = 'open' and f.id > $1 order by f.id limit $2`;
