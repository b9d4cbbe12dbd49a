/** What the doctor says: one line a check, with what to do about it. */

export type CheckState = 'ok' | 'warning' | 'problem';

export interface Line {
  /** Its name, for programs: stable. */
  readonly check: CheckName;
  readonly state: CheckState;
  readonly detail: string;
  /** What to do; null where nothing has to be done. */
  readonly remedy: string | null;
}

/** Every check with the group that it is shown in. */
export const CHECKS = {
  settings: 'settings',
  env_file: 'settings',
  node: 'settings',
  admin_api: 'settings',
  database: 'database',
  database_tls: 'database',
  server: 'database',
  server_safety: 'database',
  database_clock: 'database',
  connections: 'database',
  pooler: 'database',
  listen: 'database',
  transactions: 'database',
  replication_slots: 'database',
  two_phase: 'database',
  migrations: 'mirror',
  migration_lock: 'mirror',
  triggers: 'mirror',
  rights: 'mirror',
  storage: 'mirror',
  identity: 'mirror',
  leader: 'mirror',
  first_load: 'mirror',
  queue: 'mirror',
  brake: 'mirror',
  history: 'mirror',
  custom_fields: 'mirror',
  bi_columns: 'mirror',
  external_id_field: 'mirror',
  crm: 'CRM',
  crm_tls: 'CRM',
  crm_clock: 'CRM',
  token: 'CRM',
  visibility: 'CRM',
  capabilities: 'CRM',
  budget: 'CRM',
} as const;
export type CheckName = keyof typeof CHECKS;

export const ok = (check: CheckName, detail: string): Line => ({ check, state: 'ok', detail, remedy: null });
export const warning = (check: CheckName, detail: string, remedy: string): Line => ({ check, state: 'warning', detail, remedy });
export const problem = (check: CheckName, detail: string, remedy: string): Line => ({ check, state: 'problem', detail, remedy });

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(Math.abs(ms) < 9_950 ? 1 : 0)} s`;
export const number = (value: number): string => Math.round(value).toLocaleString('en');

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
export const bytes = (value: number): string => {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log(Math.max(1, value)) / Math.log(1024))));
  const scaled = value / 1024 ** power;
  return `${scaled < 10 && power > 0 ? scaled.toFixed(1) : Math.round(scaled)} ${UNITS[power]}`;
};
