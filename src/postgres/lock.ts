/**
 * The leader's lease: of any number of daemons on one database, one leads.
 *
 * A row, not a session lock: a frozen process or a dead host keeps its session's locks. The lease is renewed each second and valid for three,
 * by the database's clock; taking it raises the epoch, which every transaction of the mirror checks, and ends the sessions of the holder
 * before. The holder itself trusts its lease only for a shorter time, counted by its own monotonic clock from *before* the renewal was sent:
 * when it is asked right before a call, it is never surer than the database.
 */
import type { Clock, Log } from '../ports/ambient.ts';
import type { Lease, LeaseStatus } from '../ports/lease.ts';
import { createService } from '../ports/service.ts';
import { errorCode } from './connection.ts';
import { openSession, type Session } from './session.ts';

/** What the renewals carry into sync.leader, for sync.status. */
export interface LeaseReport {
  /** Null leaves the column as it is, here and for the budget. */
  readonly lastPullAt: Date | null;
  readonly budgetLimit: number | null;
  readonly budgetUsed: number | null;
  /** How long a pull has been due that has not gone through; as a span, since our clock is not the database's. */
  readonly pullDueSeconds: number | null;
  /** Of the last call; null where the CRM answered, or where nothing is known. */
  readonly crmErrorCode: string | null;
  readonly crmSeenSeconds: number | null;
}

export interface LeaseOptions {
  /** A direct connection. */
  readonly connectionString: string;
  /** Names this daemon, in sync.status too. Sessions named `relate-mirror <holder>` are ended when the lease is taken from it. */
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked at each renewal. */
  readonly report?: () => LeaseReport;
  /** Called at each change of the status; must not throw. */
  readonly onChange?: (status: LeaseStatus) => void;
}

const LEASE_MS = 3_000;
const MARGIN_MS = 500;
const RENEW_MS = 1_000;
const WATCH_MS = 100;
const LOCK_TIMEOUT_MS = 500;
const STATEMENT_TIMEOUT_MS = 1_000;
/** A renewal that goes unanswered leaves time for another, on a new connection, before the lease is over. */
const ANSWER_TIMEOUT_MS = 1_200;

const LOOK = `select holder, expires_at is null or expires_at <= clock_timestamp() as free from sync.leader`;
/** A session that began after the holder's last renewal is not the holder's, though it may have got the same number or name. */
const END_OLD_SESSIONS = `
select pg_terminate_backend(a.pid)
from pg_stat_activity a join sync.leader l on a.pid = l.backend_pid or a.application_name = left('relate-mirror ' || l.holder, 63)
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_start <= l.renewed_at and l.expires_at <= clock_timestamp()`;
const TAKE = `
update sync.leader set holder = $1, epoch = epoch + 1, backend_pid = pg_backend_pid(), renewed_at = clock_timestamp(),
  expires_at = clock_timestamp() + $2 * interval '1 millisecond', pull_due_at = null, crm_error_code = null, crm_seen_at = null
where expires_at is null or expires_at <= clock_timestamp()
returning epoch`;
const RENEW = `
update sync.leader set backend_pid = pg_backend_pid(), renewed_at = clock_timestamp(),
  expires_at = clock_timestamp() + $2 * interval '1 millisecond',
  last_pull_at = coalesce($3, last_pull_at), budget_limit = coalesce($4, budget_limit), budget_used = coalesce($5, budget_used),
  pull_due_at = clock_timestamp() - $6 * interval '1 second', crm_error_code = $7, crm_seen_at = clock_timestamp() - $8 * interval '1 second'
where epoch = $1
returning epoch`;
const RELEASE = `update sync.leader set holder = null, backend_pid = null, expires_at = clock_timestamp(), last_pull_at = coalesce($2, last_pull_at) where epoch = $1`;

const NO_REPORT: LeaseReport = {
  lastPullAt: null,
  budgetLimit: null,
  budgetUsed: null,
  pullDueSeconds: null,
  crmErrorCode: null,
  crmSeenSeconds: null,
};

/** One time of leading. */
interface Term {
  readonly epoch: number;
  /** On our monotonic clock. */
  readonly validUntilMs: number;
}

/** What this process believes of its lease, without asking anybody. */
interface Standing {
  readonly term: () => Term | null;
  readonly status: () => LeaseStatus;
  readonly holds: () => boolean;
  readonly handlers: Set<(status: LeaseStatus) => void>;
  /** Leads, or goes on leading; counted from before the statement was sent. */
  lead(epoch: number, sentMs: number): void;
  /** Does not lead. */
  become(status: Exclude<LeaseStatus, { readonly state: 'leading' }>): void;
  /** Stops believing at once, and tells nobody yet. */
  letGo(): void;
}

