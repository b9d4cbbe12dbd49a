/** Drills as a person reads them. */
import type { Drill, Outcome } from './drill.ts';

export interface Held {
  readonly drill: Drill;
  readonly outcome: Outcome;
  readonly seconds: number;
}

const HEAD = ['drill', 'outcome', 'alert fired', 'after s', 'in step after s', 'took s', 'seen'] as const;

const secondsOf = (seconds: number | null): string => (seconds === null ? '–' : seconds.toFixed(1));

const lineOf = ({ drill, outcome, seconds }: Held): readonly string[] => [
  drill.name,
  outcome.skipped === undefined ? (outcome.violations.length === 0 ? 'ok' : `${outcome.violations.length} BROKEN`) : 'not held',
  outcome.alertSeconds === null ? '–' : drill.alerts.join(' or '),
  secondsOf(outcome.alertSeconds),
  secondsOf(outcome.recoverySeconds),
  seconds.toFixed(0),
  outcome.skipped ?? outcome.notes.join(' · '),
];

export const drillTable = (held: readonly Held[]): string => {
  const cells = [HEAD, ...held.map(lineOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const isNumber = (column: number): boolean => column >= 3 && column <= 5;
  const lines = cells.map((line) =>
    line
      .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  const broken = held.flatMap(({ drill, outcome }) => outcome.violations.map((violation) => `BROKEN in ${drill.name}: ${violation}`));
  return ['', ...lines, ...(broken.length > 0 ? ['', ...broken] : [])].join('\n');
};
