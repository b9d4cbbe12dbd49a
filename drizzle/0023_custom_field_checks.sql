-- What an edit of a custom field is held to, since a field may be gone from the CRM, or hidden in its form; and columns that come a hundred at a time.

-- Names what kind of value it was, never the value: errors end up in logs. A list of options may be older than the CRM's.
create function sync.raise_custom_field(field text, problem text, options jsonb, value_kind text) returns void
language plpgsql as $$
begin
  raise exception 'crm.contacts.custom_fields, %: %; this is %', left(field, 100), problem,
    case value_kind when 'array' then 'an array' when 'object' then 'an object' when 'null' then 'null' else 'a ' || value_kind end using
    errcode = 'check_violation', schema = 'crm', table = 'contacts', column = 'custom_fields',
    hint = case
      when options <> '[]' then 'Options: ' || (
        select string_agg(format('%s (%s)', o ->> 'id', o ->> 'label'), ', ') from (select o from jsonb_array_elements(options) o limit 30) l)
        || case when jsonb_array_length(options) > 30 then ', ….' else '.' end
      else 'select name, type from sync.custom_fields shows what the CRM knows. null clears a field.'
    end || ' If it was added in the CRM just now: select sync.request_fields(), and again in two minutes.';
end $$;
--> statement-breakpoint
-- As before; but a field that is gone is no field, and of one that the CRM's form hides nobody tells the options.
create or replace function sync.capture_contacts() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set enable_nestloop = off as $$
declare
  logged bigint;
  bad_field text;
  problem text;
  value_kind text;
  options jsonb;
  fields_declared boolean;
  editor constant text := sync.effective_role();
  this_txid constant bigint := pg_current_xact_id_if_assigned()::text::bigint;
