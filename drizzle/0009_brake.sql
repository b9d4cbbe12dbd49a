-- The brake: what waits, what it would destroy, and what a rejection does.

-- A value that is none: null, a text without a letter, an empty list. As domain/brake.ts has it.
create function sync.is_blank(value jsonb) returns boolean
language sql immutable
return value is null or value in ('null', '[]') or (jsonb_typeof(value) = 'string' and value #>> '{}' !~ '\S');
--> statement-breakpoint
-- By the log alone, which is what the brake counts: 10,000 open rows in some 20 ms. What row and base make of it is sync.destruction().
create function sync.waiting_damage() returns setof bigint
language sql stable
begin atomic
  select distinct l.contact_id
  from sync.change_log l
  join sync.contact_state s on s.contact_id = l.contact_id and s.crm_id is not null
  left join sync.holds h on h.id = l.hold_id
  where l.settled_at is null and l.state <> 'parked' and h.state is distinct from 'approved' and (
    l.op in ('delete', 'detach') or (l.op = 'update' and exists (
      select from jsonb_each(l.old_values) o where not sync.is_blank(o.value) and sync.is_blank(l.new_values -> o.key))));
end;
--> statement-breakpoint
-- A line of a plan for each contact, from the difference between base and row: what a push would destroy. "op" is null where that is nothing.
-- Names of fields and ids of links only: whoever reads a plan need not be allowed to read the contacts.
create function sync.destruction(contacts bigint[]) returns setof jsonb
language sql stable
begin atomic
  select jsonb_build_object(
    'contact_id', w.id, 'crm_id', coalesce(s.crm_id, c.crm_id),
    'op', case when c.id is null then 'delete' when links.gone <> '{}' then 'detach' when fields.emptied is not null then 'update' end)
    || case when fields.emptied is null then '{}' else jsonb_build_object('fields', fields.emptied) end
    || case when links.gone = '{}' then '{}' else jsonb_build_object('links', links.gone) end
  from (select distinct unnest(contacts) as id) w
  left join crm.contacts c on c.id = w.id
  left join sync.contact_state s on s.contact_id = w.id
  cross join lateral (select to_jsonb(c) || c.custom_fields as "values" offset 0) here
  cross join lateral (
    select jsonb_agg(b.key order by b.key) as emptied
    from jsonb_each((s.base - 'custom_fields') || coalesce(s.base -> 'custom_fields', '{}')) b
    where c.id is not null and not sync.is_blank(b.value) and sync.is_blank(here."values" -> b.key)
      and not exists (select from sync.conflicts f where f.contact_id = w.id and f.field = b.key and f.state = 'open' and f.policy = 'manual')
  ) fields
  -- A kind that is not known is detached as the log says, and never because the base lacks it.
  cross join lateral (
    select case when s.companies is null or s.deals is null or s.activities is null then array(
      select l.old_values from sync.change_log l where l.contact_id = w.id and l.settled_at is null and l.op = 'detach') end as detached
  ) log
  cross join lateral (
    select coalesce(jsonb_object_agg(kind.name, kind.ids) filter (where kind.ids <> '[]' and c.id is not null), '{}') as gone
    from (
      select 'companies' as name, to_jsonb(array(
        select b.id from (
          select unnest(s.companies) as id union select (d ->> 'company_id')::bigint from unnest(log.detached) d where s.companies is null
        ) b where b.id is not null and not exists (select from crm.contact_companies k where k.contact_id = w.id and k.company_id = b.id) order by 1)) as ids
      union all
      select 'deals', to_jsonb(array(
        select b.id from (
          select unnest(s.deals) as id union select (d ->> 'deal_id')::bigint from unnest(log.detached) d where s.deals is null
        ) b where b.id is not null and not exists (select from crm.contact_deals k where k.contact_id = w.id and k.deal_id = b.id) order by 1))
      union all
      select 'activities', to_jsonb(array(
        select b.id from (
          select unnest(s.activities) as id union select (d ->> 'activity_id')::bigint from unnest(log.detached) d where s.activities is null
        ) b where b.id is not null and not exists (select from crm.contact_activities k where k.contact_id = w.id and k.activity_id = b.id) order by 1))
    ) kind
  ) links;
end;
--> statement-breakpoint
-- What the CRM would have emptied or unlinked stands: for the mirror's word to be news, base becomes what the CRM has, and what differs from that
-- is a plain edit, made by whoever decides. A row that the CRM deleted stays as well, marked gone, and nothing is pushed for it.
create function sync.reject_pull(hold sync.holds) returns void
language plpgsql as $$
declare
  logged bigint;
begin
  -- Rows before states, as everybody locks.
  perform from crm.contacts c where c.id in (select s.contact_id from sync.contact_state s where s.hold_id = hold.id) order by c.id for no key update;
  perform from sync.contact_state s where s.hold_id = hold.id order by s.contact_id for update;

  with lines as materialized (
    select (p.line ->> 'contact_id')::bigint as contact_id, p.line -> 'fields' as fields, p.line -> 'links' as links
    from jsonb_array_elements(hold.plan) p(line) where p.line ->> 'op' <> 'delete' and not p.line ? 'released'
  ), agreed as (
    update sync.contact_state s set base_hash = null,
      base = s.base
        || (select coalesce(jsonb_object_agg(k, case k when 'phones' then '[]' else 'null' end::jsonb), '{}')
            from jsonb_array_elements_text(l.fields) k where k !~ '^cf_')
        || jsonb_build_object('custom_fields', coalesce(s.base -> 'custom_fields', '{}') - array(select jsonb_array_elements_text(l.fields))),
      companies = case when s.companies is not null then
        array(select id from unnest(s.companies) id where not coalesce(l.links -> 'companies' @> to_jsonb(id), false)) end,
      deals = case when s.deals is not null then
        array(select id from unnest(s.deals) id where not coalesce(l.links -> 'deals' @> to_jsonb(id), false)) end,
      activities = case when s.activities is not null then
        array(select id from unnest(s.activities) id where not coalesce(l.links -> 'activities' @> to_jsonb(id), false)) end
    from lines l where s.contact_id = l.contact_id and s.hold_id = hold.id and s.base is not null
  ), edits as (
    select l.contact_id, 'update' as op, jsonb_object_agg(k, null::text) as old_values,
      jsonb_object_agg(k, (to_jsonb(c) || c.custom_fields) -> k) as new_values
    from lines l join crm.contacts c on c.id = l.contact_id cross join lateral jsonb_array_elements_text(l.fields) k
    group by l.contact_id
    union all
    select l.contact_id, 'attach', null, jsonb_build_object(kind.key, id::bigint)
    from lines l join crm.contacts c on c.id = l.contact_id
    cross join lateral (values ('company_id', l.links -> 'companies'), ('deal_id', l.links -> 'deals'), ('activity_id', l.links -> 'activities'))
      kind(key, ids)
    cross join lateral jsonb_array_elements_text(kind.ids) id
  )
  insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
  select e.contact_id, s.crm_id, e.op, e.old_values, e.new_values, sync.effective_role(), pg_current_xact_id()::text::bigint
  from edits e join sync.contact_state s on s.contact_id = e.contact_id and s.hold_id = hold.id and s.base is not null
  order by e.contact_id, e.op desc;
  get diagnostics logged = row_count;
  if logged > 0 then
    perform sync.captured();
  end if;
  update sync.contact_state s set hold_id = null where s.hold_id = hold.id;
end $$;
--> statement-breakpoint
-- What was destroyed here is undone here: a deleted row is read again from the CRM and comes back with its id, emptied fields get their old values
-- (those both sides agree on by now, which the CRM may have moved on since; where nobody has changed them here), detached links return. Whatever else was edited in the same contacts goes on.
create function sync.agreed_value(contact bigint, field text, logged jsonb) returns jsonb
language sql stable
return case
  when exists (
    select from sync.change_log l where l.contact_id = contact and l.settled_at is null and l.op in ('insert', 'update') and l.new_values -> field = logged)
    then logged
  else coalesce((
    select coalesce((s.base || coalesce(s.base -> 'custom_fields', '{}')) -> field, 'null')
    from sync.contact_state s where s.contact_id = contact and s.base is not null), logged)
end;
--> statement-breakpoint
create function sync.is_agreed_link(contact bigint, link jsonb) returns boolean
language sql stable
return coalesce((
  select case
    when link ? 'company_id' then s.companies is null or (link ->> 'company_id')::bigint = any(s.companies)
    when link ? 'deal_id' then s.deals is null or (link ->> 'deal_id')::bigint = any(s.deals)
    else s.activities is null or (link ->> 'activity_id')::bigint = any(s.activities) end
  from sync.contact_state s where s.contact_id = contact), true);
--> statement-breakpoint
comment on function sync.agreed_value(bigint, text, jsonb) is 'What a rejected edit of a field goes back to: the value that was logged where another open edit had set it, or where there is no base; otherwise what both sides agree on by now.';
comment on function sync.is_agreed_link(bigint, jsonb) is 'Whether both sides last agreed on a link; true where nothing is known of its kind.';
--> statement-breakpoint
create function sync.reject_push(hold sync.holds) returns void
language plpgsql as $$
declare
  edit record;
begin
  perform from crm.contacts c
  where c.id in (select l.contact_id from sync.change_log l where l.hold_id = hold.id and l.state = 'held') order by c.id for no key update;

  insert into sync.marks as m (crm_id, reason)
  select distinct coalesce(s.crm_id, l.crm_id), 'deferred'
  from sync.change_log l left join sync.contact_state s on s.contact_id = l.contact_id
  where l.hold_id = hold.id and l.state = 'held' and l.op = 'delete' and coalesce(s.crm_id, l.crm_id) is not null
  on conflict (crm_id, reason) do update set marked_at = clock_timestamp(), next_attempt_at = clock_timestamp();

  perform sync.begin_own_write();
  for edit in
    select l.contact_id, l.op, l.old_values, (
      select jsonb_object_agg(o.key, o.value) from jsonb_each(l.old_values) o
      where l.op = 'update' and not sync.is_blank(o.value) and sync.is_blank(l.new_values -> o.key)
    ) as emptied
    from sync.change_log l join crm.contacts c on c.id = l.contact_id
    where l.hold_id = hold.id and l.state = 'held' and l.op in ('update', 'detach') order by l.id desc
  loop
    if edit.op = 'update' then
      perform sync.put_fields(edit.contact_id, patch.old)
      from (
        select jsonb_object_agg(e.key, sync.agreed_value(c.id, e.key, e.value)) as old
        from crm.contacts c cross join lateral jsonb_each(edit.emptied) e
        where c.id = edit.contact_id and sync.is_blank((to_jsonb(c) || c.custom_fields) -> e.key)
      ) patch
      where patch.old is not null;
    elsif not sync.is_agreed_link(edit.contact_id, edit.old_values) then
      -- Unlinked in the CRM meanwhile: nothing to put back.
      continue;
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
    select i.id, i.op in ('delete', 'detach') or not exists (select from crm.contacts c where c.id = i.contact_id)
      or (i.op = 'update' and not exists (
        select from jsonb_each(i.new_values) n where not (sync.is_blank(n.value) and not sync.is_blank(i.old_values -> n.key)))) as undone
    from sync.change_log i where i.hold_id = hold.id and i.state = 'held'
  ) u
  where l.id = u.id;
  perform pg_notify('relate_mirror_change', '');
end $$;
--> statement-breakpoint
comment on function sync.is_blank(jsonb) is 'Whether a value is none: null, a text without a letter, an empty list.';
comment on function sync.waiting_damage() is 'Contacts with open deletions, detached links or emptied fields that nobody approved: what the brake counts as waiting.';
comment on function sync.destruction(bigint[]) is 'What pushing these contacts as they are would destroy in the CRM: a line of a plan each, without values.';
comment on function sync.reject_pull(sync.holds) is 'What sync.reject() does for a hold of the direction pull.';
comment on function sync.reject_push(sync.holds) is 'What sync.reject() does for a hold of the direction push.';
comment on column sync.holds.plan is 'What would happen, one line a contact: contact_id, crm_id, op (delete, detach or update), fields that would be emptied, links that would go; released: it has nothing destructive left and left the plan.';
comment on column sync.holds.rows is 'How many contacts it is about, released ones aside.';
comment on column sync.holds.decided_by is 'The role that decided it; relate-mirror where nothing was left of it.';
comment on column sync.contact_state.hold_id is 'The hold that keeps a deletion or an emptying in the CRM from this contact, until it is decided: id in sync.holds.';
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
