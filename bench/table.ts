/** The table on screen: one line a figure. */
import { type Figure, holds, ratioOf, type Target } from './figures.ts';

const HEAD = ['figure', 'ours', 'beside', 'its figure', 'ratio', 'target', ''] as const;

/** Three digits, thousands apart: what the noise of a run leaves to be read. */
const toText = (value: number): string =>
  value === 0 ? '0' : Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString();

const withUnit = (value: number, unit: Figure['unit']): string => `${toText(value)} ${unit}`;

const targetText = ({ of, min, max }: Target): string => {
  const bound = min === undefined ? `≤ ${toText(max ?? 0)}` : `≥ ${toText(min)}`;
  return of === 'ratio' ? `ratio ${bound}` : bound;
};

const MARKS = { true: 'holds', false: 'MISSED', null: '' } as const;

const cellsOf = (figure: Figure): readonly string[] => {
  const ratio = ratioOf(figure);
  return [
    figure.name,
    withUnit(figure.ours, figure.unit),
    figure.than?.name ?? '',
    figure.than === undefined ? '' : withUnit(figure.than.value, figure.unit),
    ratio === null ? '' : toText(ratio),
    figure.target === undefined ? '' : targetText(figure.target),
    MARKS[`${holds(figure)}`],
  ];
};

/** Words to the left, numbers to the right. */
const RIGHT: ReadonlySet<number> = new Set([1, 3, 4]);

/** Lines without an end of line. */
export const toTable = (figures: readonly Figure[]): readonly string[] => {
  const rows = [HEAD, ...figures.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (RIGHT.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(HEAD), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.slice(1).map(line)];
};
