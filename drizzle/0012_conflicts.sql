-- Conflicts: what a person may decide, and what may be written into the policy table.

-- Fields as the conflicts spell them; contact is a deletion against an edit.
alter table sync.field_policy add constraint field_policy_field_known check (
  field in ('first_name', 'last_name', 'email', 'job_title', 'street', 'city', 'state', 'postal_code', 'user_id', 'source_id', 'country_id',
    'phones', 'contact')
  or field ~ '^cf_\w+$');
--> statement-breakpoint
-- The contact was deleted in the CRM while its row was edited here. crm: it is read once more, and goes when the CRM proves again that it is gone.
-- mirror: its edits are sent again; where the CRM still answers that it is gone, it is restored there or created anew.
create function sync.resolve_contact(conflict sync.conflicts, choice text) returns void
language plpgsql as $$
declare
  contact_crm_id bigint;
begin
  if choice is null or choice not in ('crm', 'mirror') then
    raise exception 'a conflict about the contact as a whole is decided by crm or mirror' using errcode = 'invalid_parameter_value';
  end if;
  update sync.conflicts set state = 'decided', outcome = choice, decided_at = clock_timestamp(), decided_by = sync.effective_role()
  where id = conflict.id;
  select s.crm_id into contact_crm_id from sync.contact_state s where s.contact_id = conflict.contact_id;
  if choice = 'crm' then
    insert into sync.marks as m (crm_id, reason) select contact_crm_id, 'approved' where contact_crm_id is not null
    on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, next_attempt_at = excluded.next_attempt_at;
    perform pg_notify('relate_mirror_request', '');
  else
    update sync.change_log set state = 'pending', attempts = 0, next_attempt_at = clock_timestamp()
    where contact_id = conflict.contact_id and settled_at is null and state in ('parked', 'retry');
    if not exists (select from sync.change_log l where l.contact_id = conflict.contact_id and l.settled_at is null) then
      insert into sync.change_log (contact_id, crm_id, op, changed_by, txid)
      values (conflict.contact_id, contact_crm_id, 'update', sync.effective_role(), pg_current_xact_id()::text::bigint);
    end if;
  end if;
  perform pg_notify('relate_mirror_change', '');
