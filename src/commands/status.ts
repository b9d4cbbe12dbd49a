/** `status`: how the mirror is going, from the view `sync.status`. */
import type { Status } from '../postgres/operator.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

export interface StatusOptions {
  readonly json: boolean;
}

export const showStatus = (io: Io, status: Status, { json }: StatusOptions): ExitCode => {
  if (json) io.out(JSON.stringify(status));
  else for (const line of describeStatus(status, paintFor(io))) io.out(line);
  return needsAttention(status) ? EXIT.attention : EXIT.done;
};

/** What exit code 3 says: something needs a person, or is not through yet. */
export const needsAttention = (status: Status): boolean => {
  const { parked, held, unknown, retry, open_conflicts: open, identity_hold: identity } = status;
  return parked + held + unknown + retry + open > 0 || identity !== null || isCut(status);
};

/** The leader cannot work with the CRM, and nobody has asked it to stand still. */
const isCut = ({ paused, crm_error_code: code, pull_late: late }: Status): boolean => !paused && (code !== null || late);

export type Paint = (style: keyof typeof STYLES, text: string) => string;
const STYLES = { good: 32, warn: 33, bad: 31, dim: 2, bold: 1 } as const;
export const paintFor =
  ({ outIsTerminal }: Io): Paint =>
  (style, text) =>
    outIsTerminal ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
const plain: Paint = (_style, text) => text;

/** Lines for people, the answer to "are we in step?" first, and what needs a person last. */
export const describeStatus = (status: Status, paint: Paint = plain): readonly string[] => {
  const verdict = inStep(status);
  const rows: readonly (readonly [string, string])[] = [
    ['in step', paint(verdict === 'yes' ? 'good' : 'warn', verdict)],
    ['daemon', status.leader ?? 'none is running'],
    ['contacts', status.contacts.toLocaleString('en')],
    ['edits to push', status.queue_depth === 0 ? 'none' : `${status.queue_depth}, the oldest for ${duration(status.push_lag_seconds)}`],
    ['changes pulled', status.pull_lag_seconds === null ? 'not yet' : `${duration(status.pull_lag_seconds)} ago`],
    ['all compared', ago(status.last_complete_sweep_at)],
    ['calls', describeCalls(status)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}`);
  const attention = attentionLines(status);
  return attention.length === 0 ? lines : [...lines, '', ...attention];
};

const describeCalls = ({ leader, budget_limit: limit, budget_used: used }: Status): string => {
  if (leader === null) return 'none';
  return limit === null ? 'not known yet' : `${(used ?? 0).toLocaleString('en')} of ${limit.toLocaleString('en')} in the last minute`;
};

/** The order of reasons is the dashboard's (src/admin/page/verdict.js). */
const inStep = (status: Status): string => {
  if (status.identity_hold !== null) return 'no: this is not the database, or the account, that it was; see below';
  if (status.paused) return 'no: paused; to go on: relate-mirror resume';
  if (status.crm_error_code !== null) return 'no: the CRM does not answer as it should, see below';
  if (!status.first_sweep_done) return 'not yet: the first full load is not complete';
  if (status.parked + status.held + status.open_conflicts > 0) return 'no: something needs a person, see below';
  if (status.leader === null && status.queue_depth > 0) return 'no: edits wait, and no daemon is running';
  if (status.leader === null) return 'it was: nothing waits here, but no daemon looks for changes';
  if (status.pull_late) return 'no: changes of the CRM arrive late, see below';
  if (status.queue_depth > 0) return 'not quite: edits are on their way';
  return 'yes';
};

/** One line for each thing that needs a person or waits, with where to look. */
export const attentionLines = (status: Status): readonly string[] => {
  const { parked, held, unknown, retry, open_conflicts: open, identity_hold: identity, crm_error_code: code } = status;
  const things: readonly (readonly [number, string, string])[] = [
    [parked, 'parked: refused, a person has to change something', 'select * from sync.parked;'],
    [held, 'held: destructive, a person has to approve', 'relate-mirror holds'],
    [open, 'in an open conflict: a person has to choose', 'relate-mirror conflicts'],
    [unknown, 'sent, with an unknown outcome: read before anything is repeated', "select * from sync.queue where state = 'unknown';"],
    [retry, 'waiting for another try', "select * from sync.queue where state = 'retry';"],
  ];
  const rows = things
    .filter(([howMany]) => howMany > 0)
    .map(([howMany, what, where]): readonly [string, string] => [`${howMany.toLocaleString('en')} ${what}`, where]);
  if (identity !== null)
    rows.unshift([
      'restored, cloned, failed over, or another CRM_URL: a person has to look',
      `select reason from sync.holds where id = ${identity};`,
    ]);
  const cut = code === null ? 'a pull of changes has been due for over five minutes' : `the CRM does not answer as it should: ${code}`;
  if (isCut(status)) rows.unshift([cut, 'relate-mirror doctor']);
  const width = Math.max(0, ...rows.map(([what]) => what.length));
  return rows.map(([what, where]) => `${what.padEnd(width)}  ${where}`);
};

export const count = (howMany: number, what: string, many = `${what}s`): string =>
  `${howMany.toLocaleString('en')} ${howMany === 1 ? what : many}`;

const ago = (at: Date | null): string => {
  if (at === null) return 'never';
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
};

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

const duration = (seconds: number): string => {
  const unit = UNITS.find(([length]) => seconds >= length);
  return unit === undefined ? `${seconds.toFixed(1)} s` : `${(seconds / unit[0]).toFixed(1)} ${unit[1]}`;
};
