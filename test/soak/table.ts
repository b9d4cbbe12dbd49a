/** Verdicts as a person reads them: one line each, what was counted, and every broken promise in full. */
import type { Verdict } from './verdict.ts';

const HEAD = ['what', 'seed', 'runs', 'violations', 'seconds'] as const;

const lineOf = ({ name, seed, runs, violations, ms }: Verdict): readonly string[] => [
  name,
  String(seed),
  String(runs),
  String(violations.length),
  String(Math.round(ms / 1_000)),
];

export const tableOf = (verdicts: readonly Verdict[]): string => {
  const cells = [HEAD, ...verdicts.map(lineOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const table = cells.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '),
  );
  const figures = verdicts.map(
    ({ name, figures }) =>
      `${name}: ${Object.entries(figures)
        .map(([what, value]) => `${what} ${value}`)
        .join(' · ')}`,
  );
  const broken = verdicts.flatMap(({ name, violations }) => violations.map((violation) => `BROKEN in ${name}: ${violation}`));
  return ['', ...table, '', ...figures, ...(broken.length > 0 ? ['', ...broken] : [])].join('\n');
};
