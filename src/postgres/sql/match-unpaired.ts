/**
 * First the row that had a record's id before the contact was deleted in the CRM, and would be created anew: restored there, it is its own
 * again. Then, where $2, pairs of a record and a row that nobody has paired: by e-mail, else by a phone number together with the name. Only where each side has
 * exactly one partner: with two candidates a person has to choose. Who has a partner by e-mail, even an ambiguous one, is not matched by
 * phone. Rows are found by the index on crm_id, which holds the nulls together.
 */
export const MATCH_UNPAIRED = `
with records as materialized (
  select r.crm_id, lower(btrim(r.email)) as email, lower(btrim(coalesce(r.first_name, ''))) as first_name,
    lower(btrim(coalesce(r.last_name, ''))) as last_name, coalesce(r.numbers, '{}') as numbers
  from jsonb_to_recordset($1::jsonb) as r(crm_id bigint, email text, first_name text, last_name text, numbers text[])
), former as materialized (
  select r.crm_id, s.contact_id as id, s.intent_at is not null or s.attempt is not null as creating
  from records r join sync.contact_state s on s.former_crm_id = r.crm_id
  where s.crm_id is null
), unpaired as materialized (
  select c.id, lower(btrim(c.email)) as email, lower(btrim(coalesce(c.first_name, ''))) as first_name,
    lower(btrim(coalesce(c.last_name, ''))) as last_name, c.phones
  from crm.contacts c
  left join sync.contact_state s on s.contact_id = c.id
  where $2 and c.crm_id is null and s.crm_id is null and s.former_crm_id is null and s.intent_at is null and s.attempt is null
), by_email as materialized (
  select r.crm_id, u.id from records r join unpaired u on u.email = r.email where r.email <> ''
), by_phone as (
  select distinct r.crm_id, u.id
  from unpaired u
  cross join lateral jsonb_array_elements(u.phones) p
  join records r on btrim(p ->> 'number') = any(r.numbers) and r.first_name = u.first_name and r.last_name = u.last_name
  where not exists (select from by_email e where e.crm_id = r.crm_id or e.id = u.id)
), pairs as (
  select crm_id, id from by_email union all select crm_id, id from by_phone
)
select crm_id, id, creating from former
union all
select crm_id, id, false from (
  select crm_id, id, count(*) over (partition by crm_id) as of_record, count(*) over (partition by id) as of_row from pairs where crm_id not in (select crm_id from former)
) counted
where of_record = 1 and of_row = 1`;

/** The row may have been paired or deleted since: asked again under the lock. A former row that was deleted here needs none. */
export const LOCK_UNPAIRED = `
with locked as (
  select id from crm.contacts where id = any($1::bigint[]) and crm_id is null order by id for no key update skip locked
)
select id from locked
union all
select s.contact_id from sync.contact_state s where s.contact_id = any($1::bigint[]) and s.crm_id is null
  and not exists (select from crm.contacts c where c.id = s.contact_id)`;
