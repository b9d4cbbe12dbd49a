/** Runs, their cursors and the ids a sweep has seen. */

const RUN = `id, kind, state, with_links, requested_at is not null as is_requested, started_at, cursor`;

export const START_RUN = `
insert into sync.runs (kind, state, with_links, started_at, epoch) values ($1, 'running', $2, clock_timestamp(), $3) returning ${RUN}`;

/**
 * The oldest request, taken once even by two who ask at the same moment. One that an earlier leader took and did not end is taken again,
 * since somebody waits for it: but for a walk that has a place to go on from, which RESUME_RUN does.
 */
export const TAKE_REQUEST = `
update sync.runs set state = 'running', started_at = clock_timestamp(), epoch = $1
where id = (
  select id from sync.runs
  where state = 'requested'
    or (state = 'running' and requested_at is not null and epoch is distinct from $1 and (kind = 'sync' or cursor is null))
  order by id limit 1 for update skip locked)
returning ${RUN}`;

/**
 * The unlogged table is empty after a crash of Postgres, which the logged number in the cursor shows. It is counted once
 * a start.
 */
export const RESUME_RUN = `
update sync.runs set epoch = $2
where id = (select id from sync.runs where state = 'running' and kind = $1 and cursor is not null order by id desc limit 1)
  and (cursor ->> 'seen')::bigint = (select count(*) from sync.sweep_seen)
returning ${RUN}`;
/** What an earlier leader left running and nobody resumes. A run of our own epoch is alive. */
export const CLOSE_INTERRUPTED = `
update sync.runs set state = 'failed', complete = false, finished_at = clock_timestamp(), error = 'interrupted'
where state = 'running' and kind = $1 and epoch is distinct from $2`;

/** Numbers are added up, so that a resumed run goes on counting; the cursor is where it stands. */
export const SAVE_RUN = `
update sync.runs set cursor = coalesce($2::jsonb, cursor), pages = pages + $3, rows_seen = rows_seen + $4, rows_written = rows_written + $5,
  calls = calls + $6
where id = $1`;

/** A complete sweep is what creates on a filled mirror wait for. */
export const FINISH_RUN = `
with finished as (
  update sync.runs set state = $2, complete = $3, error = $4, finished_at = clock_timestamp() where id = $1 returning kind, complete
)
update sync.account set first_sweep_at = coalesce(first_sweep_at, clock_timestamp()), last_complete_sweep_at = clock_timestamp()
where exists (select from finished where complete and kind in ('sweep', 'resync'))`;

export const SAVE_SEEN = `
insert into sync.sweep_seen (crm_id) select distinct unnest($1::bigint[]) order by 1 on conflict do nothing`;
export const CLEAR_SEEN = `truncate sync.sweep_seen`;
export const COUNT_SEEN = `select count(*) as seen from sync.sweep_seen where crm_id <= $1`;
export const UNSEEN = `
select c.crm_id from crm.contacts c
left join sync.contact_state s on s.contact_id = c.id
where c.crm_id > $1 and s.gone_at is null and s.hidden_at is null
  and not exists (select from sync.sweep_seen seen where seen.crm_id = c.crm_id)
order by c.crm_id limit $2`;
/** From a random place on: a control that always asks for the same contact proves nothing once that one is gone. */
export const ONE_SEEN = `
with start as materialized (select floor(random() * (select max(crm_id) from sync.sweep_seen)) as at)
select coalesce(
  (select s.crm_id from sync.sweep_seen s join crm.contacts c on c.crm_id = s.crm_id where s.crm_id >= (select at from start)::bigint
    order by s.crm_id limit 1),
  (select s.crm_id from sync.sweep_seen s join crm.contacts c on c.crm_id = s.crm_id order by s.crm_id limit 1)
) as crm_id`;

export const SAVE_CHANGES_WATERMARK = `update sync.account set changes_watermark = $1 where changes_watermark is distinct from $1`;
export const SAVE_TRASH_WATERMARK = `update sync.account set trash_watermark = $1 where trash_watermark is distinct from $1`;

/**
 * Retention, $1 days. A tombstone stays 60 days at least: the CRM keeps a deleted contact in its trash for 30 by default, and one that is
 * restored from there gets its old id back.
 */
export const PRUNE_LOG = `delete from sync.change_log where settled_at < clock_timestamp() - $1 * interval '1 day'`;
export const PRUNE_RUNS = `delete from sync.runs where finished_at < clock_timestamp() - $1 * interval '1 day'`;
export const PRUNE_CALLS = `delete from sync.calls where minute < clock_timestamp() - $1 * interval '1 day'`;
export const PRUNE_TOMBSTONES = `
delete from sync.contact_state s where s.deleted_at < clock_timestamp() - greatest($1, 60) * interval '1 day' and s.attempt is null
  and not exists (select from sync.change_log l where l.contact_id = s.contact_id and l.settled_at is null)`;
/**
 * What was decided, unless something rests on it still: a contact marked gone follows its last decision, and one with open edits is told of once
 * only as long as the record is there.
 */
export const PRUNE_CONFLICTS = `
delete from sync.conflicts c where c.state = 'decided' and coalesce(c.decided_at, c.at) < clock_timestamp() - $1 * interval '1 day'
  and not exists (select from sync.contact_state s where s.contact_id = c.contact_id and s.gone_at is not null)
  and not exists (select from sync.change_log l where l.contact_id = c.contact_id and l.settled_at is null)`;
/** After the log, which refers to them. The rejected ones of the identity go on stopping what they stop. */
export const PRUNE_HOLDS = `
delete from sync.holds h where h.state <> 'open' and coalesce(h.decided_at, h.created_at) < clock_timestamp() - $1 * interval '1 day'
  and not (h.cause = 'identity' and h.state = 'rejected')
  and not exists (select from sync.account a where a.identity_hold_id = h.id)
  and not exists (select from sync.change_log l where l.hold_id = h.id)
  and not exists (select from sync.contact_state s where s.hold_id = h.id)`;
