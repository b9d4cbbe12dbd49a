/** What sync writes down beside the contacts. Each statement writes only what differs: two quiet sides change no tuple. */
import type { NameKind } from '../../domain/contact.ts';

/** A decided conflict is history, told once as long as nothing about it changes; an open one is kept up to date: one a contact and field. */
export const RECORD_CONFLICTS = `
insert into sync.conflicts as c (contact_id, field, base, local, remote, outcome, compared, policy, state, decided_at, decided_by)
select r.contact_id, r.field, r.base, r.local, r.remote, r.outcome, r.compared, r.policy,
  case r.outcome when 'open' then 'open' else 'decided' end,
  case when r.outcome <> 'open' then clock_timestamp() end, case when r.outcome <> 'open' then 'policy' end
from jsonb_to_recordset($1::jsonb) as r(contact_id bigint, field text, base jsonb, local jsonb, remote jsonb, outcome text, compared jsonb,
  policy text)
where r.outcome = 'open' or not exists (
  select from (
    select * from sync.conflicts t where t.contact_id = r.contact_id and t.field = r.field order by t.id desc limit 1
  ) last
  where last.state = 'decided' and last.outcome = r.outcome
    and (last.base, last.local, last.remote) is not distinct from (r.base, r.local, r.remote)
)
on conflict (contact_id, field) where state = 'open' do update set base = excluded.base, local = excluded.local, remote = excluded.remote,
  compared = excluded.compared, policy = excluded.policy
where (c.base, c.local, c.remote, c.compared, c.policy)
  is distinct from (excluded.base, excluded.local, excluded.remote, excluded.compared, excluded.policy)`;

/** A mark that is set again is younger than a read that is under way, and so survives its answer. */
export const MARK = `
insert into sync.marks (crm_id, reason)
select distinct * from unnest($1::bigint[], $2::text[]) as m(crm_id, reason) order by 1, 2
on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, next_attempt_at = excluded.next_attempt_at`;
/** Doubled by each attempt, from $3 up to $4 milliseconds: a row that a user keeps locked must not be asked for round after round. */
export const PUT_OFF = `
insert into sync.marks as o (crm_id, reason, attempts, next_attempt_at)
select distinct m.crm_id, m.reason, 1, clock_timestamp() + $3 * interval '1 millisecond'
from unnest($1::bigint[], $2::text[]) as m(crm_id, reason) order by 1, 2
on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, attempts = o.attempts + 1,
  next_attempt_at = clock_timestamp() + least($4::float8, $3 * 2 ^ least(o.attempts, 20)) * interval '1 millisecond'`;
export const DEFERRED = `select crm_id from sync.marks where crm_id = any($1::bigint[]) and reason = 'deferred'`;
export const MARK_ALL = `
insert into sync.marks (crm_id, reason)
select c.crm_id, r.reason from crm.contacts c cross join unnest($1::text[]) as r(reason)
where c.crm_id is not null order by c.crm_id, r.reason
on conflict (crm_id, reason) do update set marked_at = excluded.marked_at, next_attempt_at = excluded.next_attempt_at`;
export const UNMARK = `delete from sync.marks where crm_id = any($1::bigint[]) and reason = any($2::text[]) and marked_at <= $3`;
/**
 * A whole millisecond is compared, since $3 has no finer one: a mark made just before $3 was taken belongs to this round. Reason by reason, so
 * that each is a walk of the index marks_due from its start, however many marks wait for another reason.
 */
export const MARKS = `
select m.crm_id, m.reason from unnest($1::text[]) as r(reason)
cross join lateral (
  select crm_id, reason, next_attempt_at from sync.marks
  where reason = r.reason and date_trunc('milliseconds', next_attempt_at) <= $3 and date_trunc('milliseconds', marked_at) <= $3
  order by reason, next_attempt_at, crm_id limit $2
) m
order by m.next_attempt_at, m.crm_id, m.reason limit $2`;

export const COUNT_MARKS = `select count(*) as marks from sync.marks where reason = any($1::text[])`;

export const REFUSE = `
insert into sync.refused as r (crm_id, error_code, error) values ($1, $2, $3)
on conflict (crm_id) do update set error_code = excluded.error_code, error = excluded.error, refused_at = excluded.refused_at
where (r.error_code, r.error) is distinct from (excluded.error_code, excluded.error)`;
export const CLEAR_REFUSED = `delete from sync.refused where crm_id = any($1::bigint[])`;

/** Asked first, because announcing a write to schema crm alone would make every quiet page a writing transaction. */
export const NEW_NAMES = `
select i.kind, i.id, i.name
from jsonb_to_recordset($1::jsonb) as i(kind text, id bigint, name text)
where i.name is distinct from case i.kind
  when 'companies' then (select t.name from crm.companies t where t.id = i.id)
  when 'deals' then (select t.name from crm.deals t where t.id = i.id)
  when 'activities' then (select t.name from crm.activities t where t.id = i.id)
  when 'users' then (select t.name from crm.users t where t.id = i.id)
  when 'sources' then (select t.name from crm.sources t where t.id = i.id)
  when 'countries' then (select t.name from crm.countries t where t.id = i.id)
end`;
const NAME_TABLES: { readonly [K in NameKind]: string } = {
  companies: 'crm.companies',
  deals: 'crm.deals',
  activities: 'crm.activities',
  users: 'crm.users',
  sources: 'crm.sources',
  countries: 'crm.countries',
};
export const saveNamesOf = (kind: NameKind): string => `
insert into ${NAME_TABLES[kind]} as t (id, name)
select * from unnest($1::bigint[], $2::text[]) as n(id, name) order by id
on conflict (id) do update set name = excluded.name where t.name is distinct from excluded.name`;
