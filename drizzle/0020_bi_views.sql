-- The schema bi: what analysts ask, and what of it a masked reader sees.
--
-- Masking is a CASE over a question that is asked once a statement. Two branches (plain where not masked, union all masked where masked) would let
-- the indexes of e-mail and street serve WHERE, and give the values away while a query is planned: for an operator of the user's own the planner calls
-- his function with the values of pg_statistic, and EXPLAIN's estimates of email < '…' tell where they lie, in whichever branch is never executed.
-- Of a CASE the planner knows nothing. docs/decisions.md has what that costs.

-- Whether a role sees personal values masked: it has the rights of relate_mirror_reader_masked, and of nobody who sees more. Asked for the current
-- user; a function that runs with its owner's rights asks for sync.effective_role().
create function sync.is_masked(role_name name default current_user) returns boolean
language sql stable parallel safe
return coalesce((
  select pg_has_role(role_name, m.oid, 'usage') and not exists (
    select from pg_roles r where r.rolname in ('relate_mirror_reader', 'relate_mirror_editor') and pg_has_role(role_name, r.oid, 'usage')
      or r.rolname = role_name and r.rolsuper)
  from pg_roles m where m.rolname = 'relate_mirror_reader_masked'), false);
--> statement-breakpoint
-- The domain is what analysts count by; kept only where it looks like one, since anything may stand in the field.
create function sync.mask_email(value text) returns text
language sql immutable parallel safe
return left(value, 1) || '•••' || coalesce(substring(value from '@[^\s@]+\.[^\s@\d]{2,}$'), '');
--> statement-breakpoint
create function sync.mask_phone(value text) returns text
language sql immutable parallel safe
return case
  when length(regexp_replace(value, '\D', '', 'g')) > 5 then '•••' || right(regexp_replace(value, '\D', '', 'g'), 2)
  when value is not null then '•••' end;
--> statement-breakpoint
create function sync.mask_text(value text) returns text
language sql immutable parallel safe
return case when value is not null then '•••' end;
--> statement-breakpoint
create function sync.mask_phones(phones jsonb) returns jsonb
language sql immutable parallel safe
return case when phones is not null then coalesce((
  select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('number', sync.mask_phone(p.value ->> 'number'), 'type', p.value ->> 'type')) order by p.at)
  from jsonb_array_elements(phones) with ordinality p(value, at)), '[]') end;
--> statement-breakpoint
-- What bi.contact_history was: also what a subscriber of logical replication has under that name, who knows no roles of ours.
create view sync.version_spans as
select v.contact_id, v.crm_id, v.valid_from,
  (select min(n.valid_from) from sync.contact_versions n where n.contact_id = v.contact_id and n.id > v.id) as valid_to,
  v.op, v.origin, v.who, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street, v.city, v.state,
  v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at, v.id as version_id
from sync.contact_versions v;
--> statement-breakpoint
create or replace view bi.contact_history as
select v.contact_id, v.crm_id, v.valid_from, v.valid_to, v.op, v.origin, v.who, v.first_name, v.last_name,
  case when (select sync.is_masked()) then sync.mask_email(v.email) else v.email end as email,
  case when (select sync.is_masked()) then sync.mask_phones(v.phones) else v.phones end as phones,
  v.user_id, v.source_id, v.job_title,
  case when (select sync.is_masked()) then sync.mask_text(v.street) else v.street end as street,
  v.city, v.state, v.postal_code, v.country_id,
  case when not (select sync.is_masked()) then v.custom_fields end as custom_fields,
  case when not (select sync.is_masked()) then v.extra end as extra,
  v.crm_created_at, v.version_id
