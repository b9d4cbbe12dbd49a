CREATE TABLE "sync"."bi_columns" (
	"position" integer PRIMARY KEY NOT NULL,
	"column_name" text NOT NULL,
	"field" text NOT NULL,
	"kind" text NOT NULL,
	"type" text NOT NULL,
	"label" text,
	"state" text DEFAULT 'current' NOT NULL,
	"added_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"ended_at" timestamp with time zone,
	"unfit" bigint,
	CONSTRAINT "bi_columns_column_name_unique" UNIQUE("column_name"),
	CONSTRAINT "bi_columns_field_kind" UNIQUE("field","kind"),
	CONSTRAINT "bi_columns_kind_known" CHECK (kind in ('text', 'number', 'boolean', 'date', 'datetime', 'options')),
	CONSTRAINT "bi_columns_state_known" CHECK (state in ('current', 'gone', 'retyped')),
	CONSTRAINT "bi_columns_ended" CHECK ((state = 'current') = (ended_at is null))
);
--> statement-breakpoint
CREATE TABLE "sync"."bi_refresh" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"seen" text,
	"definition" text,
	"refreshed_at" timestamp with time zone,
	"waits_since" timestamp with time zone,
	"over_limit" integer DEFAULT 0 NOT NULL,
	"fields_read_at" timestamp with time zone,
	"fields_wanted_at" timestamp with time zone,
	"counted_at" timestamp with time zone,
	CONSTRAINT "bi_refresh_only_row" CHECK ("only")
);
--> statement-breakpoint
CREATE TABLE "sync"."custom_field_changes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."custom_field_changes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"field" text NOT NULL,
	"change" text NOT NULL,
	"old_type" text,
	"new_type" text,
	"old_label" text,
	"new_label" text,
	"told" boolean DEFAULT false NOT NULL,
	CONSTRAINT "custom_field_changes_change_known" CHECK (change in ('added', 'retyped', 'relabelled', 'options', 'unlisted', 'gone', 'back'))
);
--> statement-breakpoint
ALTER TABLE "sync"."custom_fields" ADD COLUMN "crm_type" text;--> statement-breakpoint
ALTER TABLE "sync"."custom_fields" ADD COLUMN "unlisted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "sync"."custom_fields" ADD COLUMN "gone_at" timestamp with time zone;
--> statement-breakpoint
-- The view bi.contacts: one row a contact, one typed column a custom field, written anew by sync.refresh_bi() when the definitions change.
--
-- A column is never dropped, renamed, retyped or moved: CREATE OR REPLACE VIEW refuses all four, and only appends. What a column is stands in
-- sync.bi_columns, by its place. Dates, numbers and labels are made from the jsonb by expressions of the view: no table is rewritten for a new column,
-- and what is wrong in the jsonb is null in its column, never an error.
insert into sync.bi_refresh default values;
--> statement-breakpoint
insert into sync.locks (name) values ('bi');
--> statement-breakpoint
alter function sync.is_date(text) parallel safe;
--> statement-breakpoint
alter function sync.is_datetime(text) parallel safe;
--> statement-breakpoint
-- The four conversions are inlined into whatever asks for the column: a call of a function costs more than the conversion. They are exactly as volatile
-- as what they are made of, since anything else would keep them from it. 38 digits are what the decimals of BI tools hold.
create function sync.to_number(value jsonb) returns numeric
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'number' then
  case when abs(value::numeric) < 1e38 and scale(value::numeric) <= 38 then value::numeric end end;
--> statement-breakpoint
create function sync.to_boolean(value jsonb) returns boolean
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'boolean' then value::boolean end;
--> statement-breakpoint
-- One pattern for every day but 29 February: it is what a date costs.
create function sync.to_date(value text) returns date
language sql stable parallel safe
return case
  when value ~ ('^(\d{3}[1-9]|\d\d[1-9]\d|\d[1-9]\d\d|[1-9]\d{3})-'
    '((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))$') then value::date
  when value like '____-02-29' then case when sync.is_date(value) then value::date end end;
--> statement-breakpoint
-- The form that the daemon stores first. A date-time without an offset is UTC, as the CRM reads it.
create function sync.to_instant(value text) returns timestamptz
language sql stable parallel safe
return case
  when value ~ ('^(\d{3}[1-9]|\d\d[1-9]\d|\d[1-9]\d\d|[1-9]\d{3})-'
    '((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))'
    'T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$') then value::timestamptz
  when sync.is_datetime(value) then
    case when length(value) = 10 then value || 'T00:00:00Z' when value ~ '(Z|[+-]\d\d:?\d\d)$' then value else value || 'Z' end::timestamptz end;
