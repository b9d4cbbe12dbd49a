-- What Postgres refuses by itself, in the statement that tries it and for every role: columns and tables that belong to the daemon, TRUNCATE, and
-- input that the CRM is known to refuse. Messages name the field and what is allowed; they never print a value, which may be personal data.
--
-- The guards are ordinary triggers (not ENABLE ALWAYS, as the capture is): a subscription to another database and a restore run as
-- session_replication_role = replica, carry ids and crm_ids, and have to pass.

-- The daemon marks its transaction with its own id just before its first write. A mark left on a pooled session fits no later transaction, and
-- depth 1 means that the daemon's own statement fired the trigger, not a user's trigger that edits inside the daemon's transaction.
create function sync.is_own_write() returns boolean
language sql stable
return coalesce(pg_trigger_depth() = 1 and current_setting('relate_mirror.writer', true) = pg_current_xact_id_if_assigned()::text, false);
--> statement-breakpoint
-- The role people act as: the one set by SET ROLE, otherwise the one that logged in. Inside a SECURITY DEFINER function current_user is neither.
create function sync.effective_role() returns text
language sql stable
return case when current_setting('role') = 'none' then session_user::text else current_setting('role') end;
--> statement-breakpoint
-- Blank as the daemon sees it: nothing but white space, as JavaScript's trim() knows it.
create function sync.is_blank(value text) returns boolean
language sql immutable
return btrim(value, U&'\0009\000A\000B\000C\000D\0020\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\2028\2029\202F\205F\3000\FEFF') = '';
--> statement-breakpoint
-- The id that this session drew last, or null. An id that is not the one just drawn was given by the user (OVERRIDING SYSTEM VALUE, COPY).
create function sync.drawn_contact_id() returns bigint
language plpgsql volatile as $$
begin
  return currval('crm.contacts_id_seq');
exception when object_not_in_prerequisite_state then
  return null;
end $$;
--> statement-breakpoint
create function sync.phones_problem(phones jsonb) returns text
language plpgsql immutable as $$
declare
  phone jsonb;
begin
  if jsonb_typeof(phones) is distinct from 'array' then
    return 'phones has to be a JSON array';
  end if;
  for phone in select value from jsonb_array_elements(phones) loop
    if jsonb_typeof(phone) <> 'object' then
      return 'every element of phones has to be a JSON object';
    elsif jsonb_typeof(phone -> 'number') is distinct from 'string' or sync.is_blank(phone ->> 'number') then
      return 'every phone needs a "number": a string that is not blank';
    elsif phone ->> 'type' not in ('mobile', 'work', 'other') then
      return 'the "type" of a phone is mobile, work or other (left out: mobile)';
    end if;
  end loop;
  return null;
end $$;
--> statement-breakpoint
create function sync.guard_contact() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  max_safe constant bigint := 9007199254740991;
  daemons text;
  field text;
  problem text;
