/** Whether a stack read what pg read: names, cells, and the language's types; rows in any order. */
import { canonical, type Baseline } from './cells.ts';
import type { Answer } from './protocol.ts';
import type { Stack } from './stacks.ts';

type Row = readonly (string | null)[];

const SHOWN = 3;

/** Columns of which pg itself read something else a moment later: how old the data is. */
const movingColumns = (before: Baseline, after: Baseline): ReadonlySet<number> => {
  const columnOf = ({ rows }: Baseline, at: number): string =>
    JSON.stringify(rows.map((row) => JSON.stringify(row[at])).toSorted((a, b) => (a < b ? -1 : 1)));
  return new Set(before.columns.flatMap((_, at) => (columnOf(before, at) === columnOf(after, at) ? [] : [at])));
};

const comparable = (
  rows: readonly Row[],
  families: Baseline['families'],
  moving: ReadonlySet<number>,
  isExact: boolean,
): readonly string[] =>
  rows
    .map((row) => JSON.stringify(row.flatMap((cell, at) => (moving.has(at) ? [] : [canonical(families[at] ?? null, cell, isExact)]))))
    .toSorted();

const differentTypes = (stack: Stack, baseline: Baseline, answer: Answer): readonly string[] =>
  baseline.families.flatMap((family, at) => {
    const column = baseline.columns[at] ?? '';
    if (family === null) return [`column ${column} is of a type that the four stacks do not read alike`];
    const wrong = (answer.kinds?.[at] ?? []).filter((kind) => !stack.kinds[family].includes(kind));
    return wrong.map((kind) => `column ${column}: ${family} came as ${kind}`);
  });

/** @returns what is not as pg read it, before and after the stack did */
export const differencesTo = (stack: Stack, answer: Answer, before: Baseline, after: Baseline): readonly string[] => {
  if (answer.error !== undefined) return [answer.error];
  const [names, expected] = [answer.columns ?? [], before.columns];
  if (names.join() !== expected.join()) return [`columns ${names.join(', ')} instead of ${expected.join(', ')}`];
  const rows = answer.rows ?? [];
  if (rows.length !== before.rows.length) return [`${rows.length} rows instead of ${before.rows.length}`];
  const moving = movingColumns(before, after);
  const [read, wanted] = [rows, before.rows].map((side) => comparable(side, before.families, moving, stack.isExact));
  const wrong = (read ?? []).flatMap((row, at) => (row === wanted?.[at] ? [] : [`${row} instead of ${wanted?.[at]}`]));
  return [...differentTypes(stack, before, answer), ...wrong.slice(0, SHOWN)];
};
