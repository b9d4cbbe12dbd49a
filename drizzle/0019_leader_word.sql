ALTER TABLE "sync"."leader" ADD COLUMN "crm_error_code" text;--> statement-breakpoint
ALTER TABLE "sync"."leader" ADD COLUMN "crm_seen_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "sync"."leader" ADD COLUMN "pull_due_at" timestamp with time zone;--> statement-breakpoint
comment on column sync.leader.crm_error_code is 'What its last call of the CRM ended with, where the CRM did not answer as it should. Null: it answered, or nothing is known.';
--> statement-breakpoint
comment on column sync.leader.crm_seen_at is 'When that call ended. Null: there was none in the last minutes.';
--> statement-breakpoint
comment on column sync.leader.pull_due_at is 'Since when a changes pull has been due that has not gone through yet. Null: none is.';
--> statement-breakpoint
-- Only the leader calls the CRM: its last word is for everybody who asks, a standby's page as well.
create or replace view sync.status as
select
  case when l.expires_at > clock_timestamp() then l.holder end as leader,
  a.paused_at is not null as paused,
  extract(epoch from clock_timestamp() - l.last_pull_at)::float8 as pull_lag_seconds,
  coalesce(extract(epoch from clock_timestamp() - o.oldest), 0)::float8 as push_lag_seconds,
  o.queue_depth,
  a.last_complete_sweep_at,
  l.budget_limit,
  l.budget_used,
  o.parked + (select count(*) from sync.refused) as parked,
  o.held + (select count(*) from sync.contact_state s join sync.holds h on h.id = s.hold_id and h.state = 'open') as held,
  o.unknown,
  (select count(*) from sync.conflicts where state = 'open') as open_conflicts,
  o.retry,
  (select count(*) from crm.contacts) as contacts,
  a.first_sweep_at is not null as first_sweep_done,
  coalesce((
    select max(h.id) from sync.holds h where h.cause = 'identity' and h.direction = 'pull' and h.state in ('open', 'rejected')
  ), a.identity_hold_id) as identity_hold,
  case when l.expires_at > clock_timestamp() then l.crm_error_code end as crm_error_code,
  case when l.expires_at > clock_timestamp() then extract(epoch from clock_timestamp() - l.crm_seen_at)::float8 end as crm_seen_seconds,
  coalesce(l.expires_at > clock_timestamp() and l.pull_due_at < clock_timestamp() - interval '5 minutes', false) as pull_late
from sync.account a
cross join sync.leader l
cross join (
  select
    count(*) filter (where state in ('pending', 'sending', 'retry', 'unknown')) as queue_depth,
    min(changed_at) filter (where state in ('pending', 'sending', 'retry', 'unknown')) as oldest,
    count(*) filter (where state = 'parked') as parked,
    count(*) filter (where state = 'held') as held,
    count(*) filter (where state = 'unknown') as unknown,
    count(*) filter (where state = 'retry') as retry
  from sync.change_log
  where settled_at is null
) o;
--> statement-breakpoint
comment on column sync.status.crm_error_code is 'What the leader''s last call of the CRM ended with, where the CRM did not answer as it should. Null: it answered, or nothing is known.';
--> statement-breakpoint
comment on column sync.status.crm_seen_seconds is 'Since the last call that tells of the CRM. Null: there was none in the last minutes.';
--> statement-breakpoint
comment on column sync.status.pull_late is 'Whether a changes pull has been due for over five minutes and has not gone through.';