from sync.version_spans v;
--> statement-breakpoint
create or replace function sync.subscriber_ddl() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  with published as (
    select c.oid, format('%I.%I', c.relnamespace::regnamespace::text, c.relname) as name from pg_class c
    where c.oid = any(select format('crm.%I', t)::regclass from unnest(sync.mirrored_tables()) t) or c.oid = 'sync.contact_versions'::regclass
  ), columns as (
    select t.name, a.attnum, format('%I', a.attname) as attname, format_type(a.atttypid, a.atttypmod) as type,
      array_position((select array_agg(k) from pg_index i, unnest(i.indkey::int[]) k where i.indrelid = t.oid and i.indisprimary), a.attnum::int) as place,
      col_description(t.oid, a.attnum) as told
    from published t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  ), statements as (
    select 0 as part, '' as name, 0 as place, format('create schema if not exists %s;', s) as text from unnest(array['bi', 'crm', 'sync']) s
    union all
    select 1, name, 0, format('create table if not exists %s (%s, primary key (%s));', name,
      string_agg(format('%s %s', attname, type), ', ' order by place), string_agg(attname, ', ' order by place))
    from columns where place is not null group by name
    union all
    select 1, name, attnum, format('alter table %s add column if not exists %s %s;', name, attname, type) from columns where place is null
    union all
    select 2, name, attnum, format('comment on column %s.%s is %L;', name, attname, told) from columns where told is not null
    union all
    select 3, '', 0, format('create or replace view bi.contact_history as %s', pg_get_viewdef('sync.version_spans'::regclass))
  )
  select string_agg(text, E'\n' order by part, name, place, text) from statements;
$$;
--> statement-breakpoint
create view bi.companies as select id, name from crm.companies;
--> statement-breakpoint
create view bi.deals as select id, name from crm.deals;
--> statement-breakpoint
create view bi.activities as select id, name from crm.activities;
--> statement-breakpoint
create view bi.users as select id, name from crm.users;
--> statement-breakpoint
create view bi.sources as select id, name from crm.sources;
--> statement-breakpoint
create view bi.countries as select id, name from crm.countries;
--> statement-breakpoint
create view bi.contact_companies as
select l.contact_id, l.company_id, n.name as company_name from crm.contact_companies l left join crm.companies n on n.id = l.company_id;
--> statement-breakpoint
create view bi.contact_deals as
select l.contact_id, l.deal_id, n.name as deal_name from crm.contact_deals l left join crm.deals n on n.id = l.deal_id;
--> statement-breakpoint
create view bi.contact_activities as
select l.contact_id, l.activity_id, n.name as activity_name from crm.contact_activities l left join crm.activities n on n.id = l.activity_id;
--> statement-breakpoint
create view bi.contact_phones as
select c.id as contact_id, p.at::integer as position,
  case when (select sync.is_masked()) then sync.mask_phone(p.phone ->> 'number') else p.phone ->> 'number' end as number,
  coalesce(p.phone ->> 'type', 'mobile') as type,
  null::text as e164,
  c.crm_id
