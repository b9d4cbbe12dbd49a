/**
 * Existing contacts, whose rows the caller has locked and read. Every part has its own flag, so one statement serves a page in which one row
 * gets fields and the next only `extra`. A row that would not change is left out: a rewritten tuple is an echo that BI history would see.
 * `before` is what the row held, and so what "no fields written" has to leave behind. Answers how many rows a trigger of the user's kept as they
 * were: with the base moved on all the same, their old values would be pushed over the CRM's.
 */
import { FIELDS_TYPED, eachField, fieldsOf, logWhatTriggersChanged, type LinkTable } from './columns.ts';

const target = (column: string): string => `case when w.has_fields then w.${column} else o.${column} end as ${column}`;

export const SAVE_ROWS = `
with w as materialized (
  select * from jsonb_to_recordset($1::jsonb) as r(contact_id bigint, has_fields boolean, ${FIELDS_TYPED}, has_extra boolean, extra jsonb,
    has_times boolean, crm_created_at timestamptz, crm_updated_at timestamptz)
), before as materialized (
  select c.* from crm.contacts c join w on w.contact_id = c.id
), target as materialized (
  select o.id, ${eachField(target)}, w.has_fields,
    case when w.has_extra then w.extra else o.extra end as extra,
    case when w.has_times then w.crm_created_at else o.crm_created_at end as crm_created_at,
    case when w.has_times then w.crm_updated_at else o.crm_updated_at end as crm_updated_at
  from w join before o on o.id = w.contact_id
), updated as (
  update crm.contacts c set ${eachField((column) => `${column} = case when t.has_fields then t.${column} else c.${column} end`)},
    extra = t.extra, crm_created_at = t.crm_created_at, crm_updated_at = t.crm_updated_at
  from target t
  where c.id = t.id and (${fieldsOf('c')}, c.extra, c.crm_created_at, c.crm_updated_at)
    is distinct from (${fieldsOf('t')}, t.extra, t.crm_created_at, t.crm_updated_at)
  returning c.id, c.crm_id, ${fieldsOf('c')}
), logged as (${logWhatTriggersChanged('updated', 'target')}
)
select count(*) as suppressed
from target t join before b on b.id = t.id
where (${fieldsOf('b')}, b.extra, b.crm_created_at, b.crm_updated_at)
    is distinct from (${fieldsOf('t')}, t.extra, t.crm_created_at, t.crm_updated_at)
  and not exists (select from updated u where u.id = t.id)`;

/**
 * A state that does not exist yet is made (a row that was paired before it was ever pushed). Base and its links go together: the hash says
 * whether they were given.
 */
export const SAVE_STATES = `
insert into sync.contact_state as s (contact_id, crm_id, base, base_hash, extra_hash, companies, deals, activities)
select w.contact_id, c.crm_id, w.base, w.base_hash, w.extra_hash, w.companies, w.deals, w.activities
from jsonb_to_recordset($1::jsonb) as w(contact_id bigint, base jsonb, base_hash text, extra_hash text, companies bigint[], deals bigint[],
  activities bigint[])
left join crm.contacts c on c.id = w.contact_id
order by w.contact_id
on conflict (contact_id) do update set
  base = coalesce(excluded.base, s.base),
  base_hash = coalesce(excluded.base_hash, s.base_hash),
  extra_hash = coalesce(excluded.extra_hash, s.extra_hash),
  companies = case when excluded.base_hash is null then s.companies else excluded.companies end,
  deals = case when excluded.base_hash is null then s.deals else excluded.deals end,
  activities = case when excluded.base_hash is null then s.activities else excluded.activities end,
  sent = case when excluded.base_hash is null then s.sent end
where (excluded.base_hash is not null
    and (excluded.base, excluded.base_hash, excluded.companies, excluded.deals, excluded.activities, null::jsonb)
      is distinct from (s.base, s.base_hash, s.companies, s.deals, s.activities, s.sent))
  or (excluded.extra_hash is not null and excluded.extra_hash is distinct from s.extra_hash)`;

/**
 * Links as deltas, never "delete all but": the lock on the contact stops neither a user's new link nor its removal, and only the elements
 * that we mean may be touched. A link that is there already is what we wanted.
 */
export const addLinks = ({ table, column }: LinkTable): string => `
insert into ${table} (contact_id, ${column})
select contact_id, target from unnest($1::bigint[], $2::bigint[]) as pairs(contact_id, target)
order by contact_id, target
on conflict do nothing`;
export const removeLinks = ({ table, column }: LinkTable): string => `
delete from ${table} l using unnest($1::bigint[], $2::bigint[]) as pairs(contact_id, target)
where l.contact_id = pairs.contact_id and l.${column} = pairs.target`;

/** Rows that a user holds are left for the next answer that carries them: a timestamp is not worth a wait. */
export const TOUCH = `
with w as materialized (
  select unnest($1::bigint[]) as id, unnest($2::timestamptz[]) as crm_updated_at
), free as materialized (
  select c.id from crm.contacts c
  where c.id = any($1::bigint[]) order by c.id for no key update skip locked
)
update crm.contacts c set crm_updated_at = w.crm_updated_at
from w join free on free.id = w.id
where c.id = w.id and c.crm_updated_at is distinct from w.crm_updated_at`;

export const TOUCH_NEEDED = `
select exists (
  select from unnest($1::bigint[], $2::timestamptz[]) as w(id, crm_updated_at)
  join crm.contacts c on c.id = w.id where c.crm_updated_at is distinct from w.crm_updated_at
) as needed`;