end $$;
--> statement-breakpoint
comment on function sync.resolve_contact(sync.conflicts, text) is 'Of sync.resolve(): decides a conflict between a deletion in the CRM and an edit here.';
--> statement-breakpoint
-- The decided field's base becomes the CRM's value: what differs from it is then a plain local edit. The hash is cleared because the daemon
-- computes it; without one a contact is compared again.
create or replace function sync.resolve(conflict_id bigint, choice text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  conflict sync.conflicts;
  here crm.contacts;
  mine jsonb;
  chosen jsonb;
begin
  select * into conflict from sync.conflicts where id = conflict_id;
  if not found then
    raise exception 'there is no conflict %', conflict_id using errcode = 'no_data_found', hint = 'select * from sync.conflicts where state = ''open''';
  end if;
  select * into here from crm.contacts c where c.id = conflict.contact_id for no key update;
  if not found then
    -- Deleted since: there is nothing left to write, only the record to close.
    update sync.conflicts set state = 'decided', outcome = 'mirror', decided_at = clock_timestamp(), decided_by = sync.effective_role()
    where id = conflict_id and state = 'open';
    return;
  end if;
  perform from sync.contact_state s where s.contact_id = here.id for update;
  select * into conflict from sync.conflicts where id = conflict_id for update;
  if conflict.state <> 'open' then
    raise exception 'conflict % was decided already', conflict_id using errcode = 'object_not_in_prerequisite_state';
  end if;
  if conflict.field = 'contact' then
    perform sync.resolve_contact(conflict, choice);
    return;
  end if;

  mine := coalesce((to_jsonb(here) || here.custom_fields) -> conflict.field, 'null');
  if choice = 'crm' then
    chosen := coalesce(conflict.remote, 'null');
  elsif choice = 'mirror' then
    chosen := mine;
  else
    begin
      chosen := choice::jsonb;
    exception when others then
      raise exception 'the choice is none of crm, mirror, or a value as JSON' using
        errcode = 'invalid_parameter_value', hint = 'A text is written with its quotes: ''"Ann"''';
    end;
  end if;

  update sync.contact_state s set base_hash = null, base = case
    when conflict.field !~ '^cf_' then s.base || jsonb_build_object(conflict.field, coalesce(conflict.remote, 'null'))
    when coalesce(conflict.remote, 'null') = 'null' then s.base #- array['custom_fields', conflict.field]
    else jsonb_set(s.base, array['custom_fields', conflict.field], conflict.remote) end
  where s.contact_id = here.id and s.base is not null;

  if choice = 'crm' then
    perform sync.begin_own_write();
    perform sync.put_fields(here.id, jsonb_build_object(conflict.field, chosen));
    perform sync.end_own_write();
  elsif chosen = mine then
    insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
    values (here.id, here.crm_id, 'update', jsonb_build_object(conflict.field, conflict.remote), jsonb_build_object(conflict.field, chosen),
      sync.effective_role(), pg_current_xact_id()::text::bigint);
    perform sync.captured();
  else
    perform sync.put_fields(here.id, jsonb_build_object(conflict.field, chosen));
  end if;
  -- With what the row held when it was decided: a later edit than the one that the record told must not be lost either.
  update sync.conflicts set state = 'decided', local = mine, decided_at = clock_timestamp(), decided_by = sync.effective_role(),
    outcome = case when choice in ('crm', 'mirror') then choice else chosen::text end
  where id = conflict_id;
  perform pg_notify('relate_mirror_change', '');
end $$;
--> statement-breakpoint
-- Asked sooner than it is due, the CRM may say "not there" of a contact that an earlier leader's POST is about to make.
create function sync.is_create_in_doubt(change sync.change_log) returns boolean
language sql stable
return change.state = 'unknown' and exists (
  select from sync.contact_state s where s.contact_id = change.contact_id and s.intent_at is not null);
--> statement-breakpoint
comment on function sync.is_create_in_doubt(sync.change_log) is 'Whether a change belongs to a create whose outcome is not known: it keeps its time, whoever asks for a retry.';
--> statement-breakpoint
create or replace function sync.retry(change_id bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  change sync.change_log;
begin
  select * into change from sync.change_log where id = change_id for update;
  if not found then
    raise exception 'there is no change %', change_id using errcode = 'no_data_found', hint = 'Their ids are in sync.queue and sync.parked.';
  elsif change.state = 'held' then
    raise exception 'change % is held', change_id using
      errcode = 'object_not_in_prerequisite_state', hint = format('Decide the hold: select sync.approve(%1$s) or sync.reject(%1$s)', change.hold_id);
  elsif change.state = 'parked' then
    update sync.change_log set state = 'pending', attempts = 0, next_attempt_at = clock_timestamp() where id = change_id;
    change.state := 'pending';
  elsif change.state in ('retry', 'unknown') then
    -- What was sent with an unknown outcome is asked for first, as ever; only sooner.
    update sync.change_log l set next_attempt_at = clock_timestamp() where l.id = change_id and not sync.is_create_in_doubt(l);
  end if;
  perform pg_notify('relate_mirror_change', '');
  return change.state;
end $$;
--> statement-breakpoint
-- A mark that waits for its next try is due at once when a person asks: what these two functions change since they were first written.
create or replace function sync.retry_all() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  changes bigint;
  records bigint;
begin
  update sync.change_log l set
    state = case state when 'parked' then 'pending' else state end,
    attempts = case state when 'parked' then 0 else attempts end,
    next_attempt_at = case when sync.is_create_in_doubt(l) then l.next_attempt_at else clock_timestamp() end
  where settled_at is null and state in ('parked', 'retry', 'unknown')
    -- Which contact is whose, and what was rejected, is decided one by one: sync.retry().
    and not (state = 'parked' and (
      error_code is not distinct from 'several_matches' or exists (select from sync.holds h where h.id = l.hold_id and h.state = 'rejected')));
  get diagnostics changes = row_count;
  insert into sync.marks as m (crm_id, reason) select crm_id, 'deferred' from sync.refused
  on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, next_attempt_at = excluded.next_attempt_at;
  get diagnostics records = row_count;
  perform pg_notify('relate_mirror_change', '');
  perform pg_notify('relate_mirror_request', '');
  return changes + records;
end $$;
--> statement-breakpoint
create or replace function sync.approve(hold_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  hold constant sync.holds := sync.lock_open_hold(hold_id);
begin
  if hold.direction = 'push' then
    update sync.change_log l set state = 'pending', next_attempt_at = clock_timestamp() where l.hold_id = hold.id and l.state = 'held';
    perform pg_notify('relate_mirror_change', '');
  else
    insert into sync.marks as m (crm_id, reason) select s.crm_id, 'approved' from sync.contact_state s where s.hold_id = hold.id and s.crm_id is not null
    on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, next_attempt_at = excluded.next_attempt_at;
    update sync.contact_state s set hold_id = null where s.hold_id = hold.id;
  end if;
  update sync.holds set state = 'approved', decided_at = clock_timestamp(), decided_by = sync.effective_role() where id = hold.id;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
