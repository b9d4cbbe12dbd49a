/** `search TERM`: the CRM's own search, as a table. */
import type { Crm } from '../ports/crm.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

const TAKE = 50;

export const runSearch = async (io: Io, crm: Crm, term: string, { json }: { readonly json: boolean }): Promise<ExitCode> => {
  const answer = await crm.search({ q: term, take: TAKE, order: { field: 'id', direction: 'asc' } }, { lane: 'edit', signal: io.signal });
  if (!answer.ok) {
    io.err(
      `The CRM did not answer the search: ${answer.failure.code}${answer.failure.status === null ? '' : ` (HTTP ${answer.failure.status})`}`,
    );
    return EXIT.failed;
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
    fields.phones.map(({ number }) => number).join(', '),
  ]);
  for (const line of toTable(['crm_id', 'name', 'email', 'phones'], rows)) io.out(line);
  io.err(records.length === TAKE ? `The first ${TAKE} matches.` : `${records.length} ${records.length === 1 ? 'match' : 'matches'}.`);
  return EXIT.done;
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
