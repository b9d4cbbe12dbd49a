/** The account's custom fields, as its list or its records tell them. What follows for bi.contacts is the database's own work: sync.refresh_bi(). */

/** `crm_type` of an inferred field is null, and never takes the place of a word of the CRM. */
export const SAVE_CUSTOM_FIELDS = `
insert into sync.custom_fields as f (name, type, label, options, origin, crm_type)
select i.name, i.type, i.label, i.options, i.origin, i."crmType"
from jsonb_to_recordset($1::jsonb) as i(name text, type text, label text, options jsonb, origin text, "crmType" text)
where not exists (
  select from sync.custom_fields k
  where k.name = i.name and (k.type, k.label, k.options, k.origin, k.crm_type) is not distinct from (i.type, i.label, i.options, i.origin, i."crmType")
    and (i.origin = 'inferred' or (k.unlisted_at is null and k.gone_at is null))
)
order by i.name
on conflict (name) do update set type = excluded.type, label = excluded.label, options = excluded.options, origin = excluded.origin,
  crm_type = excluded.crm_type, unlisted_at = null, gone_at = null, seen_at = clock_timestamp()`;

/** A field that was only seen in records was never listed. */
export const UNLIST_CUSTOM_FIELDS = `
update sync.custom_fields set unlisted_at = clock_timestamp()
where origin = 'crm' and unlisted_at is null and name <> all($1::text[])`;
export const REVIVE_CUSTOM_FIELDS = `
update sync.custom_fields set gone_at = null, seen_at = clock_timestamp() where gone_at is not null and name = any($1::text[])`;

/** One row, made anew where it was emptied by hand. */
export const CUSTOM_FIELDS_READ = `
insert into sync.bi_refresh (fields_read_at) values (clock_timestamp()) on conflict ("only") do update set fields_read_at = excluded.fields_read_at`;
/** Wanted already: nothing is written. */
export const WANT_CUSTOM_FIELDS = `
insert into sync.bi_refresh as r (fields_wanted_at) values (clock_timestamp())
on conflict ("only") do update set fields_wanted_at = excluded.fields_wanted_at where r.fields_wanted_at is null or r.fields_wanted_at <= r.fields_read_at`;
export const CUSTOM_FIELD_LIST = `select max(fields_read_at) as read_at, max(fields_wanted_at) as wanted_at from sync.bi_refresh`;
export const CUSTOM_FIELDS = `
select name, type, label, options, origin, crm_type as "crmType", unlisted_at is null as listed, gone_at is not null as gone
from sync.custom_fields order by name`;
