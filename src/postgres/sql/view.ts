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