const createStanding = ({ clock, log, onChange }: LeaseOptions): Standing => {
  const handlers = new Set(onChange === undefined ? [] : [onChange]);
  let term: Term | null = null;
  let status: LeaseStatus = { state: 'stopped' };
  const change = (next: LeaseStatus): void => {
    if (JSON.stringify(next) === JSON.stringify(status)) return;
    if (next.state === 'leading') log.info({ epoch: next.epoch }, 'leading');
    else if (status.state === 'leading') log.info({ epoch: status.epoch, state: next.state }, 'no longer leading');
    status = next;
    handlers.forEach((handler) => handler(next));
  };
  return {
    term: () => term,
    status: () => status,
    holds: () => term !== null && clock.monotonicMs() < term.validUntilMs,
    handlers,
    lead: (epoch, sentMs) => {
      term = { epoch, validUntilMs: sentMs + LEASE_MS - MARGIN_MS };
      change({ state: 'leading', epoch });
    },
    become: (next) => {
      term = null;
      change(next);
    },
    letGo: () => (term = null),
  };
};

/** Keeps one connection, and on it the lease: takes it where it is free, renews it while it is ours, gives it back at the end. */
const createKeeper = ({ connectionString, clock, log, holder, report }: LeaseOptions, standing: Standing) => {
  const connection = {
    connectionString,
    applicationName: `relate-mirror ${holder}`,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    answerTimeoutMs: ANSWER_TIMEOUT_MS,
  };

  const take = async (session: Session): Promise<void> => {
    const [row] = await session.query<{ holder: string | null; free: boolean }>(LOOK);
    if (row?.free !== true) return standing.become({ state: 'standby', leader: row?.holder ?? null });
    try {
      await session.query(END_OLD_SESSIONS);
    } catch (error) {
      log.info({ code: errorCode(error) }, 'the sessions of the leader before could not be ended');
    }
    const sentMs = clock.monotonicMs();
    const [taken] = await session.query<{ epoch: number }>(TAKE, [holder, LEASE_MS]);
    if (taken === undefined) standing.become({ state: 'standby', leader: null });
    else standing.lead(taken.epoch, sentMs);
  };

  const renew = async (session: Session, held: Term): Promise<void> => {
    const { lastPullAt, budgetLimit, budgetUsed, pullDueSeconds, crmErrorCode, crmSeenSeconds } = report?.() ?? NO_REPORT;
    const sentMs = clock.monotonicMs();
    const told = [lastPullAt, budgetLimit, budgetUsed, pullDueSeconds, crmErrorCode, crmSeenSeconds];
    const rows = await session.query(RENEW, [held.epoch, LEASE_MS, ...told]);
    if (rows.length === 0) standing.become({ state: 'standby', leader: null });
    // What ran out while the answer was on its way was given up aloud: it is not taken back in silence.
    else if (standing.term()?.epoch === held.epoch) standing.lead(held.epoch, sentMs);
  };

  const keep = async (session: Session, signal: AbortSignal): Promise<void> => {
    const gone = new AbortController();
    void session.ended.then(() => gone.abort());
    while (!signal.aborted) {
      const held = standing.term();
      await (held === null ? take(session) : renew(session, held));
      await clock.sleep(RENEW_MS, AbortSignal.any([signal, gone.signal]));
    }
    const held = standing.term();
    if (held === null) return;
    // From here on nothing is sent any more; only then may somebody else begin.
    standing.letGo();
    await session.query(RELEASE, [held.epoch, report?.().lastPullAt ?? null]);
  };

  return async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      let session: Session | null = null;
      try {
        if (standing.term() === null) standing.become({ state: 'connecting' });
        session = await openSession(connection, signal);
        await keep(session, signal);
      } catch (error) {
        if (!signal.aborted) log.warn({ code: errorCode(error) }, 'the lease could not be seen to; reconnecting');
      } finally {
        await session?.close();
      }
      if (!signal.aborted) await clock.sleep(WATCH_MS, signal);
    }
    standing.become({ state: 'stopped' });
  };
};

export const createLease = (options: LeaseOptions): Lease => {
  const standing = createStanding(options);
  const keeper = createKeeper(options, standing);
  /** Says that the lease is over even while a renewal or a connection hangs. */
  const watch = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await options.clock.sleep(WATCH_MS, signal);
      if (!signal.aborted && standing.term() !== null && !standing.holds()) standing.become({ state: 'connecting' });
    }
  };
  return {
    ...createService(async (signal) => void (await Promise.all([keeper(signal), watch(signal)]))),
    epoch: () => standing.term()?.epoch ?? null,
    holds: standing.holds,
    status: standing.status,
    onChange: (handler) => {
      standing.handlers.add(handler);
      return () => void standing.handlers.delete(handler);
    },
  };
};
