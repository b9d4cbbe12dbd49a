/** The table of timings in docs/bi.md, between its two marks. */
import type { Machine } from '../machine.ts';
import type { PlanShape } from './plan.ts';

export interface Asked {
  readonly number: number;
  readonly title: string;
  /** Median. */
  readonly warmMs: number;
  readonly firstMs: number;
  /** Of the answer. */
  readonly rows: number;
  readonly plan: PlanShape;
}

const MARKED = /(<!-- timings: [^\n]* -->\n)[\s\S]*?(<!-- end of the timings -->)/;

const size = (megabytes: number | null): string =>
  megabytes === null ? '' : megabytes >= 1000 ? `${(megabytes / 1024).toFixed(1)} GB` : `${Math.max(1, Math.round(megabytes))} MB`;
const howOf = ({ workers, wholeTables, indexes }: PlanShape): string =>
  [
    ...(workers > 0 ? [`${workers + 1} processes`] : []),
    ...(wholeTables.length > 0 ? [`all of ${wholeTables.map((name) => `\`${name}\``).join(', ')}`] : []),
    ...indexes.map((name) => `\`${name}\``),
  ].join('; ');
const milliseconds = (ms: number): string => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en'));

interface Timings {
  readonly asked: readonly Asked[];
  readonly contacts: number;
  readonly machine: Machine;
  /** Of the machine, in the end: what others do is in every figure. */
  readonly load: number;
}

/** The document with these timings; prettier aligns them. @throws Error where the marks are missing */
export const withTimings = (text: string, { asked, contacts, machine, load }: Timings): string => {
  if (!MARKED.test(text)) throw new Error('docs/bi.md has no marks for the timings.');
  const lines = [
    `${contacts.toLocaleString('en')} contacts on ${machine.cores} cores of ${machine.cpu}, ${machine.memoryGiB} GiB, PostgreSQL ${machine.postgres['server_version'] ?? '?'}`,
    `with shared_buffers ${machine.postgres['shared_buffers'] ?? '?'}; the median of five, and the first time in a new session. Load of the machine: ${load}.`,
    '',
    '| question | warm | first | rows | reads | how |',
    '| --- | --: | --: | --: | --: | --- |',
    ...asked.map(
      ({ number, title, warmMs, firstMs, rows, plan }) =>
        `| ${number}. ${title} | ${warmMs > 200 ? `**${milliseconds(warmMs)} ms**` : `${milliseconds(warmMs)} ms`} | ${milliseconds(firstMs)} ms | ${rows.toLocaleString('en')} | ${size(plan.megabytes)} | ${howOf(plan)} |`,
    ),
  ];
  return text.replace(MARKED, (_whole, begin: string, end: string) => `${begin}\n${lines.join('\n')}\n\n${end}`);
};
