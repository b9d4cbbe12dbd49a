-- Capture: every committed edit of a contact or of a link, one row of sync.change_log each, whatever statement and client it came from.
--
-- Statement-level AFTER triggers with transition tables: one call a statement, not a row. A diff built per column costs 1.7 times the bare
-- update (100,000 rows); a generic one over jsonb_each cost 11 times. test/postgres/capture.test.ts holds the column lists below against
-- SCALAR_FIELDS of the domain.

create function sync.is_date(value text) returns boolean
language sql immutable
return case when value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' and value !~ '^0000' then
  substr(value, 9, 2)::int <= case
    when substr(value, 6, 2) in ('04', '06', '09', '11') then 30
    when substr(value, 6, 2) <> '02' then 31
    when substr(value, 1, 4)::int % 4 = 0 and (substr(value, 1, 4)::int % 100 <> 0 or substr(value, 1, 4)::int % 400 = 0) then 29
    else 28 end
  else false end;
--> statement-breakpoint
create function sync.is_datetime(value text) returns boolean
language sql immutable
return sync.is_date(left(value, 10)) and substr(value, 11)
  ~ '^([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?\s*(Z|[+-](0[0-9]|1[0-5]):?[0-5][0-9])?)?$';
--> statement-breakpoint
-- Whether JSON.parse on the daemon's side reads the very number that stands here.
create function sync.is_safe_number(value numeric) returns boolean
language sql immutable
return case
  when value = trunc(value) then abs(value) <= 9007199254740991
  when abs(value) < 1e-300 or abs(value) > 1e300 then false
  else value::float8::numeric = value end;
