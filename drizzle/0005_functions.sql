-- What people do from SQL. SECURITY DEFINER, so that an editor needs no rights on the tables of sync; nobody may call them unless granted.

-- For decisions that are no edits: what is written until sync.end_own_write() is not captured.
create function sync.begin_own_write() returns void
language sql volatile
begin atomic
  select set_config('relate_mirror.writer', pg_current_xact_id()::text, true);
end;
--> statement-breakpoint
create function sync.end_own_write() returns void
language sql volatile
begin atomic
  select set_config('relate_mirror.writer', '', true);
end;
--> statement-breakpoint
-- Writes the fields named by the keys of a patch, under the names that the log uses: columns, and custom fields each under its own name.
create function sync.put_fields(contact bigint, patch jsonb) returns void
language sql volatile
begin atomic
  update crm.contacts c
  set (first_name, last_name, email, job_title, street, city, state, postal_code, user_id, source_id, country_id, phones, custom_fields) = (
    select r.first_name, r.last_name, r.email, r.job_title, r.street, r.city, r.state, r.postal_code, r.user_id, r.source_id, r.country_id,
      coalesce(r.phones, '[]'),
      c.custom_fields || coalesce((select jsonb_object_agg(key, value) from jsonb_each(patch) where key ~ '^cf_'), '{}')
    from jsonb_populate_record(c, patch) r)
  where c.id = contact;
end;
--> statement-breakpoint
create function sync.request_run(run_kind text, links boolean) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  run_id bigint;
begin
  -- A sync that runs may have looked for due edits already: whoever asks now wants his own to be seen. A walk sees whatever comes.
  select id into run_id from sync.runs
  where kind = run_kind and kind <> 'sync' and state = 'running' and with_links >= links order by id desc limit 1;
  if run_id is null then
    insert into sync.runs as r (kind, state, with_links, requested_at, requested_by)
    values (run_kind, 'requested', links, clock_timestamp(), sync.effective_role())
    on conflict (kind) where state = 'requested' do update set with_links = r.with_links or excluded.with_links
    returning id into run_id;
  end if;
  perform pg_notify('relate_mirror_request', '');
  return run_id;
end $$;
--> statement-breakpoint
create function sync.request_resync(with_links boolean default false) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
begin atomic
  select sync.request_run('resync', with_links);
end;
--> statement-breakpoint
create function sync.request_sync() returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
begin atomic
  select sync.request_run('sync', false);
end;
--> statement-breakpoint
create function sync.pause() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update sync.account set paused_at = clock_timestamp() where paused_at is null;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
create function sync.resume() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update sync.account set paused_at = null where paused_at is not null;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
create function sync.retry(change_id bigint) returns text
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
    update sync.change_log set next_attempt_at = clock_timestamp() where id = change_id;
  end if;
  perform pg_notify('relate_mirror_change', '');
  return change.state;
end $$;
--> statement-breakpoint
create function sync.retry_all() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  changes bigint;
  records bigint;
begin
  update sync.change_log set
    state = case state when 'parked' then 'pending' else state end,
    attempts = case state when 'parked' then 0 else attempts end,
    next_attempt_at = clock_timestamp()
  where settled_at is null and state in ('parked', 'retry', 'unknown');
  get diagnostics changes = row_count;
  insert into sync.marks as m (crm_id, reason) select crm_id, 'deferred' from sync.refused
  on conflict (crm_id, reason) do update set marked_at = clock_timestamp();
  get diagnostics records = row_count;
  perform pg_notify('relate_mirror_change', '');
  perform pg_notify('relate_mirror_request', '');
  return changes + records;
end $$;
--> statement-breakpoint
create function sync.lock_open_hold(hold_id bigint) returns sync.holds
language plpgsql as $$
declare
  hold sync.holds;
begin
  select * into hold from sync.holds where id = hold_id for update;
  if not found then
    raise exception 'there is no hold %', hold_id using errcode = 'no_data_found', hint = 'select * from sync.holds where state = ''open''';
  elsif hold.state <> 'open' then
    raise exception 'hold % was % already', hold_id, hold.state using errcode = 'object_not_in_prerequisite_state';
  end if;
  return hold;
