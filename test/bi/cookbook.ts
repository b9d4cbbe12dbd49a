/**
 * The cookbook of docs/bi.md as data: each question with its SQL and the answer that stands under it. Read by the test that runs them, by the
 * script that writes the answers anew, and by the bench that measures them.
 *
 * A question is a heading `### 7. Which contacts …?`, then one fence of SQL, which is one statement, then one table, its answer. An empty cell is
 * null. Columns are those of the answer, in its order.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cellsOf, parseDocument } from '../docs/markdown.ts';

export interface Question {
  /** From 1 on, as in its heading. */
  readonly number: number;
  /** Without the number. */
  readonly title: string;
  /** Of the heading, as GitHub makes it. */
  readonly anchor: string;
  /** One statement, without its semicolon. */
  readonly sql: string;
  readonly columns: readonly string[];
  /** Text as Postgres writes it, but `true` and `false`; null where the cell is empty. */
  readonly rows: readonly Row[];
  /** The prose around them. */
  readonly text: string;
}
export type Row = readonly (string | null)[];
export interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

export const COOKBOOK = path.join(import.meta.dirname, '..', '..', 'docs', 'bi.md');

const QUESTION = /^### (\d+)\. (.+)$/;
const FENCE = /```sql\n([\s\S]*?)```\n/;
const TABLE = /(?:^\|.*\|\n)+/m;

/** The document from each question's heading to the next heading; what stands before the first question comes first. */
const split = (text: string): readonly string[] => text.split(/^(?=#{1,3} )/m);

const cellOf = (text: string): string | null => (text === '' ? null : text.replaceAll(String.raw`\|`, '|'));

const parseQuestion = (section: string, anchors: ReadonlyMap<string, string>): readonly Question[] => {
  const [, number, title] = QUESTION.exec(section.slice(0, section.indexOf('\n'))) ?? [];
  if (number === undefined || title === undefined) return [];
  const fence = FENCE.exec(section);
  if (fence === null) throw new Error(`docs/bi.md: question ${number} has no SQL`);
  const after = section.slice(fence.index + fence[0].length);
  const lines = (TABLE.exec(after)?.[0] ?? '').trimEnd().split('\n').map(cellsOf);
  return [
    {
      number: Number(number),
      title,
      anchor: anchors.get(`${number}. ${title}`) ?? '',
      sql: (fence[1] ?? '').trim().replace(/;$/, ''),
      columns: lines[0] ?? [],
      rows: lines.slice(2).map((cells) => cells.map(cellOf)),
      text: section.slice(section.indexOf('\n') + 1, fence.index) + after.replace(TABLE, ''),
    },
  ];
};

export const parseCookbook = (text: string): readonly Question[] => {
  const anchors = new Map(parseDocument('docs/bi.md', text).headings.map((heading) => [heading.text, heading.anchor]));
  return split(text).flatMap((section) => parseQuestion(section, anchors));
};

/** The questions of docs/bi.md, in their order. @throws Error for a question without SQL */
export const readCookbook = (): readonly Question[] => parseCookbook(readFileSync(COOKBOOK, 'utf8'));

const lineOf = (cells: Row): string => `| ${cells.map((cell) => (cell ?? '').replaceAll('|', String.raw`\|`)).join(' | ')} |\n`;
const tableOf = ({ columns, rows }: Answer): string => [lineOf(columns), lineOf(columns.map(() => '---')), ...rows.map(lineOf)].join('');

/** The same document with these answers; prettier aligns them. */
export const withAnswers = (text: string, answers: ReadonlyMap<number, Answer>): string =>
  split(text)
    .map((section) => {
      const answer = answers.get(Number(QUESTION.exec(section.split('\n')[0] ?? '')?.[1]));
      const fence = FENCE.exec(section);
      if (answer === undefined || fence === null) return section;
      const end = fence.index + fence[0].length;
      const [before, after] = [section.slice(0, end), section.slice(end)];
      return before + (TABLE.test(after) ? after.replace(TABLE, () => tableOf(answer)) : `\n${tableOf(answer)}${after}`);
    })
    .join('');

export const writeAnswers = (answers: ReadonlyMap<number, Answer>): void =>
  writeFileSync(COOKBOOK, withAnswers(readFileSync(COOKBOOK, 'utf8'), answers));
