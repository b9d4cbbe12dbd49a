-- What an editor writes breaks no view; a field that is gone from the CRM's list is the CRM's to refuse; columns that wait say so only while they do.
delete from sync.custom_fields where name !~ '^cf_';
--> statement-breakpoint
ALTER TABLE "sync"."custom_fields" ADD CONSTRAINT "custom_fields_name" CHECK (name ~ '^cf_');
--> statement-breakpoint
-- [0-9], not \d, and a space, not \s: by the rules of ICU these are also digits and spaces that a cast refuses. A cast takes a limited number of digits.
create or replace function sync.to_date(value text) returns date
language sql stable parallel safe
return case
  when value ~ ('^([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})-'
    '((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))$') then value::date
  when value like '____-02-29' then case when sync.is_date(value) then value::date end end;
--> statement-breakpoint
-- On two days of all, the offset decides whether it is still a year from 1 to 9999.
create or replace function sync.is_datetime(value text) returns boolean
language sql stable parallel safe
return case
  when sync.is_date(left(value, 10)) and substr(value, 11)
    ~ '^([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?[ ]{0,9}(Z|[+-](0[0-9]|1[0-5]):?[0-5][0-9])?)?$'
  then case when left(value, 10) not in ('0001-01-01', '9999-12-31') or length(value) = 10 then true
    else (case when value ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' then value else value || 'Z' end)::timestamptz
      between timestamptz '0001-01-01T00:00:00Z' and timestamptz '9999-12-31T23:59:59.999999Z' end
  else false end;
--> statement-breakpoint
create or replace function sync.to_instant(value text) returns timestamptz
language sql stable parallel safe
return case
  when value ~ ('^([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})-'
    '((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))'
    'T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$') then value::timestamptz
  when sync.is_datetime(value) then
    case when length(value) = 10 then value || 'T00:00:00Z' when value ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' then value
      else value || 'Z' end::timestamptz end;
--> statement-breakpoint
-- An edit of a field that is gone is held to its type and sent: the list may be wrong, and the CRM's answer is not. So only a name that was never seen is
-- refused, and null, which clears a field, is taken for every other.
do $$
declare
  before constant text := pg_get_functiondef('sync.capture_contacts()'::regprocedure);
  mended constant text := replace(before, 'where k.name = f.key and k.gone_at is null', 'where k.name = f.key');
begin
  if mended = before then
    raise exception 'sync.capture_contacts() is not as it was';
  end if;
  execute mended;
end $$;
--> statement-breakpoint
-- A field of the CRM's list is gone where two lists lack it, an hour or more apart, and no contact holds a value: one list that is cut short proves nothing.
create or replace function sync.count_custom_values() returns void
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
  where f.gone_at is null and not exists (select from held h where h.field = f.name)
    and (f.origin = 'inferred' or f.unlisted_at <= (select r.fields_read_at from sync.bi_refresh r) - interval '1 hour');

  update sync.bi_refresh set counted_at = clock_timestamp();
end $$;
--> statement-breakpoint
-- As before; what does not wait any more says so, and whoever comes while another call works is told to come again.
create or replace function sync.refresh_bi() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set jit = off
set standard_conforming_strings = on as $$
declare
  now_seen text;
  noted record;
  wanted text;
  remark record;
begin
  begin
    if not sync.is_bi_due() then
      update sync.bi_refresh set waits_since = null where waits_since is not null;
      return 'same';
    end if;
    if (select waits_since from sync.bi_refresh) < clock_timestamp() - interval '10 seconds' then
      perform set_config('lock_timeout', '700ms', true);
    end if;
    perform sync.take_lock('bi');
    insert into sync.bi_refresh default values on conflict do nothing;
    now_seen := sync.bi_seen();
    select * into noted from sync.note_bi_columns();
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
    set seen = case when noted.for_later = 0 then now_seen end, definition = md5(wanted), refreshed_at = clock_timestamp(), waits_since = null,
      over_limit = noted.over_limit;
    return 'changed';
  exception when lock_not_available or deadlock_detected then
    null;
  end;
  begin
    insert into sync.bi_refresh as r (waits_since) values (clock_timestamp())
    on conflict ("only") do update set waits_since = excluded.waits_since where r.waits_since is null;
  exception when lock_not_available or deadlock_detected then
    null;
  end;
  return 'waits';
end $$;
--> statement-breakpoint
alter function sync.is_bi_due() set jit = off;
--> statement-breakpoint
alter function sync.is_bi_due() set standard_conforming_strings = on;
--> statement-breakpoint
alter function sync.bi_seen() set jit = off;
--> statement-breakpoint
alter function sync.bi_seen() set standard_conforming_strings = on;
--> statement-breakpoint
-- Its operators are looked up now, not along the search_path of whoever asks.
create or replace function bi.contacts_at(moment timestamptz) returns table (
  id bigint, crm_id bigint, first_name text, last_name text, email text, phones jsonb, user_id bigint, source_id bigint, job_title text,
  street text, city text, state text, postal_code text, country_id bigint, custom_fields jsonb, extra jsonb, crm_created_at timestamptz,
  valid_from timestamptz, op text, origin text, who text)
language sql stable parallel safe
begin atomic
  select v.contact_id, v.crm_id, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street, v.city, v.state,
    v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at, v.valid_from, v.op, v.origin, v.who
  from bi.contact_history v
  where sync.history_reaches(moment) and v.valid_from <= coalesce(moment, '-infinity') and v.op <> 'delete' and not exists (
    select from bi.contact_history later
    where later.contact_id = v.contact_id and later.version_id > v.version_id and later.valid_from <= coalesce(moment, '-infinity'));
end;
--> statement-breakpoint
-- The sign of what is masked is one that every encoding of a client has.
create or replace function sync.mask_email(value text) returns text
language sql immutable parallel safe
return left(value, 1) || '***' || coalesce(substring(value from '@[^\s@]+\.[^\s@\d]{2,}$'), '');
--> statement-breakpoint
create or replace function sync.mask_phone(value text) returns text
language sql immutable parallel safe
return case
  when length(regexp_replace(value, '\D', '', 'g')) > 5 then '***' || right(regexp_replace(value, '\D', '', 'g'), 2)
  when value is not null then '***' end;
--> statement-breakpoint
create or replace function sync.mask_text(value text) returns text
language sql immutable parallel safe
return case when value is not null then '***' end;
--> statement-breakpoint
comment on column bi.custom_fields.unfit is 'How many contacts hold a value that is not of the field''s type: null in its column, or, where the column is text, an array or object as JSON. Counted after each complete sweep, null before.';
--> statement-breakpoint
comment on column sync.bi_columns.unfit is 'How many contacts held a value that is not of the field''s type, when they were last counted.';
--> statement-breakpoint
comment on column sync.custom_fields.gone_at is 'Since when two of the CRM''s lists, an hour or more apart, lack it and no contact holds a value; null: it is there.';
--> statement-breakpoint
comment on function sync.count_custom_values() is 'Counts the values that are not of their field''s type, and marks as gone the fields that two lists in a row lack and no contact holds.';
