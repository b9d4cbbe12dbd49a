/**
 * A page's new contacts: rows, states and links in one statement. Ids are taken first, so that the parts join by id; a contact that comes
 * back from a tombstone brings its old one. No ON CONFLICT on the rows: it would overwrite edits that nobody merged, and an id that exists
 * already is a fault that the caller has to see (23505). A trigger of the user's that suppresses an insert leaves the contact out of the
 * answer. What was in conflict about a row that comes back is decided: both sides are the record now. Foreign keys are checked at the end of the statement, so the links may stand beside their row.
 */
import { ALL_LINK_TABLES, FIELDS, FIELDS_TYPED, fieldsOf, logWhatTriggersChanged } from './columns.ts';

const LINK_COLUMNS = 'companies, deals, activities';

const insertLinks = ({ kind, table, column }: (typeof ALL_LINK_TABLES)[number]): string => `linked_${kind} as (
  insert into ${table} (contact_id, ${column})
  select i.id, unnest(w.${kind}) from inserted i join incoming w on w.id = i.id
)`;

export const INSERT_CONTACTS = `
with incoming as materialized (
  select coalesce(r.contact_id, nextval(pg_get_serial_sequence('crm.contacts', 'id'))) as id, r.*
  from jsonb_to_recordset($1::jsonb) as r(contact_id bigint, crm_id bigint, ${FIELDS_TYPED}, extra jsonb, crm_created_at timestamptz,
    crm_updated_at timestamptz, base jsonb, base_hash text, extra_hash text, companies bigint[], deals bigint[], activities bigint[])
), inserted as (
  insert into crm.contacts (id, crm_id, ${FIELDS}, extra, crm_created_at, crm_updated_at) overriding system value
  select id, crm_id, ${FIELDS}, extra, crm_created_at, crm_updated_at from incoming order by id
  returning id, crm_id, ${FIELDS}
), stated as (
  insert into sync.contact_state as s (contact_id, crm_id, base, base_hash, extra_hash, ${LINK_COLUMNS})
  select i.id, w.crm_id, w.base, w.base_hash, w.extra_hash, w.companies, w.deals, w.activities
  from inserted i join incoming w on w.id = i.id order by i.id
  on conflict (contact_id) do update set crm_id = excluded.crm_id, base = excluded.base, base_hash = excluded.base_hash,
    extra_hash = excluded.extra_hash, companies = excluded.companies, deals = excluded.deals, activities = excluded.activities,
    sent = null, deleted_at = null, deleted_by = null, gone_at = null, hidden_at = null, hold_id = null
), decided as (
  update sync.conflicts c set state = 'decided', outcome = 'crm', decided_at = clock_timestamp(), decided_by = 'relate-mirror'
  from incoming w
  where w.contact_id is not null and c.contact_id = w.contact_id and c.state = 'open'
), ${ALL_LINK_TABLES.map(insertLinks).join(', ')}, wrote as (
  select w.id, ${fieldsOf('w')} from incoming w
), logged as (${logWhatTriggersChanged('inserted', 'wrote')}
)
select id, crm_id from inserted`;
