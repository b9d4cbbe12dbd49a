/**
 * Everything about some contacts in one statement, hence one snapshot. It runs after the locks, as a statement of its own.
 *
 * The open log rows are read once (partial index `change_log_open`) and summed up here: 500 edits of one row must not cross the wire. Of the
 * edits of one link the last one counts; ids of one pair's edits are in commit order, because the pair's primary key makes them wait for
 * each other. The two `materialized` keep the planner from reading the log once for each use.
 */
import { AUDITOR } from '../../ports/mirror.ts';
import { ALL_LINK_TABLES, fieldsOf } from './columns.ts';

/** Who queued what a merge left to push. */
const OURSELVES = 'relate-mirror';

const linksOf = ({ kind, table, column }: (typeof ALL_LINK_TABLES)[number]): string =>
  `array(select l.${column} from ${table} l where l.contact_id = c.id order by l.${column}) as row_${kind}`;

export const READ = `
with wanted as materialized (
  select distinct unnest($1::bigint[]) as contact_id
), open_rows as materialized (
  select l.*, h.state is not distinct from 'approved' as approved
  from sync.change_log l
  left join sync.holds h on h.id = l.hold_id
  where l.contact_id = any($1::bigint[]) and l.settled_at is null
), summed as (
  select contact_id, array_agg(distinct op) as ops, array_agg(distinct state) as states, max(attempts) as attempts,
    max(changed_at) filter (where op = 'delete') as deleted_at, bool_or(approved) as approved,
    extract(epoch from clock_timestamp() - min(changed_at) filter (
      where state = 'sending' and attempts = 1 and changed_by not in ('${OURSELVES}', '${AUDITOR}')))::float8 * 1000 as waited_ms
  from open_rows group by contact_id
), edited as (
  select contact_id, jsonb_object_agg(field, ms) as edited_at
  from (
    select o.contact_id, k.field, floor(extract(epoch from max(o.changed_at)) * 1000) as ms
    from open_rows o cross join lateral jsonb_object_keys(coalesce(o.old_values, '{}') || coalesce(o.new_values, '{}')) k(field)
    where o.op in ('insert', 'update') and o.changed_by <> '${AUDITOR}'
    group by o.contact_id, k.field
  ) fields group by contact_id
), approvals as (
  select o.contact_id, jsonb_build_object(
    'all', bool_or(o.op = 'update' and o.old_values is null and o.new_values is null),
    'deletes', bool_or(o.op = 'delete'),
    'fields', coalesce(jsonb_agg(distinct e.name) filter (where o.op = 'update' and e.name is not null), '[]'),
    'links', coalesce(jsonb_agg(distinct jsonb_build_array(o.op, e.name, e.target)) filter (where o.op = 'detach'), '[]')) as approvals
  from open_rows o left join lateral jsonb_each(o.old_values) e(name, target) on true
  where o.approved
  group by o.contact_id
), linked as (
  select contact_id, jsonb_agg(jsonb_build_array(op, name, target)) as link_edits
  from (
    select distinct on (o.contact_id, e.name, e.target) o.contact_id, o.op, e.name, e.target
    from open_rows o cross join lateral jsonb_each(coalesce(o.new_values, o.old_values)) e(name, target)
    where o.op in ('attach', 'detach')
    order by o.contact_id, e.name, e.target, o.id desc
  ) last group by contact_id
), held as (
  select contact_id, array_agg(field) as held_fields from sync.conflicts
  where contact_id = any($1::bigint[]) and state = 'open' and policy = 'manual' group by contact_id
), decided as (
  select distinct on (c.contact_id) c.contact_id, c.outcome
  from sync.conflicts c join sync.contact_state s on s.contact_id = c.contact_id
  where c.contact_id = any($1::bigint[]) and c.field = 'contact' and c.policy = 'manual' and c.state = 'decided' and c.decided_at >= s.gone_at
  order by c.contact_id, c.id desc
)
select w.contact_id, coalesce(s.crm_id, c.crm_id) as crm_id, c.id is not null as has_row, ${fieldsOf('c')}, c.crm_updated_at,
  ${ALL_LINK_TABLES.map(linksOf).join(',\n  ')},
  s.base, s.base_hash, s.companies as base_companies, s.deals as base_deals, s.activities as base_activities, s.extra_hash,
  date_trunc('milliseconds', s.settled_at + interval '999 microseconds') as settled_at,
  date_trunc('milliseconds', s.deleted_at + interval '999 microseconds') as deleted_at,
  s.attempt, s.attempt_state, s.intent_at, s.intent, s.sent, s.gone_at, s.hidden_at, s.hold_id,
  summed.ops, summed.states, summed.attempts, summed.deleted_at as row_deleted_at, summed.approved, summed.waited_ms, approvals.approvals,
  edited.edited_at, linked.link_edits, held.held_fields, decided.outcome as decided
from wanted w
left join crm.contacts c on c.id = w.contact_id
left join sync.contact_state s on s.contact_id = w.contact_id
left join summed on summed.contact_id = w.contact_id
left join edited on edited.contact_id = w.contact_id
left join approvals on approvals.contact_id = w.contact_id
left join linked on linked.contact_id = w.contact_id
left join held on held.contact_id = w.contact_id
left join decided on decided.contact_id = w.contact_id
where c.id is not null or s.contact_id is not null`;
