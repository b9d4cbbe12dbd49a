/** The audit's questions: which rows may differ from base though nothing is due, and which are gone though nobody deleted them. */
import { AUDITOR } from '../../ports/mirror.ts';
import { ID_FIELDS, TEXT_FIELDS } from '../../domain/contact.ts';
import { ALL_LINK_TABLES } from './columns.ts';

const COLUMNS = [...TEXT_FIELDS, ...ID_FIELDS, 'phones', 'custom_fields'];
const AGREED = [
  ...TEXT_FIELDS.map((column) => `s.base ->> '${column}'`),
  ...ID_FIELDS.map((column) => `(s.base ->> '${column}')::bigint`),
  `s.base -> 'phones'`,
  `s.base -> 'custom_fields'`,
];

const linksDiffer = ({ kind, table, column }: (typeof ALL_LINK_TABLES)[number]): string =>
  `(s.${kind} is not null and s.${kind} is distinct from array(select l.${column} from ${table} l where l.contact_id = c.id order by l.${column}))`;

/** In flight, held, gone, hidden, or with a create that is not settled: somebody else's business. */
const IS_BUSY = `s.attempt is not null or s.gone_at is not null or s.hidden_at is not null or s.hold_id is not null or s.intent_at is not null`;
const NOTHING_OPEN = (id: string): string =>
  `not exists (select from sync.change_log l where l.contact_id = ${id} and l.settled_at is null)`;

/**
 * A batch of rows by id, and which of them do not hold base's very texts. Equal texts are equal in canonical form, so nothing is missed; what
 * is named is compared again by the daemon, in canonical form. Reads only, without a lock: 100,000 contacts take 2 to 3 seconds. The open log
 * is asked for only where something differs. `s.contact_id > $1` says to the merge join what it cannot derive: without it, each batch would
 * read the states from their start.
 */
export const AUDIT_BATCH = `
select max(b.id) as last_id, count(*) as rows, coalesce(array_agg(b.id order by b.id) filter (where b.suspect), '{}') as suspects
from (
  select c.id, not coalesce(${IS_BUSY}, false) and (
      s.base is null
      or (${COLUMNS.map((column) => `c.${column}`).join(', ')}) is distinct from (${AGREED.join(', ')})
      or ${ALL_LINK_TABLES.map(linksDiffer).join('\n      or ')}
    ) and ${NOTHING_OPEN('c.id')} as suspect
  from crm.contacts c
  left join sync.contact_state s on s.contact_id = c.id and s.contact_id > $1
  where c.id > $1 order by c.id limit $2
) b`;

/** Until its mark is read, a contact whose deletion was rejected has no row and no open deletion either. */
const COMES_BACK = `exists (select from sync.marks m where m.crm_id = s.crm_id and m.reason = 'deferred')`;

export const VANISHED = `
select s.contact_id from sync.contact_state s
where s.contact_id > $1 and s.crm_id is not null and s.deleted_at is null and not (${IS_BUSY})
  and not exists (select from crm.contacts c where c.id = s.contact_id) and ${NOTHING_OPEN('s.contact_id')} and not ${COMES_BACK}
order by s.contact_id limit $2`;

/** A row that was paired elsewhere and came without a state: the claim and the page look contacts up there. */
export const MAKE_FOUND_STATES = `
insert into sync.contact_state (contact_id, crm_id)
select c.id, c.crm_id from crm.contacts c
where c.id = any($1::bigint[]) and not exists (select from sync.contact_state s where s.contact_id = c.id)
order by c.id on conflict do nothing`;

export const LOG_FOUND = `
insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
select f.contact_id, coalesce(s.crm_id, c.crm_id), f.op, f.old_values, f.new_values, '${AUDITOR}', pg_current_xact_id()::text::bigint
from rows from (jsonb_to_recordset($1::jsonb) as (contact_id bigint, op text, old_values jsonb, new_values jsonb))
  with ordinality as f(contact_id, op, old_values, new_values, place)
left join sync.contact_state s on s.contact_id = f.contact_id
left join crm.contacts c on c.id = f.contact_id
where f.op <> 'delete' or not ${COMES_BACK}
order by f.place
returning contact_id`;
