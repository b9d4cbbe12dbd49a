/** `conflicts`: edits of the same field on both sides that a person decides. */
import type { ConflictRow, Decisions } from '../postgres/decisions.ts';
import type { Json } from './control.ts';
import { EXIT, Told, type ExitCode, type Io } from './io.ts';

/** Shown for people; `--json` gives all. */
const SHOWN = 20;
const WIDTH = 100;

export const listConflicts = async (io: Io, decisions: Decisions, { json }: Json): Promise<ExitCode> => {
  const conflicts = await decisions.openConflicts();
  if (json) for (const conflict of conflicts) io.out(JSON.stringify(conflict));
  else {
    for (const conflict of conflicts.slice(0, SHOWN)) for (const line of describeConflict(conflict)) io.out(line);
    if (conflicts.length > SHOWN) io.out(`… and ${conflicts.length - SHOWN} more: select * from sync.conflicts where state = 'open';`);
  }
  if (conflicts.length === 0) io.err('No conflict is open.');
  return conflicts.length === 0 ? EXIT.done : EXIT.attention;
};

export const resolveConflict = async (
  io: Io,
  decisions: Decisions,
  conflictId: number,
  choice: string,
  { json }: Json,
): Promise<ExitCode> => {
  const refusal = await decisions.resolveConflict(conflictId, choice);
  if (refusal !== null) throw new Told(`Nothing was decided: ${refusal}.`);
  if (json) io.out(JSON.stringify({ conflict_id: conflictId, state: 'decided' }));
  else io.err(`Conflict ${conflictId} is decided.`);
  return EXIT.done;
};

/** crm, mirror, or a value as JSON. */
export const isChoice = (text: string): boolean => {
  if (text === 'crm' || text === 'mirror') return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

const describeConflict = ({ id, contact_id: contactId, crm_id: crmId, field, base, local, remote }: ConflictRow): readonly string[] => [
  `Conflict ${id}: ${field === 'contact' ? 'the contact as a whole' : field} of contact ${contactId}${crmId === null ? '' : ` (CRM ${crmId})`}`,
  `  mirror  ${shown(local)}`,
  `  CRM     ${shown(remote)}`,
  `  before  ${shown(base)}`,
  `  relate-mirror conflicts resolve ${id} mirror`,
  `  relate-mirror conflicts resolve ${id} crm`,
  '',
];

/** As JSON, which no terminal takes for an order. */
const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'null';
  return text.length <= WIDTH ? text : `${text.slice(0, WIDTH - 1)}…`;
};
