/**
 * What the admin API asks of the mirror's database, whoever leads: how it is going, and the decisions that people make. The requests are the
 * functions of schema `sync` that anybody with the right may call in SQL, and so do the same.
 */

/** A row under the column names of its SQL view; timestamps are Dates. */
export type Item = { readonly [column: string]: unknown };

/** `sync.status`, and what only metrics want to know. */
export interface Overview {
  /** The columns of `sync.status`. */
  readonly status: Item & {
    readonly leader: string | null;
    readonly paused: boolean;
    readonly pull_lag_seconds: number | null;
    readonly push_lag_seconds: number;
    readonly queue_depth: number;
    readonly budget_limit: number | null;
    readonly budget_used: number | null;
    readonly parked: number;
    readonly held: number;
    readonly unknown: number;
    readonly open_conflicts: number;
    readonly retry: number;
    readonly contacts: number;
    readonly identity_hold: number | null;
    readonly crm_error_code: string | null;
    readonly crm_seen_seconds: number | null;
    readonly pull_late: boolean;
  };
  /** Age of the oldest edit that no attempt has taken yet; 0 where there is none. */
  readonly oldestPendingSeconds: number;
  readonly holdsOpen: number;
  /** Null before the first complete sweep. */
  readonly sweepAgeSeconds: number | null;
}

export type Run = Item & { readonly id: number; readonly state: string };

export interface ListQuery {
  /** 1 to 100. */
  readonly limit: number;
  /** Only those in this state. */
  readonly state: string | null;
}

export interface PoolCounts {
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/** Each rejects with OperationRefused for what the database refuses or cannot do now. */
export interface Operations {
  /** Resolves when the database answers. */
  ping(): Promise<void>;
  overview(): Promise<Overview>;
  /** The runs that go on, and these, in the order of their ids. */
  runsUnderWay(andIds: readonly number[]): Promise<readonly Run[]>;
  runs(query: ListQuery): Promise<readonly Item[]>;
  parked(query: ListQuery): Promise<readonly Item[]>;
  holds(query: ListQuery): Promise<readonly Item[]>;
  conflicts(query: ListQuery): Promise<readonly Item[]>;
  /** `sync.calls` of the last minutes, oldest first. */
  calls(minutes: number): Promise<readonly Item[]>;

  /** Answers the run's id. */
  requestResync(withLinks: boolean): Promise<number>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** All or, where one is not there or is held, none. */
  retry(changeIds: readonly number[]): Promise<number>;
  retryAll(): Promise<number>;
  decideHold(holdId: number, how: 'approve' | 'reject'): Promise<void>;
  /** `crm`, `mirror`, or a value as JSON. */
  resolveConflict(conflictId: number, choice: string): Promise<void>;
  /** Of the connections that the sync runs on. */
  pool(): PoolCounts;
}

export type RefusalKind =
  /** No such hold, conflict or edit. */
  | 'not_found'
  /** Decided already, or not to be decided here. */
  | 'conflict'
  /** The field cannot hold this value. */
  | 'invalid'
  /** A lock did not come free in time. */
  | 'busy'
  /** The database does not answer. */
  | 'unavailable'
  /** It was asked, and did not answer: it may have been done. */
  | 'unknown';

/** The message is for whoever asked: it quotes nothing but what was asked. */
export class OperationRefused extends Error {
  override readonly name = 'OperationRefused';
  readonly kind: RefusalKind;
  constructor(kind: RefusalKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
