/**
 * Contacts are looked up by the state's crm_id, not by the row's: a state outlives its row, so a deleted contact whose delete is still to be
 * pushed is known here and the next page does not bring it back. Times that are compared with a request's are rounded up to the millisecond
 * that JavaScript can hold, so that nothing looks older than it is. No lock.
 */
export const PEEK = `
select s.contact_id, s.crm_id, s.base_hash, s.extra_hash, s.companies, s.deals, s.activities,
  c.crm_updated_at, c.id is not null as has_row,
  date_trunc('milliseconds', s.settled_at + interval '999 microseconds') as settled_at,
  date_trunc('milliseconds', s.deleted_at + interval '999 microseconds') as deleted_at,
  s.attempt is not null as busy, s.gone_at, s.hidden_at, s.hold_id
from sync.contact_state s
left join crm.contacts c on c.id = s.contact_id
where s.crm_id = any($1::bigint[])`;
