/** Phone numbers in international form: which contacts lack some, and writing them. */

/** What is longer is no phone number, and might not fit into an index. */
const NUMBER_LENGTH_MAX = 100;

/**
 * Of the contacts `here` those with a number that has no form, or one that was read by another country; or a form whose number is gone. $1 the ISO codes
 * by country id, $2 whether every number is to be read anew.
 */
const lacking = (here: string, ofHere: string): string => `
with here as materialized (${here}), numbers as materialized (
  select distinct h.id, h.country_id, p.phone ->> 'number' as number
  from here h cross join lateral jsonb_array_elements(h.phones) p(phone) where length(p.phone ->> 'number') <= ${NUMBER_LENGTH_MAX}
), forms as materialized (
  select f.contact_id, f.number, f.country_id, f.region from sync.phone_forms f where ${ofHere}
), stale as (
  select n.id from numbers n left join forms f on f.contact_id = n.id and f.number = n.number
  where f.contact_id is null or $2 or (f.country_id, f.region) is distinct from (n.country_id, $1::jsonb ->> n.country_id::text)
  union
  select f.contact_id from forms f left join numbers n on n.id = f.contact_id and n.number = f.number where n.id is null
)
select (select max(id) from here) as last_id, (select count(*)::int from here) as seen, (
  select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'countryId', h.country_id, 'numbers', coalesce(n.numbers, '[]'))), '[]')
  from stale s join here h on h.id = s.id
  left join (select id, jsonb_agg(number) as numbers from numbers group by id) n on n.id = s.id
) as contacts`;

/** $3 after which id, $4 how many. */
export const LACKING_AFTER = lacking(
  'select id, country_id, phones from crm.contacts where id > $3 order by id limit $4',
  'f.contact_id > $3 and f.contact_id <= (select max(id) from here)',
);
/** $3 ids. */
export const LACKING_OF = lacking(
  'select id, country_id, phones from crm.contacts where id = any($3::bigint[])',
  'f.contact_id = any($3::bigint[])',
);

/**
 * Rows that somebody holds against us are left, and not in the answer. KEY SHARE, as the foreign key takes it, waits for nobody's UPDATE; taken here and
 * not there, because there it would wait.
 */
export const WRITE_FORMS = `
with free as materialized (
  select c.id from crm.contacts c where c.id = any($1::bigint[]) order by c.id for key share skip locked
), forms as materialized (
  select w.* from jsonb_to_recordset($2::jsonb) as w(contact_id bigint, number text, country_id bigint, region text, e164 text)
  join free on free.id = w.contact_id
), gone as (
  delete from sync.phone_forms f
  where f.contact_id = any($1::bigint[]) and f.contact_id in (select id from free)
    and not exists (select from forms w where w.contact_id = f.contact_id and w.number = f.number)
), written as (
  insert into sync.phone_forms as f (contact_id, number, country_id, region, e164)
  select contact_id, number, country_id, region, e164 from forms order by contact_id, number
  on conflict (contact_id, number) do update set country_id = excluded.country_id, region = excluded.region, e164 = excluded.e164
  where (f.country_id, f.region, f.e164) is distinct from (excluded.country_id, excluded.region, excluded.e164)
)
select coalesce(array_agg(id), '{}') as free from free`;

export const COUNTRY_NAMES = `select id, name from crm.countries where name is not null`;

/** Whether the log moved is told by both numbers, since a transaction may commit an older change later. $1: how far back that is looked for. */
export const LOG_TAIL = `
select newest, (select count(*)::int from sync.change_log where id > newest - $1) as changes
from (select coalesce(max(id), 0) as newest from sync.change_log) l`;
/** Edits here of what a form is made from: $1 after which change, $2 how many changes. */
export const EDITED_SINCE = `
select max(id) as last_id, count(*)::int as seen, coalesce(array_agg(distinct contact_id) filter (
    where op = 'insert' or new_values ?| array['phones', 'country_id']), '{}') as contacts
from (select id, contact_id, op, new_values from sync.change_log where id > $1 order by id limit $2) l`;

export const READ_BY = `select phones_read_by as version from sync.account`;
export const SAVE_READ_BY = `update sync.account set phones_read_by = $1 where phones_read_by is distinct from $1`;
