-- The readers' one index: made CONCURRENTLY before this migration where there are contacts already (src/postgres/migrate-online.ts).
CREATE INDEX IF NOT EXISTS "contacts_crm_created_at" ON "crm"."contacts" USING btree ("crm_created_at" DESC NULLS LAST,"user_id","source_id","country_id");
--> statement-breakpoint
-- No statement of the sync and no question of the cookbook looks for an activity's contacts.
DROP INDEX IF EXISTS "crm"."contact_activities_activity_id";
--> statement-breakpoint
-- What is read from an index alone needs pages that vacuum has seen since their last change: after a hundredth of the rows, not after a fifth. A vacuum
-- reads only the pages that changed. docs/decisions.md has what that costs and gains.
alter table crm.contacts set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
--> statement-breakpoint
alter table crm.contact_companies set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
--> statement-breakpoint
alter table crm.contact_deals set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
--> statement-breakpoint
alter table crm.contact_activities set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
--> statement-breakpoint
-- An error instead of a wrong answer where the history does not reach; true everywhere else. Under its owner's rights: who reads bi reads no table of sync.
create function sync.history_reaches(moment timestamptz) returns boolean
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
declare
  since constant timestamptz := (select history_since from sync.account);
  gap sync.history_gaps;
begin
  if moment is null then
    raise exception 'bi.contacts_at: the moment is null' using errcode = 'null_value_not_allowed';
  elsif since is null then
    raise exception 'bi.contacts_at: no whole history is kept' using errcode = 'object_not_in_prerequisite_state',
      hint = 'HISTORY_DAYS=0 switches it off; switched on, it is whole once the daemon has written the first version of every contact.';
  elsif moment < since then
    raise exception 'bi.contacts_at: the history begins at %', since using errcode = 'datetime_field_overflow',
      hint = 'Earlier versions were removed (HISTORY_DAYS), or never kept.';
  end if;
  select * into gap from sync.history_gaps g where moment > g.began and (g.ended is null or moment < g.ended) limit 1;
  if found then
    raise exception 'bi.contacts_at: no history was kept after %', gap.began || coalesce(' until ' || gap.ended, '') using
      errcode = 'datetime_field_overflow', hint = 'HISTORY_DAYS was 0, or the contacts had not all been looked at again. sync.history_gaps has the times.';
  end if;
  return true;
end $$;
--> statement-breakpoint
-- A form that the planner sees through, so that a question reads the columns that it names, in parallel, and only the months up to the moment: SQL,
-- stable, with the caller's rights and nothing set; bi.contact_history masks. Where the moment is told by a volatile function or a sub-select the
-- planner calls it instead, and the answer is the same.
-- A later version is one of a higher number, whatever the clock said. COALESCE keeps a null moment from being planned away before it is refused.
create or replace function bi.contacts_at(moment timestamptz) returns table (
  id bigint, crm_id bigint, first_name text, last_name text, email text, phones jsonb, user_id bigint, source_id bigint, job_title text,
  street text, city text, state text, postal_code text, country_id bigint, custom_fields jsonb, extra jsonb, crm_created_at timestamptz,
  valid_from timestamptz, op text, origin text, who text)
language sql stable parallel safe as $$
  select v.contact_id, v.crm_id, v.first_name, v.last_name, v.email, v.phones, v.user_id, v.source_id, v.job_title, v.street, v.city, v.state,
    v.postal_code, v.country_id, v.custom_fields, v.extra, v.crm_created_at, v.valid_from, v.op, v.origin, v.who
  from bi.contact_history v
  where sync.history_reaches(moment) and v.valid_from <= coalesce(moment, '-infinity') and v.op <> 'delete' and not exists (
    select from bi.contact_history later
    where later.contact_id = v.contact_id and later.version_id > v.version_id and later.valid_from <= coalesce(moment, '-infinity'))
$$;
--> statement-breakpoint
revoke execute on function sync.history_reaches(timestamptz) from public;
--> statement-breakpoint
comment on function sync.history_reaches(timestamptz) is 'True where the history tells the contacts of a moment; an error that says why where it does not.';
