/** Giving a contact its CRM id, and taking it away. The triggers refuse both to everybody but the daemon. */
import type { LinkTable } from './columns.ts';

/** Whoever else holds the id: a row that a page made for it, or only its state where that row was deleted since. */
export const OTHER_HOLDER = `
select contact_id from sync.contact_state where crm_id = $2 and contact_id <> $1
union
select id from crm.contacts where crm_id = $2 and id <> $1`;

export const LOCK_ROW = `select id from crm.contacts where id = any($1::bigint[]) order by id for update`;

export const moveLinks = ({ table, column }: LinkTable): string => `
insert into ${table} (contact_id, ${column})
select $1, ${column} from ${table} where contact_id = $2
on conflict do nothing`;

/** What was under way for the younger one has lost its attempt: it is read for first. */
export const MOVE_LOG = `
update sync.change_log set contact_id = $1,
  state = case state when 'sending' then 'unknown' else state end,
  next_attempt_at = case state when 'sending' then clock_timestamp() else next_attempt_at end
where contact_id = $2`;
/** One open conflict a field: where both have one, the older contact's stays open. */
export const MOVE_CONFLICTS = `
update sync.conflicts c set contact_id = $1,
  state = case when twin.id is null then c.state else 'decided' end,
  outcome = case when twin.id is null then c.outcome else 'mirror' end,
  decided_at = case when twin.id is null then c.decided_at else clock_timestamp() end,
  decided_by = case when twin.id is null then c.decided_by else 'relate-mirror' end
from sync.conflicts o
left join sync.conflicts twin on twin.contact_id = $1 and twin.field = o.field and twin.state = 'open' and o.state = 'open'
where c.id = o.id and o.contact_id = $2`;
export const DELETE_ROW = `delete from crm.contacts where id = $1`;
export const DELETE_STATE = `delete from sync.contact_state where contact_id = $1`;

export const PAIR_ROW = `update crm.contacts set crm_id = $2 where id = $1 and crm_id is distinct from $2`;
export const PAIR_STATE = `
insert into sync.contact_state as s (contact_id, crm_id) values ($1, $2)
on conflict (contact_id) do update set crm_id = excluded.crm_id where s.crm_id is distinct from excluded.crm_id`;

export const UNPAIR_ROW = `update crm.contacts set crm_id = null where id = $1 and crm_id is not null`;
/** The base stays: should the contact be restored there, what changed since is told from it. */
export const UNPAIR_STATE = `
update sync.contact_state set crm_id = null, former_crm_id = crm_id, sent = null, gone_at = null
where contact_id = $1 and crm_id is not null`;

/**
 * Creates whose outcome may still be out there, or still has to be asked for because the row was deleted since. Partial indexes
 * contact_state_open_intent and change_log_open.
 */
export const OLDEST_OPEN_CREATE = `
select min(s.intent_at) as at from sync.contact_state s
where s.intent_at is not null and (
  s.attempt is not null
  or exists (
    select from sync.change_log l
    where l.contact_id = s.contact_id and l.settled_at is null and l.op = 'delete' and l.state <> 'parked'))`;
