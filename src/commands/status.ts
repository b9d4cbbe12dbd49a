/** `status`: how the mirror is going, from the view `sync.status`. */
import type { Status } from '../postgres/operator.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

export interface StatusOptions {
  readonly json: boolean;
}

export const showStatus = (io: Io, status: Status, { json }: StatusOptions): ExitCode => {
  if (json) io.out(JSON.stringify(status));
  else for (const line of describeStatus(status)) io.out(line);
  const { parked, held, unknown, retry, open_conflicts: open } = status;
  return parked + held + unknown + retry + open > 0 ? EXIT.attention : EXIT.done;
};

/** Lines for people, the answer to "are we in step?" first. */
export const describeStatus = (status: Status): readonly string[] => {
  const rows: readonly (readonly [string, string])[] = [
    ['in step', inStep(status)],
    ['contacts', status.contacts.toLocaleString('en')],
    ['leader', status.leader ?? 'no daemon is running'],
    ['last pull', status.pull_lag_seconds === null ? 'not since this leader started' : `${duration(status.pull_lag_seconds)} ago`],
    ['waiting edits', status.queue_depth === 0 ? 'none' : `${status.queue_depth}, the oldest for ${duration(status.push_lag_seconds)}`],
    ['last complete sweep', status.last_complete_sweep_at?.toISOString() ?? 'never'],
    ['call budget', status.budget_limit === null ? 'not known yet' : `${status.budget_used ?? 0} of ${status.budget_limit} a minute`],
    ['parked', count(status.parked, 'see sync.parked')],
    ['held', count(status.held, 'see sync.holds')],
    ['unknown', count(status.unknown, 'see sync.queue')],
    ['open conflicts', count(status.open_conflicts, 'see sync.conflicts')],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
};

const inStep = (status: Status): string => {
  if (status.paused) return 'paused: select sync.resume()';
  if (!status.first_sweep_done) return 'not yet: the first full load is not complete';
  if (status.parked + status.held + status.open_conflicts > 0) return 'no: something needs a person, see below';
  if (status.queue_depth > 0) return 'not quite: edits are on their way';
  return 'yes';
};

const count = (value: number, where: string): string => (value === 0 ? '0' : `${value}: ${where}`);

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

export const duration = (seconds: number): string => {
  const unit = UNITS.find(([length]) => seconds >= length);
  return unit === undefined ? `${seconds.toFixed(1)} s` : `${(seconds / unit[0]).toFixed(1)} ${unit[1]}`;
};