from crm.contacts c cross join lateral jsonb_array_elements(c.phones) with ordinality p(phone, at);
--> statement-breakpoint
-- Built on sync.status: lag and counts are what it says. Words for people who know nothing of how the sync works.
create view bi.freshness as
with known as (
  select s.*, l.last_pull_at, a.last_complete_sweep_at as swept_at,
    (select count(*) from sync.refused) as refused,
    (select count(*) from sync.contact_state c join sync.holds h on h.id = c.hold_id and h.state = 'open') as held_here,
    (select count(distinct m.crm_id) from sync.marks m where m.reason not in ('links', 'activities')) as unread,
    (select count(distinct m.crm_id) from sync.marks m where m.reason in ('links', 'activities')) as unlinked,
    coalesce((select c.value = 'true' from sync.capabilities c where c.name = 'trash'), false) as tells_deletions,
    (select min(q.changed_at) from sync.queue q where q.state <> 'held') as oldest_edit
  from sync.status s cross join sync.leader l cross join sync.account a
), directions as (
  select 'pull' as direction, last_pull_at as true_as_of, pull_lag_seconds as lag_seconds,
    first_sweep_done and last_pull_at is not null and identity_hold is null as is_whole,
    refused + held_here + unread + unlinked as waiting,
    case
      when not first_sweep_done then 'The first load is not finished: contacts are missing.'
      when identity_hold is not null then 'A person has to decide first whether this database and this CRM still belong together (sync.holds).'
      when last_pull_at is null then 'Loaded, and no change has been pulled from the CRM since.'
      else nullif(concat_ws(' ',
        case when refused > 0 then format('Records of the CRM that could not be read or stored: %s (sync.parked).', refused) end,
        case when held_here > 0 then format('Removals that wait for an approval: %s (sync.holds).', held_here) end,
        case when unread > 0 then format('Contacts that are read once more: %s.', unread) end,
        case when unlinked > 0 then format('Contacts whose links are not read yet: %s.', unlinked) end), '')
    end as lacking,
    'every change that the CRM made before this moment is here' || case when tells_deletions then '' else
      format('; deletions up to the last complete sweep, %s UTC', to_char(swept_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')) end || '.' as told,
    concat_ws(' ',
      case when crm_error_code is not null then format('The CRM does not answer as it should (%s).', crm_error_code) end,
      case when pull_late then 'A pull has been due for over five minutes.' end) as hindrance
  from known
  union all
  select 'push', coalesce(oldest_edit, statement_timestamp()), push_lag_seconds, true,
    queue_depth + (parked - refused) + (held - held_here),
    nullif(concat_ws(' ',
      case when queue_depth > 0 then format('Edits on their way to the CRM: %s.', queue_depth) end,
      case when parked > refused then format('Edits that the CRM refuses, and a person has to look at: %s (sync.parked).', parked - refused) end,
      case when held > held_here then format('Edits that wait for an approval: %s (sync.holds).', held - held_here) end), ''),
    'every edit that was made here before this moment is in the CRM.',
    case when identity_hold is not null then 'Nothing is sent until a person has decided whether this database and this CRM still belong together (sync.holds).' end
  from known
)
select d.direction, d.true_as_of, d.lag_seconds, d.is_whole and d.waiting = 0 as complete, d.waiting,
  concat_ws(' ', coalesce(d.lacking, 'Complete: ' || d.told), nullif(d.hindrance, ''),
    case when k.paused then 'Syncing is paused.' when k.leader is null then 'No daemon is at work.' end) as explanation
from directions d cross join known k;
--> statement-breakpoint
revoke execute on all functions in schema sync from public;
--> statement-breakpoint
comment on function sync.is_masked(name) is 'Whether a role, by default the current one, sees e-mails, phones and streets masked: a member of relate_mirror_reader_masked that has no right to more.';
--> statement-breakpoint
comment on function sync.mask_email(text) is 'An e-mail address as a masked reader sees it: its first letter and its domain.';
--> statement-breakpoint
comment on function sync.mask_phone(text) is 'A phone number as a masked reader sees it: its last two digits.';
--> statement-breakpoint
comment on function sync.mask_text(text) is 'A text as a masked reader sees it: that there is one.';
--> statement-breakpoint
comment on function sync.mask_phones(jsonb) is 'The phones of a contact as a masked reader sees them: numbers masked, and their types.';
--> statement-breakpoint
comment on view sync.version_spans is 'Every version that a contact had, with its end. People read bi.contact_history.';
--> statement-breakpoint
do $$
declare
  place record;
begin
  for place in select a.attname, col_description(a.attrelid, a.attnum) as told from pg_attribute a where a.attrelid = 'bi.contact_history'::regclass and a.attnum > 0
  loop
    execute format('comment on column sync.version_spans.%I is %L', place.attname, place.told);
  end loop;
end $$;
--> statement-breakpoint
comment on column bi.contact_history.email is 'E-mail address; masked readers see the first letter and the domain.';
--> statement-breakpoint
comment on column bi.contact_history.phones is 'Array of {"number": "…", "type": "mobile" | "work" | "other"}; type left out means mobile. Masked readers see the last two digits.';
--> statement-breakpoint
comment on column bi.contact_history.street is 'Street and number; masked readers see that there is one.';
--> statement-breakpoint
comment on column bi.contact_history.custom_fields is 'The account''s custom fields as {"cf_…": value}; null for masked readers.';
--> statement-breakpoint
comment on column bi.contact_history.extra is 'Whatever else the CRM sent of the contact; null for masked readers.';
--> statement-breakpoint
comment on view bi.companies is 'Companies of the CRM, by the names that were seen with contacts.';
--> statement-breakpoint
comment on view bi.deals is 'Deals of the CRM, by the names that were seen with contacts.';
--> statement-breakpoint
comment on view bi.activities is 'Activities of the CRM, by the names that were seen with contacts.';
--> statement-breakpoint
comment on view bi.users is 'Users of the CRM: the owners of contacts.';
--> statement-breakpoint
comment on view bi.sources is 'Where contacts come from, as the CRM lists it.';
--> statement-breakpoint
comment on view bi.countries is 'Countries, as the CRM lists them.';
--> statement-breakpoint
do $$
declare
  told constant jsonb := '{
    "companies": ["The company''s id in the CRM.", "What the company is called."],
    "deals": ["The deal''s id in the CRM.", "What the deal is called."],
    "activities": ["The activity''s id in the CRM.", "What the activity is called."],
    "users": ["The user''s id in the CRM.", "What the user is called."],
    "sources": ["The source''s id in the CRM.", "What the source is called."],
    "countries": ["The country''s id in the CRM.", "What the CRM calls the country."]
  }';
  place record;
begin
  for place in select key, value from jsonb_each(told) loop
    execute format('comment on column bi.%I.id is %L', place.key, place.value ->> 0);
    execute format('comment on column bi.%I.name is %L', place.key, place.value ->> 1);
  end loop;
end $$;
--> statement-breakpoint
comment on view bi.contact_companies is 'Which contact belongs to which company: one row a link.';
--> statement-breakpoint
comment on column bi.contact_companies.contact_id is 'The contact: id in bi.contacts.';
--> statement-breakpoint
comment on column bi.contact_companies.company_id is 'The company: id in bi.companies.';
--> statement-breakpoint
comment on column bi.contact_companies.company_name is 'What the company is called; null where the CRM has not told yet.';
--> statement-breakpoint
comment on view bi.contact_deals is 'Which contact takes part in which deal: one row a link.';
--> statement-breakpoint
comment on column bi.contact_deals.contact_id is 'The contact: id in bi.contacts.';
--> statement-breakpoint
comment on column bi.contact_deals.deal_id is 'The deal: id in bi.deals.';
--> statement-breakpoint
comment on column bi.contact_deals.deal_name is 'What the deal is called; null where the CRM has not told yet.';
--> statement-breakpoint
comment on view bi.contact_activities is 'Which contact takes part in which activity: one row a link.';
--> statement-breakpoint
comment on column bi.contact_activities.contact_id is 'The contact: id in bi.contacts.';
--> statement-breakpoint
comment on column bi.contact_activities.activity_id is 'The activity: id in bi.activities.';
--> statement-breakpoint
comment on column bi.contact_activities.activity_name is 'What the activity is called; null where the CRM has not told yet.';
--> statement-breakpoint
comment on view bi.contact_phones is 'The phone numbers of the contacts: one row a number.';
--> statement-breakpoint
comment on column bi.contact_phones.contact_id is 'The contact: id in bi.contacts.';
--> statement-breakpoint
comment on column bi.contact_phones.position is 'Where the number stands among those of its contact; 1 is the primary one.';
--> statement-breakpoint
comment on column bi.contact_phones.number is 'The number as it was typed; masked readers see the last two digits.';
--> statement-breakpoint
comment on column bi.contact_phones.type is 'mobile, work or other.';
--> statement-breakpoint
comment on column bi.contact_phones.e164 is 'The number in international form, +41791234567; null where it cannot be told. Masked readers see the last two digits.';
--> statement-breakpoint
comment on column bi.contact_phones.crm_id is 'The contact''s id in the CRM; null until the CRM has it.';
--> statement-breakpoint
comment on view bi.freshness is 'As of when the data here is true, and whether anything is missing: one row a direction.';
--> statement-breakpoint
comment on column bi.freshness.direction is 'pull (from the CRM to here) or push (edits made here, to the CRM).';
--> statement-breakpoint
comment on column bi.freshness.true_as_of is 'What happened before this moment has arrived, but for what is waiting. Null: nothing was pulled yet.';
--> statement-breakpoint
comment on column bi.freshness.lag_seconds is 'How long ago that is, in seconds, for pull; for push the age of the oldest edit that is on its way.';
--> statement-breakpoint
comment on column bi.freshness.complete is 'Whether nothing waits: for pull, nothing older than that moment is missing; for push, no edit is on its way, parked or held.';
--> statement-breakpoint
comment on column bi.freshness.waiting is 'How many contacts (pull) or edits (push) have not arrived yet, those that need a person included.';
--> statement-breakpoint
comment on column bi.freshness.explanation is 'The same in a sentence: what is missing, and why.';