begin
  if sync.is_own_write() then
    return new;
  end if;

  daemons := case
    when tg_op = 'UPDATE' and new.id is distinct from old.id then 'id'
    when new.crm_id is distinct from old.crm_id then 'crm_id'
    when new.extra is distinct from old.extra then 'extra'
    when new.crm_created_at is distinct from old.crm_created_at then 'crm_created_at'
    when new.crm_updated_at is distinct from old.crm_updated_at then 'crm_updated_at'
    when tg_op = 'INSERT' and new.id is distinct from sync.drawn_contact_id() then 'id'
  end;
  if daemons is not null then
    raise exception 'crm.contacts.% belongs to relate-mirror and cannot be written', daemons using
      errcode = 'insufficient_privilege', schema = 'crm', table = 'contacts', column = daemons,
      hint = case daemons
        when 'id' then 'Leave the column out: Postgres numbers the contacts.'
        when 'crm_id' then 'Leave the column out: it is filled in as soon as the contact has reached the CRM.'
        else 'Leave the column out: it follows the CRM.'
      end;
  end if;

  if sync.is_blank(coalesce(new.first_name, '')) and (tg_op = 'INSERT' or new.first_name is distinct from old.first_name) then
    raise exception 'crm.contacts.first_name is required: it may not be null or blank' using
      errcode = 'not_null_violation', schema = 'crm', table = 'contacts', column = 'first_name',
      hint = 'The CRM stores no contact without a first name.';
  end if;

  if new.phones is distinct from '[]' and (tg_op = 'INSERT' or new.phones is distinct from old.phones) then
    field := 'phones';
    problem := sync.phones_problem(new.phones);
  end if;
  if problem is null and jsonb_typeof(new.custom_fields) is distinct from 'object' then
    field := 'custom_fields';
    problem := 'custom_fields has to be a JSON object';
  end if;
  if problem is null then
    field := case
      when new.user_id not between -max_safe and max_safe then 'user_id'
      when new.source_id not between -max_safe and max_safe then 'source_id'
      when new.country_id not between -max_safe and max_safe then 'country_id'
    end;
    problem := format('%s has to lie between -%s and %s', field, max_safe, max_safe) where field is not null;
  end if;
  if problem is not null then
    raise exception 'crm.contacts.%: %', field, problem using
      errcode = 'check_violation', schema = 'crm', table = 'contacts', column = field,
      hint = case field
        when 'phones' then 'For example: [{"number": "+1 555 0100", "type": "work"}]'
        when 'custom_fields' then 'For example: {"cf_score": 5}'
        else 'Larger integers would be mistaken for one another on their way to the CRM.'
      end;
  end if;
  return new;
end $$;
--> statement-breakpoint
-- Triggers of one kind fire in the order of their names: the guard is to see what the user's own BEFORE triggers made of the row.
create trigger zz_relate_mirror_guard_insert before insert on crm.contacts
  for each row execute function sync.guard_contact();
--> statement-breakpoint
-- Called only for rows that touch what it looks at: most updates never enter the function.
create trigger zz_relate_mirror_guard_update before update on crm.contacts
  for each row when (
    new.id is distinct from old.id
    or new.crm_id is distinct from old.crm_id
    or new.extra is distinct from old.extra
    or new.crm_created_at is distinct from old.crm_created_at
    or new.crm_updated_at is distinct from old.crm_updated_at
    or new.first_name is distinct from old.first_name
    or new.phones is distinct from old.phones
    or new.user_id is distinct from old.user_id
    or new.source_id is distinct from old.source_id
    or new.country_id is distinct from old.country_id
    or jsonb_typeof(new.custom_fields) is distinct from 'object'
  ) execute function sync.guard_contact();
--> statement-breakpoint
create function sync.guard_names() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not sync.is_own_write() then
    raise exception 'crm.% is read only: it holds names that the CRM''s answers carry', tg_table_name using
      errcode = 'insufficient_privilege', schema = 'crm', table = tg_table_name,
      hint = 'Change the name in the CRM; the mirror follows.';
  end if;
  return null;
end $$;
--> statement-breakpoint
create function sync.guard_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'crm.% cannot be truncated', tg_table_name using
    errcode = 'insufficient_privilege', schema = 'crm', table = tg_table_name,
    hint = 'Use DELETE: each row is then pushed to the CRM, and the brake stops what was not meant.';
end $$;
--> statement-breakpoint
do $$
declare
  name text;
begin
  foreach name in array array['companies', 'deals', 'activities', 'users', 'sources', 'countries'] loop
    execute format(
      'create trigger zz_relate_mirror_guard before insert or update or delete or truncate on crm.%I for each statement execute function sync.guard_names()',
      name);
  end loop;
  foreach name in array array['contacts', 'contact_companies', 'contact_deals', 'contact_activities'] loop
    execute format(
      'create trigger zz_relate_mirror_guard_truncate before truncate on crm.%I for each statement execute function sync.guard_truncate()', name);
  end loop;
end $$;