--> statement-breakpoint
-- Why the CRM cannot hold this value in this custom field, or null. Only a field that the CRM itself declared is held to its type.
create function sync.custom_value_problem(name text, value jsonb, type text, origin text, options jsonb, fields_declared boolean) returns text
language sql stable -- as jsonb_build_object is: called immutable, it would not be inlined, at 15 µs a call
return case
  when name !~ '^cf_' then 'the name of a custom field begins with cf_'
  when fields_declared and type is null then 'the CRM has no such custom field'
  when jsonb_typeof(value) = 'null' then null
  when jsonb_typeof(value) = 'object' or jsonb_path_exists(value, 'strict $ ? (@.type() == "array")[*] ? (@.type() != "string" && @.type() != "number")')
    then 'a value is a string, a number, true, false, null, or an array of strings and numbers'
  when jsonb_typeof(value) = 'number' and not sync.is_safe_number(value::numeric) then 'a number has at most 15 digits'
  when origin is distinct from 'crm' then null
  when type = 'text' and jsonb_typeof(value) <> 'string' then 'expected a string'
  when type = 'number' and jsonb_typeof(value) <> 'number' then 'expected a number'
  when type = 'boolean' and jsonb_typeof(value) <> 'boolean' then 'expected true or false'
  when type = 'date' and not (jsonb_typeof(value) = 'string' and sync.is_date(value #>> '{}')) then 'expected a date, "YYYY-MM-DD"'
  when type = 'datetime' and not (jsonb_typeof(value) = 'string' and sync.is_datetime(value #>> '{}'))
    then 'expected a date and time, "YYYY-MM-DDTHH:MM:SSZ"'
  when type = 'option' and jsonb_typeof(value) not in ('string', 'number') then 'expected the id of an option'
  when type = 'option' and options <> '[]' and not options @> jsonb_build_array(jsonb_build_object('id', value)) then 'not the id of one of its options'
  when type = 'options' and jsonb_typeof(value) <> 'array' then 'expected an array of option ids'
  when type = 'options' and options <> '[]' and not jsonb_path_query_array(options, '$[*].id') @> value then 'not all of these are ids of its options'
end;
--> statement-breakpoint
create function sync.raise_custom_field(field text, problem text, options jsonb) returns void
language plpgsql as $$
begin
  raise exception 'crm.contacts.custom_fields, %: %', left(field, 100), problem using
    errcode = 'check_violation', schema = 'crm', table = 'contacts', column = 'custom_fields',
    hint = case
      when options <> '[]' then 'Options: ' || (
        select string_agg(format('%s (%s)', o ->> 'id', o ->> 'label'), ', ') from (select o from jsonb_array_elements(options) o limit 30) l)
      else 'select name, type from sync.custom_fields shows what the CRM knows. null clears a field.'
    end;
end $$;
--> statement-breakpoint
-- What every capture ends with. The newest id is left in the session for sync.wait(). NOTIFY serialises the commits of all that send one, so
-- only a transaction that gets the lock sends it; whoever skips is found by the poll that follows every wake.
create function sync.captured() returns void
language plpgsql as $$
begin
  perform set_config('relate_mirror.last_change', currval('sync.change_log_id_seq')::text, false);
  if (select notify from sync.account) and pg_try_advisory_xact_lock(7210, 1) then
    perform pg_notify('relate_mirror_change', '');
  end if;
end $$;
--> statement-breakpoint
-- jit: a plan once judged worth compiling made every later single-row UPDATE of the session pay 50 ms.
-- enable_nestloop: a plan made for one row is kept, and would join 100,000 old with 100,000 new rows pair by pair.
create function sync.capture_contacts() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set enable_nestloop = off as $$
declare
  logged bigint;
  bad_field text;
  problem text;
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
    select f.key, p.problem, d.options into bad_field, problem, options
    from new_rows n cross join lateral jsonb_each(n.custom_fields) f
    left join sync.custom_fields d on d.name = f.key
    cross join lateral (select sync.custom_value_problem(f.key, f.value, d.type, d.origin, d.options, fields_declared) as problem) p
    where p.problem is not null limit 1;
    if problem is not null then
      perform sync.raise_custom_field(bad_field, problem, options);
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
    select f.key, p.problem, d.options into bad_field, problem, options
    from old_rows o join new_rows n on n.id = o.id and n.custom_fields is distinct from o.custom_fields
    cross join lateral jsonb_each(n.custom_fields) f
    left join sync.custom_fields d on d.name = f.key
    cross join lateral (select case when f.value is distinct from o.custom_fields -> f.key
      then sync.custom_value_problem(f.key, f.value, d.type, d.origin, d.options, fields_declared) end as problem) p
    where p.problem is not null limit 1;
    if problem is not null then
      perform sync.raise_custom_field(bad_field, problem, options);
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
-- A link is a row of two ids: the contact's and, under the name that the log uses as its key, the CRM's. A deleted contact's links are deleted by the
-- foreign key when the contact is gone already: they have no parent to join, and are not logged. Detached, they would be lost to a contact that
-- comes back from the CRM's trash. OFFSET 0 keeps the look-up an index scan per link, whatever the cached plan was made for.
create function sync.capture_links() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  logged bigint;
  editor constant text := sync.effective_role();
  this_txid constant bigint := pg_current_xact_id_if_assigned()::text::bigint;
begin
  if sync.is_own_write() then
    return null;
  end if;

  if tg_op = 'INSERT' then
    insert into sync.change_log (contact_id, crm_id, op, new_values, changed_by, txid)
    select n.contact_id, c.crm_id, 'attach', to_jsonb(n) - 'contact_id', editor, this_txid
    from new_rows n
    cross join lateral (select crm_id from crm.contacts where id = n.contact_id offset 0) c;
  elsif tg_op = 'DELETE' then
    insert into sync.change_log (contact_id, crm_id, op, old_values, changed_by, txid)
    select o.contact_id, c.crm_id, 'detach', to_jsonb(o) - 'contact_id', editor, this_txid
    from old_rows o
    cross join lateral (select crm_id from crm.contacts where id = o.contact_id offset 0) c;
  else
    insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
    select l.contact_id, c.crm_id, l.op, l.old_values, l.new_values, editor, this_txid
    from (
      select contact_id, 'detach' as op, to_jsonb(o) - 'contact_id' as old_values, null::jsonb as new_values
      from (select * from old_rows except select * from new_rows) o
      union all
      select contact_id, 'attach', null, to_jsonb(n) - 'contact_id'
      from (select * from new_rows except select * from old_rows) n
    ) l
    cross join lateral (select crm_id from crm.contacts where id = l.contact_id offset 0) c;
  end if;
  get diagnostics logged = row_count;
  if logged > 0 then
    perform sync.captured();
  end if;
  return null;
end $$;
--> statement-breakpoint
-- A transition table allows one event a trigger. ENABLE ALWAYS: session_replication_role = replica is no way past the capture.
do $$
declare
  name text;
  capture text;
begin
  foreach name in array array['contacts', 'contact_companies', 'contact_deals', 'contact_activities'] loop
    capture := case name when 'contacts' then 'capture_contacts' else 'capture_links' end;
    execute format(
      'create trigger relate_mirror_capture_insert after insert on crm.%I referencing new table as new_rows for each statement execute function sync.%I()',
      name, capture);
    execute format(
      'create trigger relate_mirror_capture_update after update on crm.%I referencing old table as old_rows new table as new_rows '
      'for each statement execute function sync.%I()', name, capture);
    execute format(
      'create trigger relate_mirror_capture_delete after delete on crm.%I referencing old table as old_rows for each statement execute function sync.%I()',
      name, capture);
    execute format(
      'alter table crm.%I enable always trigger relate_mirror_capture_insert, enable always trigger relate_mirror_capture_update, '
      'enable always trigger relate_mirror_capture_delete', name);
  end loop;
end $$;
