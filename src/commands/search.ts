/** `search TERM`: the CRM's own search, as a table. */
import type { Crm } from '../ports/crm.ts';
import { explainCode } from './explain.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

const TAKE = 50;

export const runSearch = async (io: Io, crm: Crm, term: string, { json }: { readonly json: boolean }): Promise<ExitCode> => {
  const answer = await crm.search({ q: term, take: TAKE, order: { field: 'id', direction: 'asc' } }, { lane: 'edit', signal: io.signal });
  if (!answer.ok) {
    const { code, status, message } = answer.failure;
    // Without an answer the words are our own, and say more than the code.
    if (!io.signal.aborted) io.err(`The search failed: ${code}. ${status === null ? message : `${explainCode(code)}.`}`);
    return io.signal.aborted ? EXIT.done : EXIT.failed;
  }
  const { records } = answer.value;
  if (json) {
    for (const { crmId, fields } of records) io.out(JSON.stringify({ crm_id: crmId, ...fields }));
    return EXIT.done;
  }
  const rows = records.map(({ crmId, fields }) => [
    String(crmId),
    [fields.first_name, fields.last_name].filter((name) => name !== null).join(' '),
    fields.email ?? '',
    describePhones(fields.phones.map(({ number }) => number)),
  ]);
  if (rows.length > 0)
    for (const line of toTable(
      ['crm_id', 'name', 'email', 'phone'],
      rows.map((row) => row.map(printable)),
    ))
      io.out(line);
  io.err(describeCount(records.length));
  return EXIT.done;
};

const describePhones = ([first, ...others]: readonly string[]): string =>
  first === undefined ? '' : `${first}${others.length === 0 ? '' : ` (+${others.length})`}`;

/** A name may hold what a terminal would obey. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ');

const describeCount = (found: number): string => {
  if (found === TAKE) return `The first ${TAKE} matches; a longer term finds fewer.`;
  return found === 0 ? 'No match.' : `${found} ${found === 1 ? 'match' : 'matches'}.`;
};

const toTable = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)];
};