end $$;
--> statement-breakpoint
-- Approval skips no promise: each row is proved again when it is pushed, or read again before it is removed.
create function sync.approve(hold_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  hold constant sync.holds := sync.lock_open_hold(hold_id);
begin
  if hold.direction = 'push' then
    update sync.change_log l set state = 'pending', next_attempt_at = clock_timestamp() where l.hold_id = hold.id and l.state = 'held';
    perform pg_notify('relate_mirror_change', '');
  else
    insert into sync.marks as m (crm_id, reason) select s.crm_id, 'approved' from sync.contact_state s where s.hold_id = hold.id and s.crm_id is not null
    on conflict (crm_id, reason) do update set marked_at = clock_timestamp();
    update sync.contact_state s set hold_id = null where s.hold_id = hold.id;
  end if;
  update sync.holds set state = 'approved', decided_at = clock_timestamp(), decided_by = sync.effective_role() where id = hold.id;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
-- A rejected push is undone here: a deleted row is read again from the CRM and comes back with its id, emptied fields get their old values (where
-- nobody has changed them since), detached links return. What adds (inserts, attaches) was held only for its company and goes on.
-- A rejected pull keeps the rows, marked gone; nothing is pushed for them.
create function sync.reject(hold_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  hold constant sync.holds := sync.lock_open_hold(hold_id);
  edit record;
begin
  if hold.direction = 'pull' then
    update sync.contact_state s set hold_id = null where s.hold_id = hold.id;
  else
    -- Rows before states before the log, as everybody locks.
    perform from crm.contacts c
    where c.id in (select l.contact_id from sync.change_log l where l.hold_id = hold.id and l.state = 'held') order by c.id for no key update;

    insert into sync.marks as m (crm_id, reason)
    select distinct coalesce(s.crm_id, l.crm_id), 'deferred'
    from sync.change_log l left join sync.contact_state s on s.contact_id = l.contact_id
    where l.hold_id = hold.id and l.state = 'held' and l.op = 'delete' and coalesce(s.crm_id, l.crm_id) is not null
    on conflict (crm_id, reason) do update set marked_at = clock_timestamp();

    perform sync.begin_own_write();
    for edit in
      select l.contact_id, l.op, l.old_values, l.new_values from sync.change_log l join crm.contacts c on c.id = l.contact_id
      where l.hold_id = hold.id and l.state = 'held' and l.op in ('update', 'detach') order by l.id desc
    loop
      if edit.op = 'update' then
        perform sync.put_fields(edit.contact_id, (
          select jsonb_object_agg(o.key, o.value)
          from crm.contacts c cross join lateral jsonb_each(edit.old_values) o
          where c.id = edit.contact_id and coalesce((to_jsonb(c) || c.custom_fields) -> o.key, 'null') = coalesce(edit.new_values -> o.key, 'null')));
      elsif edit.old_values ? 'company_id' then
        insert into crm.contact_companies values (edit.contact_id, (edit.old_values ->> 'company_id')::bigint) on conflict do nothing;
      elsif edit.old_values ? 'deal_id' then
        insert into crm.contact_deals values (edit.contact_id, (edit.old_values ->> 'deal_id')::bigint) on conflict do nothing;
      elsif edit.old_values ? 'activity_id' then
        insert into crm.contact_activities values (edit.contact_id, (edit.old_values ->> 'activity_id')::bigint) on conflict do nothing;
      end if;
    end loop;
    perform sync.end_own_write();

    update sync.change_log l set
      state = case when u.undone then 'merged' else 'pending' end,
      settled_at = case when u.undone then clock_timestamp() end,
      next_attempt_at = case when not u.undone then clock_timestamp() end
    from (
      select i.id, i.op in ('update', 'delete', 'detach') or not exists (select from crm.contacts c where c.id = i.contact_id) as undone
      from sync.change_log i where i.hold_id = hold.id and i.state = 'held'
    ) u
    where l.id = u.id;
    perform pg_notify('relate_mirror_change', '');
  end if;
  update sync.holds set state = 'rejected', decided_at = clock_timestamp(), decided_by = sync.effective_role() where id = hold.id;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
-- The decided field's base becomes the CRM's value: what differs from it is then a plain local edit. The hash is cleared because the daemon
-- computes it; without one a contact is compared again.
create function sync.resolve(conflict_id bigint, choice text) returns void
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
    raise exception 'the contact of conflict % is no longer here', conflict_id using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform from sync.contact_state s where s.contact_id = here.id for update;
  select * into conflict from sync.conflicts where id = conflict_id for update;
  if conflict.state <> 'open' or conflict.field = 'contact' then
    raise exception 'conflict % is not open', conflict_id using errcode = 'object_not_in_prerequisite_state';
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
  update sync.conflicts set state = 'decided', decided_at = clock_timestamp(), decided_by = sync.effective_role(),
    outcome = case when choice in ('crm', 'mirror') then choice else chosen::text end
  where id = conflict_id;
  perform pg_notify('relate_mirror_change', '');
end $$;
--> statement-breakpoint
-- Each look is a statement of its own, and so sees what was committed since (READ COMMITTED).
create function sync.wait(change_id bigint default null, timeout_ms integer default 10000) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  wanted constant bigint := coalesce(change_id, nullif(current_setting('relate_mirror.last_change', true), '')::bigint);
  until constant timestamptz := clock_timestamp() + least(greatest(timeout_ms, 0), 3600000) * interval '1 millisecond';
  pause_s float8 := 0.01;
  change_state text;
  change_txid bigint;
begin
  if wanted is null then
    raise exception 'this session has made no edit to wait for' using
      errcode = 'object_not_in_prerequisite_state', hint = 'Give the id of a change: select max(id) from sync.change_log where contact_id = …';
  end if;
  loop
    select state, txid into change_state, change_txid from sync.change_log where id = wanted;
    if not found then
      raise exception 'there is no change %', wanted using errcode = 'no_data_found';
    elsif change_txid = pg_current_xact_id_if_assigned()::text::bigint then
      raise exception 'change % was made in this transaction, which the daemon cannot see yet', wanted using
        errcode = 'object_not_in_prerequisite_state', hint = 'Commit first, then wait.';
    elsif change_state in ('done', 'merged', 'held', 'parked') or clock_timestamp() >= until then
      return change_state;
    elsif current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
      raise exception 'this transaction sees the database as it was when it began, so waiting in it cannot end' using
        errcode = 'object_not_in_prerequisite_state', hint = 'Wait outside of it, or in READ COMMITTED.';
    end if;
    perform pg_sleep(least(pause_s, greatest(extract(epoch from until - clock_timestamp()), 0)));
    pause_s := least(pause_s * 1.5, 0.1);
  end loop;
end $$;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
