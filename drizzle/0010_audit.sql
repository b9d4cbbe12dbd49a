-- The audit of edits that no trigger saw, asked for from SQL.

-- A sync or an audit that runs may have passed the very contact that matters to whoever asks now: he gets a run of his own. A walk sees whatever comes.
create or replace function sync.request_run(run_kind text, links boolean) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  run_id bigint;
begin
  select id into run_id from sync.runs
  where kind = run_kind and kind not in ('sync', 'audit') and state = 'running' and with_links >= links order by id desc limit 1;
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
create function sync.request_audit() returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
begin atomic
  select sync.request_run('audit', false);
end;
--> statement-breakpoint
-- An edit that no trigger saw, and that a person rejects, is undone as a whole, not only what it would destroy: fields get the values that were last
-- agreed on (where nobody has changed them since), links that came go again. A row that nobody is known to have inserted stays and is parked: it
-- may be all there is of it. Deletions are sync.reject_push()'s.
create function sync.reject_found(hold sync.holds) returns void
language plpgsql as $$
declare
  edit record;
begin
  perform from crm.contacts c
  where c.id in (select l.contact_id from sync.change_log l where l.hold_id = hold.id and l.state = 'held') order by c.id for no key update;
  perform sync.begin_own_write();
  for edit in
    select l.contact_id, l.op, l.old_values, l.new_values from sync.change_log l join crm.contacts c on c.id = l.contact_id
    where l.hold_id = hold.id and l.state = 'held' and l.changed_by = 'relate-mirror audit' and l.op in ('update', 'attach', 'detach') order by l.id
  loop
    if edit.op = 'update' then
      perform sync.put_fields(edit.contact_id, patch.old)
      from (
        select jsonb_object_agg(o.key, sync.agreed_value(c.id, o.key, o.value)) as old
        from crm.contacts c cross join lateral jsonb_each(edit.old_values) o
        where c.id = edit.contact_id and not exists (
          select from sync.change_log l
          where l.contact_id = c.id and l.settled_at is null and l.op = 'update' and l.state <> 'held' and l.new_values ? o.key)
      ) patch
      where patch.old is not null;
    elsif edit.op = 'attach' and sync.is_agreed_link(edit.contact_id, edit.new_values) then
      -- Linked in the CRM as well meanwhile.
      continue;
    elsif edit.op = 'detach' and not sync.is_agreed_link(edit.contact_id, edit.old_values) then
      continue;
    elsif edit.op = 'attach' then
      delete from crm.contact_companies k where k.contact_id = edit.contact_id and k.company_id = (edit.new_values ->> 'company_id')::bigint;
      delete from crm.contact_deals k where k.contact_id = edit.contact_id and k.deal_id = (edit.new_values ->> 'deal_id')::bigint;
      delete from crm.contact_activities k where k.contact_id = edit.contact_id and k.activity_id = (edit.new_values ->> 'activity_id')::bigint;
    elsif edit.old_values ? 'company_id' then
      insert into crm.contact_companies values (edit.contact_id, (edit.old_values ->> 'company_id')::bigint) on conflict do nothing;
    elsif edit.old_values ? 'deal_id' then
      insert into crm.contact_deals values (edit.contact_id, (edit.old_values ->> 'deal_id')::bigint) on conflict do nothing;
    elsif edit.old_values ? 'activity_id' then
      insert into crm.contact_activities values (edit.contact_id, (edit.old_values ->> 'activity_id')::bigint) on conflict do nothing;
    end if;
  end loop;
  perform sync.end_own_write();
  update sync.change_log l set state = 'merged', settled_at = clock_timestamp(), next_attempt_at = null
  where l.hold_id = hold.id and l.state = 'held' and l.changed_by = 'relate-mirror audit' and l.op in ('update', 'attach', 'detach');
  update sync.change_log l set state = 'parked', next_attempt_at = null,
    error = 'Rejected by a person: to send it all the same, sync.retry(); to be rid of it, delete the row'
  where l.hold_id = hold.id and l.state = 'held' and l.changed_by = 'relate-mirror audit' and l.op = 'insert';
end $$;
--> statement-breakpoint
-- In parts, one for each direction and for what nobody logged: with sync.reject_pull() and sync.reject_push() of the brake.
create or replace function sync.reject(hold_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  hold constant sync.holds := sync.lock_open_hold(hold_id);
begin
  if hold.direction = 'pull' then
    perform sync.reject_pull(hold);
  else
    perform sync.reject_found(hold);
    perform sync.reject_push(hold);
  end if;
  update sync.holds set state = 'rejected', decided_at = clock_timestamp(), decided_by = sync.effective_role() where id = hold.id;
  perform pg_notify('relate_mirror_request', '');
end $$;
--> statement-breakpoint
comment on function sync.reject_found(sync.holds) is 'What sync.reject() does with edits that no trigger saw: they are undone.';
comment on function sync.request_audit() is 'Asks the daemon to look for edits that no trigger saw: it queues them, and holds what is gone without a logged deletion. Answers the number of the run in sync.runs.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