begin
  if sync.is_own_write() then
    return null;
  end if;
  if tg_op <> 'DELETE' then
    fields_declared := exists (select from sync.custom_fields where origin = 'crm');
  end if;

  if tg_op = 'INSERT' then
    select f.key, p.problem, d.options, jsonb_typeof(f.value) into bad_field, problem, options, value_kind
    from new_rows n cross join lateral jsonb_each(n.custom_fields) f
    left join lateral (
      select k.type, k.origin, case when k.unlisted_at is null then k.options else '[]' end as options
      from sync.custom_fields k where k.name = f.key and k.gone_at is null
    ) d on true
    cross join lateral (select sync.custom_value_problem(f.key, f.value, d.type, d.origin, d.options, fields_declared) as problem) p
    where p.problem is not null limit 1;
    if problem is not null then
      perform sync.raise_custom_field(bad_field, problem, options, value_kind);
    end if;

    insert into sync.change_log (contact_id, crm_id, op, new_values, changed_by, txid)
    select n.id, n.crm_id, 'insert',
      jsonb_strip_nulls(jsonb_build_object(
        'first_name', n.first_name, 'last_name', n.last_name, 'email', n.email, 'job_title', n.job_title,
        'street', n.street, 'city', n.city, 'state', n.state, 'postal_code', n.postal_code,
        'user_id', n.user_id, 'source_id', n.source_id, 'country_id', n.country_id))
      || case when n.phones = '[]' then '{}' else jsonb_build_object('phones', n.phones) end
      || jsonb_strip_nulls(n.custom_fields),
      editor, this_txid
    from new_rows n;
  elsif tg_op = 'UPDATE' then
    select f.key, p.problem, d.options, jsonb_typeof(f.value) into bad_field, problem, options, value_kind
    from old_rows o join new_rows n on n.id = o.id and n.custom_fields is distinct from o.custom_fields
    cross join lateral jsonb_each(n.custom_fields) f
    left join lateral (
      select k.type, k.origin, case when k.unlisted_at is null then k.options else '[]' end as options
      from sync.custom_fields k where k.name = f.key and k.gone_at is null
    ) d on true
    cross join lateral (select case when f.value is distinct from o.custom_fields -> f.key
      then sync.custom_value_problem(f.key, f.value, d.type, d.origin, d.options, fields_declared) end as problem) p
    where p.problem is not null limit 1;
    if problem is not null then
      perform sync.raise_custom_field(bad_field, problem, options, value_kind);
    end if;

    insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
    select n.id, n.crm_id, 'update',
      '{}'::jsonb
      || case when o.first_name is distinct from n.first_name then jsonb_build_object('first_name', o.first_name) else '{}' end
      || case when o.last_name is distinct from n.last_name then jsonb_build_object('last_name', o.last_name) else '{}' end
      || case when o.email is distinct from n.email then jsonb_build_object('email', o.email) else '{}' end
      || case when o.job_title is distinct from n.job_title then jsonb_build_object('job_title', o.job_title) else '{}' end
      || case when o.street is distinct from n.street then jsonb_build_object('street', o.street) else '{}' end
      || case when o.city is distinct from n.city then jsonb_build_object('city', o.city) else '{}' end
      || case when o.state is distinct from n.state then jsonb_build_object('state', o.state) else '{}' end
      || case when o.postal_code is distinct from n.postal_code then jsonb_build_object('postal_code', o.postal_code) else '{}' end
      || case when o.user_id is distinct from n.user_id then jsonb_build_object('user_id', o.user_id) else '{}' end
      || case when o.source_id is distinct from n.source_id then jsonb_build_object('source_id', o.source_id) else '{}' end
      || case when o.country_id is distinct from n.country_id then jsonb_build_object('country_id', o.country_id) else '{}' end
      || case when o.phones is distinct from n.phones then jsonb_build_object('phones', o.phones) else '{}' end
      || case when o.custom_fields is distinct from n.custom_fields then coalesce((
           select jsonb_object_agg(k, coalesce(o.custom_fields -> k, 'null'))
           from jsonb_object_keys(o.custom_fields || n.custom_fields) k
           where coalesce(o.custom_fields -> k, 'null') is distinct from coalesce(n.custom_fields -> k, 'null')), '{}') else '{}' end,
      '{}'::jsonb
      || case when o.first_name is distinct from n.first_name then jsonb_build_object('first_name', n.first_name) else '{}' end
      || case when o.last_name is distinct from n.last_name then jsonb_build_object('last_name', n.last_name) else '{}' end
      || case when o.email is distinct from n.email then jsonb_build_object('email', n.email) else '{}' end
      || case when o.job_title is distinct from n.job_title then jsonb_build_object('job_title', n.job_title) else '{}' end
      || case when o.street is distinct from n.street then jsonb_build_object('street', n.street) else '{}' end
      || case when o.city is distinct from n.city then jsonb_build_object('city', n.city) else '{}' end
      || case when o.state is distinct from n.state then jsonb_build_object('state', n.state) else '{}' end
      || case when o.postal_code is distinct from n.postal_code then jsonb_build_object('postal_code', n.postal_code) else '{}' end
      || case when o.user_id is distinct from n.user_id then jsonb_build_object('user_id', n.user_id) else '{}' end
      || case when o.source_id is distinct from n.source_id then jsonb_build_object('source_id', n.source_id) else '{}' end
      || case when o.country_id is distinct from n.country_id then jsonb_build_object('country_id', n.country_id) else '{}' end
      || case when o.phones is distinct from n.phones then jsonb_build_object('phones', n.phones) else '{}' end
      || case when o.custom_fields is distinct from n.custom_fields then coalesce((
           select jsonb_object_agg(k, coalesce(n.custom_fields -> k, 'null'))
           from jsonb_object_keys(o.custom_fields || n.custom_fields) k
           where coalesce(o.custom_fields -> k, 'null') is distinct from coalesce(n.custom_fields -> k, 'null')), '{}') else '{}' end,
      editor, this_txid
    from old_rows o join new_rows n on n.id = o.id
    where (o.first_name, o.last_name, o.email, o.job_title, o.street, o.city, o.state, o.postal_code, o.user_id, o.source_id, o.country_id, o.phones)
        is distinct from
      (n.first_name, n.last_name, n.email, n.job_title, n.street, n.city, n.state, n.postal_code, n.user_id, n.source_id, n.country_id, n.phones)
      or (o.custom_fields is distinct from n.custom_fields and jsonb_strip_nulls(o.custom_fields) is distinct from jsonb_strip_nulls(n.custom_fields));
  else
    insert into sync.change_log (contact_id, crm_id, op, old_values, changed_by, txid)
    select o.id, o.crm_id, 'delete',
      jsonb_strip_nulls(jsonb_build_object(
        'first_name', o.first_name, 'last_name', o.last_name, 'email', o.email, 'job_title', o.job_title,
        'street', o.street, 'city', o.city, 'state', o.state, 'postal_code', o.postal_code,
        'user_id', o.user_id, 'source_id', o.source_id, 'country_id', o.country_id))
      || case when o.phones = '[]' then '{}' else jsonb_build_object('phones', o.phones) end
      || jsonb_strip_nulls(o.custom_fields),
      editor, this_txid
    from old_rows o;
  end if;
  get diagnostics logged = row_count;
  if logged > 0 then
    perform sync.captured();
  end if;
  return null;
end $$;
--> statement-breakpoint
drop function sync.raise_custom_field(text, text, jsonb);
--> statement-breakpoint
drop function sync.note_bi_columns();
--> statement-breakpoint
-- The registry as the definitions have it now; a hundred new columns at a time, because readers wait for as long as the view is made: 0.8 s for 800 at once.
create function sync.note_bi_columns(out over_limit integer, out for_later integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  field record;
  place integer := coalesce((select max(position) from sync.bi_columns), 0);
  made integer := 0;
begin
  over_limit := 0;
  for_later := 0;
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
    if made = 100 then
      for_later := for_later + 1;
      continue;
    end if;
    made := made + 1;
    place := place + 1;
    insert into sync.bi_columns (position, column_name, field, kind, type, label)
    values (place, sync.bi_column_name(field.name, field.kind), field.name, field.kind, field.type, field.label);
  end loop;
end $$;
--> statement-breakpoint
create or replace function sync.refresh_bi() returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  now_seen text;
  noted record;
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
  insert into sync.bi_refresh as r (waits_since) values (clock_timestamp())
  on conflict ("only") do update set waits_since = excluded.waits_since where r.waits_since is null;
  return 'waits';
end $$;
--> statement-breakpoint
comment on function sync.raise_custom_field(text, text, jsonb, text) is 'Refuses a value of a custom field, and says what would be accepted.';
--> statement-breakpoint
comment on function sync.note_bi_columns() is 'Brings sync.bi_columns to what the definitions say. Answers how many fields are over the limit, and how many are left for the next time.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
