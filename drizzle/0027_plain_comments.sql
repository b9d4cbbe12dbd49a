-- A comment that only repeats a name tells an analyst nothing.
do $$
declare
  told constant jsonb := '{
    "first_name": "Given name of the person.",
    "last_name": "Family name of the person; null where the CRM knows none.",
    "job_title": "What the person does at work, in the words of whoever typed it.",
    "city": "Town of the person''s address, as it was typed.",
    "postal_code": "Postal code of the person''s address: a text, since it may begin with a zero."
  }';
  place record;
begin
  for place in
    select c.oid::regclass as relation, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and told ? a.attname::text
    where c.oid in ('crm.contacts'::regclass, 'sync.contact_versions'::regclass, 'sync.version_spans'::regclass, 'bi.contact_history'::regclass,
      'bi.contacts'::regclass)
  loop
    execute format('comment on column %s.%I is %L', place.relation, place.attname, told ->> place.attname);
  end loop;
end $$;
--> statement-breakpoint
comment on column sync.contact_versions.email is 'E-mail address, as it was typed.';
--> statement-breakpoint
comment on column sync.version_spans.email is 'E-mail address, as it was typed.';
--> statement-breakpoint
comment on column sync.calls.calls is 'How many of them ended so in that minute.';
--> statement-breakpoint
-- A reader may not see the schema crm.
comment on column bi.contact_history.contact_id is 'The contact: id in bi.contacts; of a deleted one, its former id.';
--> statement-breakpoint
comment on column bi.contact_history.user_id is 'The contact''s owner: id in bi.users.';
--> statement-breakpoint
comment on column bi.contact_history.source_id is 'Where the contact came from: id in bi.sources.';
--> statement-breakpoint
comment on column bi.contact_history.country_id is 'Country: id in bi.countries.';