--> statement-breakpoint
-- Postgres allows 1,600 columns; a record of the CRM has at most 1,000 custom fields.
create function sync.bi_columns_max() returns integer
language sql immutable
return 1200;
--> statement-breakpoint
create function sync.bi_kind(type text) returns text
language sql immutable parallel safe
return case type when 'option' then 'text' else type end;
--> statement-breakpoint
create function sync.bi_column_type(kind text) returns text
language sql immutable parallel safe
return case kind when 'number' then 'numeric' when 'datetime' then 'timestamptz' when 'options' then 'text[]' else kind end;
--> statement-breakpoint
-- Which fields have a column, or are to get one. A field that the CRM's list should tell, and that was only seen in a record yet, waits until the list was
-- read again: a number seen may be the id of an option. Without a list, the type is read off the values; so not before all were seen once.
create function sync.bi_fields() returns setof sync.custom_fields
language sql stable set search_path = pg_catalog, pg_temp as $$
  select f.* from sync.custom_fields f cross join sync.account a left join sync.bi_refresh r on true
  where f.origin = 'crm' or f.seen_at < r.fields_read_at or (r.fields_read_at is null and a.first_sweep_at is not null)
    or f.seen_at < clock_timestamp() - interval '1 day'
$$;
--> statement-breakpoint
create function sync.bi_seen() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select md5(coalesce(string_agg(md5(row(f.name, f.type, f.label, f.options, f.crm_type, f.unlisted_at, f.gone_at)::text), '' order by f.name), ''))
  from sync.bi_fields() f
$$;
--> statement-breakpoint
create function sync.is_bi_due() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select (select seen from sync.bi_refresh) is distinct from sync.bi_seen() or to_regclass('bi.contacts') is null
$$;
--> statement-breakpoint
-- A name of Postgres has 63 bytes.
create function sync.cut_to_bytes(value text, bytes integer) returns text
language plpgsql immutable as $$
declare
  short text := left(value, bytes);
begin
  while octet_length(short) > bytes loop
    short := left(short, -1);
  end loop;
  return short;
