/** The doctor's lines: grouped and aligned for people, one JSON object a line for programs. */
import type { Io } from '../io.ts';
import { count, paintFor, type Paint } from '../status.ts';
import { wrapText } from '../wrap.ts';
import { CHECKS, type CheckState, type Line } from './line.ts';

export interface Printer {
  readonly show: (lines: readonly Line[]) => void;
  /** How many of each, for people. */
  sum(): void;
  hasProblem(): boolean;
}

const NAME_WIDTH = Math.max(...Object.keys(CHECKS).map((name) => name.length));
const STATE_WIDTH = 'problem'.length;
const INDENT = 2;
const DETAIL_AT = INDENT + STATE_WIDTH + 2 + NAME_WIDTH + 2;
/** Lines that are longer are hard to read, however wide the terminal. */
const DETAIL_WIDTH_MIN = 40;
const DETAIL_WIDTH_MAX = 100;
const STYLES = { ok: 'good', warning: 'warn', problem: 'bad' } as const satisfies { readonly [S in CheckState]: string };

export const createPrinter = (io: Io, { json }: { readonly json: boolean }): Printer => {
  const paint = paintFor(io);
  const counts = { ok: 0, warning: 0, problem: 0 };
  let group = '';
  return {
    show: (lines) => {
      for (const line of lines) {
        counts[line.state] += 1;
        if (json) {
          io.out(JSON.stringify(line));
          continue;
        }
        if (CHECKS[line.check] !== group) {
          if (group !== '') io.out('');
          group = CHECKS[line.check];
          io.out(paint('bold', group));
        }
        for (const text of toText(line, paint, io.columns)) io.out(text);
      }
    },
    sum: () => {
      if (json) return;
      const problems = counts.problem === 0 ? 'no problem' : count(counts.problem, 'problem');
      const warnings = counts.warning === 0 ? '' : `, ${count(counts.warning, 'warning')}`;
      io.out('');
      io.out(paint(counts.problem > 0 ? 'bad' : 'good', `${problems}${warnings}, ${counts.ok} ok`));
    },
    hasProblem: () => counts.problem > 0,
  };
};

const toText = ({ check, state, detail, remedy }: Line, paint: Paint, columns: number): readonly string[] => {
  const width = Number.isFinite(columns) ? Math.min(DETAIL_WIDTH_MAX, Math.max(DETAIL_WIDTH_MIN, columns - DETAIL_AT)) : columns;
  const [first = '', ...others] = wrapText(detail, width);
  const head = `${' '.repeat(INDENT)}${paint(STYLES[state], state.padEnd(STATE_WIDTH))}  ${check.padEnd(NAME_WIDTH)}  ${first}`;
  const margin = ' '.repeat(DETAIL_AT);
  const told = remedy === null ? [] : wrapText(remedy, width - 2).map((text, at) => `${margin}${at === 0 ? '→ ' : '  '}${text}`);
  return [head, ...others.map((text) => `${margin}${text}`), ...told.map((text) => paint('dim', text))];
};
