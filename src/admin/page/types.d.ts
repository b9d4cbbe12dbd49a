/** What the daemon answers, as far as this page reads it. Names are those of the SQL views. */

export interface Status {
  readonly leader: string | null;
  readonly paused: boolean;
  readonly pull_lag_seconds: number | null;
  readonly push_lag_seconds: number;
  readonly queue_depth: number;
  readonly last_complete_sweep_at: string | null;
  readonly budget_limit: number | null;
  readonly budget_used: number | null;
  readonly parked: number;
  readonly held: number;
  readonly unknown: number;
  readonly open_conflicts: number;
  readonly retry: number;
  readonly contacts: number;
  readonly first_sweep_done: boolean;
  readonly identity_hold: number | null;
  /** What the leader's last call of the CRM ended with; null: it was answered, or nothing is known. */
  readonly crm_error_code: string | null;
  readonly crm_seen_seconds: number | null;
  readonly pull_late: boolean;
}

export interface Run {
  readonly id: number;
  readonly kind: string;
  readonly state: 'requested' | 'running' | 'done' | 'partial' | 'failed';
  readonly with_links: boolean;
  readonly requested_at: string | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly rows_seen: number;
  readonly rows_written: number;
  readonly calls: number;
  readonly expected: number | null;
  readonly pass: number | null;
  readonly error: string | null;
  /** Contacts that still have to be read one by one; told of the run that goes on. */
  readonly marks?: number;
}

export interface Parked {
  readonly direction: 'push' | 'pull';
  readonly change_id: number | null;
  readonly contact_id: number | null;
  readonly crm_id: number | null;
  readonly op: string | null;
  readonly fields: readonly string[] | null;
  readonly error_code: string;
  /** Left out for those who may not see values. */
  readonly error?: string | null;
  readonly attempts: number | null;
  readonly since: string;
}

export interface PlanLine {
  readonly contact_id?: number | null;
  readonly crm_id?: number | null;
  readonly op?: string | null;
  readonly fields?: readonly string[];
  readonly links?: { readonly [kind: string]: readonly number[] };
}

export interface Hold {
  readonly id: number;
  readonly direction: 'push' | 'pull';
  readonly cause: string;
  readonly reason: string;
  readonly rows: number;
  /** The first lines of what waits; `plan_lines` are all of them. */
  readonly plan: readonly PlanLine[];
  readonly plan_lines: number;
  /** How many of all lines, by op. */
  readonly counts: { readonly [op: string]: number };
  readonly state: string;
  readonly created_at: string;
}

export interface Conflict {
  readonly id: number;
  readonly contact_id: number;
  readonly crm_id: number | null;
  readonly field: string;
  /** The values are left out for those who may not see them. */
  readonly base?: unknown;
  readonly local?: unknown;
  readonly remote?: unknown;
  readonly state: string;
  readonly at: string;
}

export interface Calls {
  readonly minute: string;
  readonly endpoint: string;
  readonly outcome: string;
  readonly calls: number;
}

export interface Rows {
  readonly minute: string;
  readonly direction: 'push' | 'pull';
  readonly outcome: string;
  readonly rows: number;
}

export interface Session {
  readonly admin: boolean;
  readonly admin_configured: boolean;
}
