CREATE TABLE "sync"."phone_forms" (
	"contact_id" bigint NOT NULL,
	"number" text NOT NULL,
	"country_id" bigint,
	"region" text,
	"e164" text,
	CONSTRAINT "phone_forms_pk" PRIMARY KEY("contact_id","number")
);
--> statement-breakpoint
ALTER TABLE "sync"."account" ADD COLUMN "phones_read_by" text;--> statement-breakpoint
ALTER TABLE "sync"."phone_forms" ADD CONSTRAINT "phone_forms_contact_id_contacts_id_fk" FOREIGN KEY ("contact_id") REFERENCES "crm"."contacts"("id") ON DELETE cascade ON UPDATE no action;
--> statement-breakpoint
-- A form belongs to the number and the country that it was read by: of another country's it is not shown, until the daemon has read it anew.
create or replace view bi.contact_phones as
select c.id as contact_id, p.at::integer as position,
  case when (select sync.is_masked()) then sync.mask_phone(p.phone ->> 'number') else p.phone ->> 'number' end as number,
  coalesce(p.phone ->> 'type', 'mobile') as type,
  case when (select sync.is_masked()) then sync.mask_phone(f.e164) else f.e164 end as e164,
  c.crm_id
from crm.contacts c
cross join lateral jsonb_array_elements(c.phones) with ordinality p(phone, at)
left join sync.phone_forms f on f.contact_id = c.id and f.number = p.phone ->> 'number' and f.country_id is not distinct from c.country_id;
--> statement-breakpoint
-- As before, with the primary number's form.
create or replace function sync.bi_contacts_sql() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select $view$
create or replace view bi.contacts as
select c.id, c.crm_id, nullif(concat_ws(' ', c.first_name, c.last_name), '') as full_name, c.first_name, c.last_name,
  case when (select sync.is_masked()) then sync.mask_email(c.email) else c.email end as email,
  case when (select sync.is_masked()) then sync.mask_phone(c.phones #>> '{0,number}') else c.phones #>> '{0,number}' end as phone,
  case when (select sync.is_masked()) then sync.mask_phone(p.e164) else p.e164 end as phone_e164, jsonb_array_length(c.phones) as phone_count,
  c.user_id, u.name as user_name, c.source_id, s.name as source_name, c.job_title,
  case when (select sync.is_masked()) then sync.mask_text(c.street) else c.street end as street,
  c.city, c.state, c.postal_code, c.country_id, n.name as country_name,
  (select count(*) from crm.contact_companies l where l.contact_id = c.id) as company_count,
  (select count(*) from crm.contact_deals l where l.contact_id = c.id) as deal_count,
  case when not exists (select from sync.contact_state k where k.contact_id = c.id and k.crm_id is not null and k.activities is null)
    then (select count(*) from crm.contact_activities l where l.contact_id = c.id) end as activity_count,
  c.crm_created_at, c.crm_updated_at,
  case when not (select sync.is_masked()) then c.custom_fields end as custom_fields,
  case when not (select sync.is_masked()) then c.extra end as extra$view$
    || coalesce(string_agg(format(E',\n  %s as %I', coalesce(
        case when f.name is not null then sync.bi_expression(f.name, f.type, f.crm_type, coalesce((
          select jsonb_object_agg(o ->> 'id', coalesce(o ->> 'label', o ->> 'id')) from jsonb_array_elements(f.options) o where o ->> 'id' is not null), '{}')) end,
        format('null::%s', sync.bi_column_type(b.kind))), b.column_name), '' order by b.position), '')
    || $view$
from crm.contacts c left join crm.users u on u.id = c.user_id left join crm.sources s on s.id = c.source_id
  left join crm.countries n on n.id = c.country_id
  left join sync.phone_forms p on p.contact_id = c.id and p.number = c.phones #>> '{0,number}' and p.country_id is not distinct from c.country_id$view$
  from sync.bi_columns b left join sync.custom_fields f on f.name = b.field and b.state = 'current'
$$;
--> statement-breakpoint
update sync.bi_refresh set seen = null, definition = null;
--> statement-breakpoint
select sync.refresh_bi();
--> statement-breakpoint
comment on table sync.phone_forms is 'Phone numbers as the daemon reads them, one row for each that a contact has. People read bi.contact_phones.';
--> statement-breakpoint
comment on column sync.phone_forms.contact_id is 'The contact: id in crm.contacts.';
--> statement-breakpoint
comment on column sync.phone_forms.number is 'The number as it was typed.';
--> statement-breakpoint
comment on column sync.phone_forms.country_id is 'The contact''s country when it was read: id in crm.countries.';
--> statement-breakpoint
comment on column sync.phone_forms.region is 'ISO code of that country; null where its name is none that is known.';
--> statement-breakpoint
comment on column sync.phone_forms.e164 is 'The number in international form, +41791234567; null where it can be no number, or its country is not known.';
--> statement-breakpoint
comment on column sync.account.phones_read_by is 'Which rules every phone number was read by; by others they are all read anew.';
