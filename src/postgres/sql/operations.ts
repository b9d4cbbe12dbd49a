/** How it is going, for the admin API: the views and tables under their own column names, newest first. */

/** Everything that metrics and page show at once, in one statement. */
export const OVERVIEW = `
select s.*,
  coalesce((
    select extract(epoch from clock_timestamp() - min(l.changed_at)) from sync.change_log l where l.settled_at is null and l.state = 'pending'
  ), 0)::float8 as oldest_pending_seconds,
  (select count(*) from sync.holds where state = 'open') as holds_open,
  extract(epoch from clock_timestamp() - s.last_complete_sweep_at)::float8 as sweep_age_seconds
from sync.status s`;

/** `expected` and `pass` come from the walk's cursor; `marks`: contacts that still have to be read by id. */
const RUN = `
select r.id, r.kind, r.state, r.with_links, r.requested_at, r.requested_by, r.started_at, r.finished_at, r.complete, r.pages, r.rows_seen,
  r.rows_written, r.calls, r.error, (r.cursor ->> 'total')::float8 as expected, (r.cursor ->> 'pass')::float8 as pass`;
const MARKS = `(select count(*) from sync.marks where reason in ('links', 'activities')) as marks`;

export const RUNS = `${RUN} from sync.runs r where $2::text is null or r.state = $2 order by r.id desc limit $1`;
export const RUNS_UNDER_WAY = `${RUN}, ${MARKS} from sync.runs r where r.state = 'running' or r.id = any($1::bigint[]) order by r.id limit 20`;

export const PARKED = `select * from sync.parked order by since desc, change_id desc nulls last limit $1`;

/** Joined to `sync.holds h`: what still waits in its plan, by op, and the first lines of it. What has been let go of already is no part of it. */
const planOf = (lines: number): string => `
  cross join lateral (
    select coalesce(jsonb_object_agg(o.op, o.contacts), '{}') as counts, coalesce(sum(o.contacts), 0)::int8 as plan_lines from (
      select coalesce(line ->> 'op', 'other') as op, count(*) as contacts
      from jsonb_array_elements(h.plan) line where not line ? 'released' group by 1
    ) o
  ) c
  cross join lateral (
    select coalesce(jsonb_agg(l.line order by l.ord), '[]') as first from (
      select p.line, p.ord from jsonb_array_elements(h.plan) with ordinality p(line, ord)
      where not p.line ? 'released' order by p.ord limit ${lines}
    ) l
  ) f`;

/** A plan may have a line for each of a hundred thousand contacts. */
export const HOLDS = `
select h.id, h.direction, h.reason, h.rows, h.cause, h.state, h.created_at, h.decided_at, h.decided_by, c.counts, c.plan_lines, f.first as plan
from sync.holds h ${planOf(100)}
where $2::text is null or h.state = $2 order by h.id desc limit $1`;

/** Lines of a plan that the terminal shows: enough to see what it is about. */
export const LINES_SHOWN = 10;
export const OPEN_HOLDS = `
select h.id, h.direction, h.cause, h.reason, h.rows, h.created_at, c.counts, f.first
from sync.holds h ${planOf(LINES_SHOWN)}
where h.state = 'open' order by h.id`;

export const CONFLICTS = `
select f.id, f.contact_id, s.crm_id, f.field, f.base, f.local, f.remote, f.outcome, f.policy, f.state, f.at, f.decided_at, f.decided_by
from sync.conflicts f left join sync.contact_state s on s.contact_id = f.contact_id
where $2::text is null or f.state = $2 order by f.id desc limit $1`;

export const CALLS = `
select minute, endpoint, outcome, calls, seconds from sync.calls
where minute > clock_timestamp() - $1::int * interval '1 minute' order by minute, endpoint, outcome`;