end $$;
--> statement-breakpoint
-- The field's own name; where that is taken (by another type of the same field, or by a field that is the same in 63 bytes) with the type behind it, and
-- then with a number.
create function sync.bi_column_name(field text, kind text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  ending text := '';
  name text;
begin
  for n in 2 .. 2000 loop
    name := sync.cut_to_bytes(field, 63 - octet_length(ending)) || ending;
    if not exists (select from sync.bi_columns c where c.column_name = name) then
      return name;
    end if;
    ending := case n when 2 then '_' || kind else format('_%s_%s', kind, n - 1) end;
  end loop;
  return null;
end $$;
--> statement-breakpoint
-- The registry as the definitions have it now. Answers how many fields have no column because there are too many.
create function sync.note_bi_columns() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  field record;
  place integer := coalesce((select max(position) from sync.bi_columns), 0);
  over_limit integer := 0;
begin
  update sync.bi_columns c
  set state = now.state, ended_at = case when now.state <> 'current' then coalesce(c.ended_at, now.gone_at, clock_timestamp()) end,
    type = now.type, label = now.label, unfit = case when now.state = 'current' then c.unfit end
  from (
    select c.position, f.gone_at, f.label, case when sync.bi_kind(f.type) = c.kind then f.type else c.type end as type,
      case when sync.bi_kind(f.type) <> c.kind then 'retyped' when f.gone_at is not null then 'gone' else 'current' end as state
    from sync.bi_columns c join sync.bi_fields() f on f.name = c.field
  ) now
  where now.position = c.position and (c.state, c.type, c.label) is distinct from (now.state, now.type, now.label);

  for field in
    select f.name, f.type, f.label, sync.bi_kind(f.type) as kind from sync.bi_fields() f
    where f.gone_at is null and not exists (select from sync.bi_columns c where c.field = f.name and c.kind = sync.bi_kind(f.type))
    order by f.name collate "C"
  loop
    if place >= sync.bi_columns_max() then
      over_limit := over_limit + 1;
      continue;
    end if;
    place := place + 1;
    insert into sync.bi_columns (position, column_name, field, kind, type, label)
    values (place, sync.bi_column_name(field.name, field.kind), field.name, field.kind, field.type, field.label);
  end loop;
  return over_limit;
end $$;
--> statement-breakpoint
-- What stands in the view for one custom field. `labels`: {"id": "label"}. Options come in the order of their ids, in whatever order somebody typed
-- them: the same options are the same value. What people typed may hold an e-mail address or a phone number, so the masked reader does not see it; a
-- label is the account's own, and a number is an id.
create function sync.bi_expression(field text, type text, crm_type text, labels jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp
return case
  when type = 'number' then format('sync.to_number(c.custom_fields -> %L)', field)
  when type = 'boolean' then format('sync.to_boolean(c.custom_fields -> %L)', field)
  when type = 'date' then format('sync.to_date(c.custom_fields ->> %L)', field)
  when type = 'datetime' then format('sync.to_instant(c.custom_fields ->> %L)', field)
  when type = 'options' then format(
    '(select array_agg(coalesce(%2$L::jsonb ->> o.id, case when o.id ~ ''^\d{1,9}$'' or not (select sync.is_masked()) then o.id '
    'else sync.mask_text(o.id) end) order by length(o.id), o.id collate "C") from jsonb_array_elements_text('
    'case when jsonb_typeof(c.custom_fields -> %1$L) = ''array'' then c.custom_fields -> %1$L end) o(id))', field, labels)
  when type = 'option' then format(
    'coalesce(%2$L::jsonb ->> (c.custom_fields ->> %1$L), case when c.custom_fields ->> %1$L ~ ''^\d{1,9}$'' or not (select sync.is_masked()) '
    'then c.custom_fields ->> %1$L else sync.mask_text(c.custom_fields ->> %1$L) end)', field, labels)
  when lower(crm_type) in ('timezone', 'color', 'colorswatch') then format('c.custom_fields ->> %L', field)
  else format('case when (select sync.is_masked()) then sync.%2$s(c.custom_fields ->> %1$L) else c.custom_fields ->> %1$L end',
    field, case when lower(crm_type) = 'email' then 'mask_email' else 'mask_text' end)
end;
--> statement-breakpoint
-- Names and counts cost nothing where they are not asked for: the planner leaves out a join by a primary key, and a sub-query that nobody reads.
create function sync.bi_contacts_sql() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select $view$
create or replace view bi.contacts as
select c.id, c.crm_id, nullif(concat_ws(' ', c.first_name, c.last_name), '') as full_name, c.first_name, c.last_name,
  case when (select sync.is_masked()) then sync.mask_email(c.email) else c.email end as email,
  case when (select sync.is_masked()) then sync.mask_phone(c.phones #>> '{0,number}') else c.phones #>> '{0,number}' end as phone,
  null::text as phone_e164, jsonb_array_length(c.phones) as phone_count,
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
  left join crm.countries n on n.id = c.country_id$view$
  from sync.bi_columns b left join sync.custom_fields f on f.name = b.field and b.state = 'current'
$$;
--> statement-breakpoint
-- What the comment of each typed column is to say.
create function sync.bi_column_comments() returns table (column_name text, told text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.column_name, format('%s (custom field %s, %s).', coalesce(c.label, c.field), c.field,
      case c.type when 'option' then 'one option' when 'options' then 'several options' when 'datetime' then 'date and time' else c.type end)
    || case c.state
      when 'gone' then format(' Null: the CRM has it no more since %s.', to_char(c.ended_at at time zone 'UTC', 'YYYY-MM-DD'))
      when 'retyped' then format(' Null: the field''s type changed on %s. Its values are in %s.', to_char(c.ended_at at time zone 'UTC', 'YYYY-MM-DD'),
        coalesce((select n.column_name from sync.bi_columns n where n.field = c.field and n.state = 'current'), 'no column'))
      else case c.type when 'option' then ' The option''s label.' when 'options' then ' The options'' labels, in the order of their ids.' else '' end
        || coalesce(' The CRM''s form does not list it since ' || to_char(f.unlisted_at at time zone 'UTC', 'YYYY-MM-DD')
          || ': it shows what contacts hold.', '')
    end
  from sync.bi_columns c left join sync.custom_fields f on f.name = c.field
$$;
--> statement-breakpoint
-- Brings registry, view and comments to what the definitions say. Waits for readers of the view 100 ms at most, because whoever comes meanwhile waits
-- behind it: then it gives up, says so in waits_since, and is called again. Answers same, changed or waits.
create function sync.refresh_bi() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  now_seen text;
  without_column integer;
  wanted text;
  remark record;
begin
  if not sync.is_bi_due() then
    return 'same';
  end if;
  begin
    perform sync.take_lock('bi');
    insert into sync.bi_refresh default values on conflict do nothing;
    now_seen := sync.bi_seen();
    without_column := sync.note_bi_columns();
    wanted := sync.bi_contacts_sql();
    if md5(wanted) is distinct from (select definition from sync.bi_refresh) or to_regclass('bi.contacts') is null then
      execute wanted;
    end if;
    for remark in
      select c.column_name, c.told from sync.bi_column_comments() c
      join pg_attribute a on a.attrelid = 'bi.contacts'::regclass and a.attname = c.column_name
      where col_description(a.attrelid, a.attnum) is distinct from c.told
    loop
      execute format('comment on column bi.contacts.%I is %L', remark.column_name, remark.told);
    end loop;
    update sync.bi_refresh
    set seen = now_seen, definition = md5(wanted), refreshed_at = clock_timestamp(), waits_since = null, over_limit = without_column;
    return 'changed';
  exception when lock_not_available or deadlock_detected then
    null;
  end;
  insert into sync.bi_refresh as r (waits_since) values (clock_timestamp())
  on conflict ("only") do update set waits_since = excluded.waits_since where r.waits_since is null;
  return 'waits';
end $$;
--> statement-breakpoint
-- No value of a contact: names, types and labels are the account's settings.
create function sync.note_custom_field_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  change text;
begin
  if tg_op = 'INSERT' then
    insert into sync.custom_field_changes (field, change, new_type, new_label) values (new.name, 'added', new.type, new.label);
    -- The CRM's list should have told of it: it is asked again.
    if new.origin = 'inferred' then
      update sync.bi_refresh set fields_wanted_at = clock_timestamp() where fields_read_at is not null;
    end if;
    return null;
  end if;
  foreach change in array array_remove(array[
    case when old.type <> new.type then 'retyped' end,
    case when old.label <> new.label then 'relabelled' end,
    case when old.type = new.type and old.options <> new.options and old.options <> '[]' then 'options' end,
    case when old.gone_at is null and new.gone_at is not null then 'gone'
      when old.gone_at is not null and new.gone_at is null or old.unlisted_at is not null and new.unlisted_at is null then 'back'
      when old.unlisted_at is null and new.unlisted_at is not null then 'unlisted' end
  ], null) loop
    insert into sync.custom_field_changes (field, change, old_type, new_type, old_label, new_label)
    values (new.name, change, old.type, new.type, old.label, new.label);
  end loop;
  return null;
end $$;
--> statement-breakpoint
create trigger relate_mirror_changes after insert or update on sync.custom_fields for each row execute function sync.note_custom_field_change();
--> statement-breakpoint
-- What the daemon has not said in its log yet; a year is kept.
create function sync.tell_custom_field_changes() returns setof sync.custom_field_changes
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  delete from sync.custom_field_changes where at < clock_timestamp() - interval '1 year' and told;
  update sync.custom_field_changes set told = true where not told returning *
$$;
--> statement-breakpoint
-- After a complete sweep, every value that the CRM has is here. So a field that its list lacks (or that was never listed, only seen) and that no contact
-- holds a value of is gone; until then records may carry what a form's settings hide. And values that their column cannot show are counted.
create function sync.count_custom_values() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  with held as materialized (
    select f.key as field, b.position, count(*) filter (where case b.kind
        when 'number' then sync.to_number(f.value) is null
        when 'boolean' then sync.to_boolean(f.value) is null
        when 'date' then sync.to_date(f.value #>> '{}') is null
        when 'datetime' then sync.to_instant(f.value #>> '{}') is null
        when 'options' then jsonb_typeof(f.value) <> 'array'
        when 'text' then jsonb_typeof(f.value) in ('array', 'object') end) as unfit
    from crm.contacts c cross join lateral jsonb_each(c.custom_fields) f
    left join sync.bi_columns b on b.field = f.key and b.state = 'current'
    where f.value <> 'null'
    group by f.key, b.position
  ), counted as (
    update sync.bi_columns b set unfit = now.unfit
    from (select k.position, coalesce(h.unfit, 0) as unfit from sync.bi_columns k left join held h using (position) where k.state = 'current') now
    where now.position = b.position and b.unfit is distinct from now.unfit
  )
  update sync.custom_fields f set gone_at = clock_timestamp()
  where f.gone_at is null and (f.unlisted_at is not null or f.origin = 'inferred') and not exists (select from held h where h.field = f.name);

  update sync.bi_refresh set counted_at = clock_timestamp();
end $$;
--> statement-breakpoint
create function sync.is_count_due() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(a.last_complete_sweep_at > coalesce((select counted_at from sync.bi_refresh), '-infinity'), false) from sync.account a
$$;
--> statement-breakpoint
-- Where the CRM was asked for its fields before this, it is asked again.
create function sync.request_fields() returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.bi_refresh as r (fields_wanted_at) values (clock_timestamp())
  on conflict ("only") do update set fields_wanted_at = excluded.fields_wanted_at;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
select sync.refresh_bi();
--> statement-breakpoint
create view bi.custom_fields as
select c.column_name, c.field, c.label, c.type, sync.bi_column_type(c.kind) as column_type, c.state, c.added_at, c.ended_at,
  case when c.state = 'current' then coalesce(f.options, '[]') else '[]' end as options, c.unfit
from sync.bi_columns c left join sync.custom_fields f on f.name = c.field;
--> statement-breakpoint
create view sync.bi_waiting as select refreshed_at, waits_since, over_limit, fields_read_at, fields_wanted_at from sync.bi_refresh;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
--> statement-breakpoint
comment on view bi.contacts is 'The contacts: one row each, with the names behind the ids, and a column for each custom field (what they are: bi.custom_fields).';
--> statement-breakpoint
do $$
declare
  told constant jsonb := '{
    "id": "The contact''s id here; it never changes.",
    "crm_id": "The contact''s id in the CRM; null until the CRM has it.",
    "full_name": "First and last name.",
    "first_name": "First name.",
    "last_name": "Last name.",
    "email": "E-mail address; masked readers see the first letter and the domain.",
    "phone": "The primary phone number as it was typed; masked readers see the last two digits. All of them: bi.contact_phones.",
    "phone_e164": "The primary phone number in international form, +41791234567; null where it cannot be told. Masked readers see the last two digits.",
    "phone_count": "How many phone numbers the contact has.",
    "user_id": "The owner: id in bi.users.",
    "user_name": "What the owner is called.",
    "source_id": "Where the contact comes from: id in bi.sources.",
    "source_name": "What the source is called.",
    "job_title": "Job title.",
    "street": "Street and number; masked readers see that there is one.",
    "city": "City.",
    "state": "State or region.",
    "postal_code": "Postal code.",
    "country_id": "Country: id in bi.countries.",
    "country_name": "What the country is called.",
    "company_count": "How many companies the contact belongs to; which: bi.contact_companies.",
    "deal_count": "How many deals the contact takes part in; which: bi.contact_deals.",
    "activity_count": "How many activities the contact takes part in; null where the CRM has not told yet. Which: bi.contact_activities.",
    "crm_created_at": "When the contact was made in the CRM.",
    "crm_updated_at": "When the contact was last changed in the CRM.",
    "custom_fields": "All custom fields as {\"cf_…\": value}, options as ids; null for masked readers. The same, typed: the columns cf_….",
    "extra": "Whatever else the CRM sends of the contact; null for masked readers."
  }';
  place record;
begin
  for place in select key, value from jsonb_each_text(told) loop
    execute format('comment on column bi.contacts.%I is %L', place.key, place.value);
  end loop;
end $$;
--> statement-breakpoint
comment on view bi.custom_fields is 'The columns of bi.contacts that are custom fields: what each is called in the CRM, and whether it still is.';
--> statement-breakpoint
comment on column bi.custom_fields.column_name is 'The column of bi.contacts. It is never dropped, renamed or retyped.';
--> statement-breakpoint
comment on column bi.custom_fields.field is 'The custom field''s name in the CRM.';
--> statement-breakpoint
comment on column bi.custom_fields.label is 'What the CRM calls it on screen; null where it has not told.';
--> statement-breakpoint
comment on column bi.custom_fields.type is 'text, number, boolean, date, datetime, option (one of its options) or options (several).';
--> statement-breakpoint
comment on column bi.custom_fields.column_type is 'The type of the column.';
--> statement-breakpoint
comment on column bi.custom_fields.state is 'current; gone (the CRM has the field no more) or retyped (the field has another type now, and another column): then the column is null.';
--> statement-breakpoint
comment on column bi.custom_fields.added_at is 'Since when there is the column.';
--> statement-breakpoint
comment on column bi.custom_fields.ended_at is 'Since when it is null; null while it is current.';
--> statement-breakpoint
comment on column bi.custom_fields.options is 'The field''s options as [{"id": …, "label": …}]; [] where there are none or they are not known.';
--> statement-breakpoint
comment on column bi.custom_fields.unfit is 'How many contacts hold a value that the column''s type cannot show, so that it is null there; counted after each complete sweep, null before.';
--> statement-breakpoint
comment on table sync.bi_columns is 'The typed columns of bi.contacts, in their order. People read bi.custom_fields.';
--> statement-breakpoint
comment on column sync.bi_columns.position is 'Its place among the typed columns; never changed.';
--> statement-breakpoint
comment on column sync.bi_columns.column_name is 'Its name in bi.contacts; never changed.';
--> statement-breakpoint
comment on column sync.bi_columns.field is 'The custom field that it shows.';
--> statement-breakpoint
comment on column sync.bi_columns.kind is 'What the column''s type is made from: text (one option too), number, boolean, date, datetime or options.';
--> statement-breakpoint
comment on column sync.bi_columns.type is 'The field''s type while the column was last current.';
--> statement-breakpoint
comment on column sync.bi_columns.label is 'What the CRM calls the field.';
--> statement-breakpoint
comment on column sync.bi_columns.state is 'current, gone or retyped.';
--> statement-breakpoint
comment on column sync.bi_columns.added_at is 'Since when there is the column.';
--> statement-breakpoint
comment on column sync.bi_columns.ended_at is 'Since when it reads null.';
--> statement-breakpoint
comment on column sync.bi_columns.unfit is 'How many contacts held a value that the type cannot show, when they were last counted.';
--> statement-breakpoint
comment on table sync.bi_refresh is 'How far the columns of bi.contacts are behind the definitions of the custom fields. One row.';
--> statement-breakpoint
comment on column sync.bi_refresh."only" is 'true: there is one row.';
--> statement-breakpoint
comment on column sync.bi_refresh.seen is 'A hash of the definitions that the view shows.';
--> statement-breakpoint
comment on column sync.bi_refresh.definition is 'A hash of the view''s definition.';
--> statement-breakpoint
comment on column sync.bi_refresh.refreshed_at is 'When the view was last brought up to date.';
--> statement-breakpoint
comment on column sync.bi_refresh.waits_since is 'Since when a change of the view waits for somebody who reads it in a long query or transaction; null: none waits.';
--> statement-breakpoint
comment on column sync.bi_refresh.over_limit is 'Custom fields that have no column because there are too many.';
--> statement-breakpoint
comment on column sync.bi_refresh.fields_read_at is 'When the CRM last told its custom fields; null: it never did.';
--> statement-breakpoint
comment on column sync.bi_refresh.fields_wanted_at is 'When a record showed a field or an option that is not known, or somebody asked (sync.request_fields()).';
--> statement-breakpoint
comment on column sync.bi_refresh.counted_at is 'When the values that do not fit their column were last counted.';
--> statement-breakpoint
comment on view sync.bi_waiting is 'Whether a change of the columns of bi.contacts waits, and for how long. One row.';
--> statement-breakpoint
comment on column sync.bi_waiting.refreshed_at is 'When the view was last brought up to date.';
--> statement-breakpoint
comment on column sync.bi_waiting.waits_since is 'Since when a change of the view waits for somebody who reads it in a long query or transaction; null: none waits.';
--> statement-breakpoint
comment on column sync.bi_waiting.over_limit is 'Custom fields that have no column because there are too many.';
--> statement-breakpoint
comment on column sync.bi_waiting.fields_read_at is 'When the CRM last told its custom fields; null: it never did.';
--> statement-breakpoint
comment on column sync.bi_waiting.fields_wanted_at is 'When a record showed a field or an option that is not known, or somebody asked (sync.request_fields()).';
--> statement-breakpoint
comment on table sync.custom_field_changes is 'What changed in the account''s custom fields, newest last; a year is kept. No values of contacts.';
--> statement-breakpoint
comment on column sync.custom_field_changes.id is 'Ascending in the order of the changes.';
--> statement-breakpoint
comment on column sync.custom_field_changes.at is 'When it was noticed here.';
--> statement-breakpoint
comment on column sync.custom_field_changes.field is 'The custom field''s name.';
--> statement-breakpoint
comment on column sync.custom_field_changes.change is 'added, retyped, relabelled, options (they changed), unlisted (the CRM''s form does not show it, records do), gone or back.';
--> statement-breakpoint
comment on column sync.custom_field_changes.old_type is 'Its type before.';
--> statement-breakpoint
comment on column sync.custom_field_changes.new_type is 'Its type since.';
--> statement-breakpoint
comment on column sync.custom_field_changes.old_label is 'What the CRM called it before.';
--> statement-breakpoint
comment on column sync.custom_field_changes.new_label is 'What the CRM calls it since.';
--> statement-breakpoint
comment on column sync.custom_field_changes.told is 'Whether the daemon has said so in its log.';
--> statement-breakpoint
comment on column sync.custom_fields.crm_type is 'The CRM''s own word for the type, for example Email or MultiSelect; null where it has not told.';
--> statement-breakpoint
comment on column sync.custom_fields.unlisted_at is 'Since when the CRM''s list of fields lacks it; null: it is listed. A form''s settings may hide a field that records still carry.';
--> statement-breakpoint
comment on column sync.custom_fields.gone_at is 'Since when records carry it no more either; null: they do.';
--> statement-breakpoint
comment on function sync.to_number(jsonb) is 'A number of at most 38 digits, or null.';
--> statement-breakpoint
comment on function sync.to_boolean(jsonb) is 'true or false, or null.';
--> statement-breakpoint
comment on function sync.to_date(text) is 'A date of the form YYYY-MM-DD, or null.';
--> statement-breakpoint
comment on function sync.to_instant(text) is 'A date-time in ISO form, UTC where it has no offset, or null.';
--> statement-breakpoint
comment on function sync.bi_columns_max() is 'How many typed columns bi.contacts may have.';
--> statement-breakpoint
comment on function sync.bi_kind(text) is 'What the column''s type is made from, by a custom field''s type.';
--> statement-breakpoint
comment on function sync.bi_column_type(text) is 'The type of a typed column.';
--> statement-breakpoint
comment on function sync.bi_fields() is 'The custom fields whose type is settled.';
--> statement-breakpoint
comment on function sync.bi_seen() is 'A hash of their definitions.';
--> statement-breakpoint
comment on function sync.is_bi_due() is 'Whether bi.contacts is behind the definitions of the custom fields.';
--> statement-breakpoint
comment on function sync.cut_to_bytes(text, integer) is 'The beginning of a text, in whole characters.';
--> statement-breakpoint
comment on function sync.bi_column_name(text, text) is 'A name for a new column that no other has.';
--> statement-breakpoint
comment on function sync.note_bi_columns() is 'Brings sync.bi_columns to what the definitions say. Answers how many fields are over the limit.';
--> statement-breakpoint
comment on function sync.bi_expression(text, text, text, jsonb) is 'The expression of a typed column.';
--> statement-breakpoint
comment on function sync.bi_contacts_sql() is 'The definition of bi.contacts.';
--> statement-breakpoint
comment on function sync.bi_column_comments() is 'The comments of the typed columns.';
--> statement-breakpoint
comment on function sync.refresh_bi() is 'Brings bi.contacts to what the definitions of the custom fields say. Answers same, changed, or waits: somebody reads the view in a long transaction.';
--> statement-breakpoint
comment on function sync.note_custom_field_change() is 'Writes what changed in a custom field to sync.custom_field_changes.';
--> statement-breakpoint
comment on function sync.tell_custom_field_changes() is 'The changes that the daemon has not said in its log yet; marks them as said.';
--> statement-breakpoint
comment on function sync.count_custom_values() is 'Counts the values that their typed column cannot show, and marks as gone the fields that are not listed and that no contact holds.';
--> statement-breakpoint
comment on function sync.is_count_due() is 'Whether a sweep was complete since they were last counted.';
--> statement-breakpoint
comment on function sync.request_fields() is 'Has the daemon ask the CRM for its custom fields and their options again, within a few minutes.';
