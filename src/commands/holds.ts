/** `holds`: what waits for an approval, readable, and the decision about it. */
import { LINES_SHOWN, type Decisions, type HoldRow, type PlanLine } from '../postgres/decisions.ts';
import type { Json } from './control.ts';
import { EXIT, Told, type ExitCode, type Io } from './io.ts';

export const listHolds = async (io: Io, decisions: Decisions, { json }: Json): Promise<ExitCode> => {
  const holds = await decisions.openHolds();
  for (const hold of holds) {
    if (json) io.out(JSON.stringify(hold));
    else for (const line of describeHold(hold)) io.out(line);
  }
  if (holds.length === 0) io.err('Nothing is held.');
  return holds.length === 0 ? EXIT.done : EXIT.attention;
};

export const decideHold = async (
  io: Io,
  decisions: Decisions,
  holdId: number,
  how: 'approve' | 'reject',
  { json }: Json,
): Promise<ExitCode> => {
  const refusal = await decisions.decideHold(holdId, how);
  if (refusal !== null) throw new Told(`Nothing was decided: ${refusal}.`);
  if (json) io.out(JSON.stringify({ hold_id: holdId, state: how === 'approve' ? 'approved' : 'rejected' }));
  else
    io.err(
      how === 'approve' ? `Hold ${holdId} is approved: each contact is looked at again, and then done.` : `Hold ${holdId} is rejected.`,
    );
  return EXIT.done;
};

const OF = { push: 'from the mirror into the CRM', pull: 'from the CRM into the mirror' } as const;
const MEANS = {
  push: ['does it in the CRM, each contact proven again', 'undoes it in the mirror'],
  pull: ['does it in the mirror, each contact proven again', 'keeps the rows as they are; what was emptied goes back to the CRM'],
} as const;

/** A restored database, or another address of the CRM. */
const MEANS_IDENTITY = {
  push: ["says that this database is the mirror's own, and lets the push go", 'undoes the held deletions; the push stays stopped'],
  pull: ['says that both addresses lead to the same account', 'leaves everything stopped'],
} as const;

/** The plan at a glance: what, how much, the first lines, and what to type. */
const describeHold = (hold: HoldRow): readonly string[] => {
  const { id, direction, rows, reason, created_at: since, counts, first } = hold;
  const lines = first.map((line) => [nameOf(line), line.op ?? '', takes(line)] as const);
  const widths = [0, 1].map((column) => Math.max(0, ...lines.map((cells) => (cells[column] ?? '').length)));
  const [approves, rejects] = (hold.cause === 'identity' ? MEANS_IDENTITY : MEANS)[direction];
  return [
    `Hold ${id}: ${rows.toLocaleString('en')} ${rows === 1 ? 'contact' : 'contacts'}, ${OF[direction]}, since ${minute(since)} UTC`,
    `  ${reason}`,
    `  ${Object.entries(counts)
      .map(([op, contacts]) => `${op} ${contacts.toLocaleString('en')}`)
      .join(', ')}`,
    ...lines.map(([name, op, what]) => `    ${name.padEnd(widths[0] ?? 0)}  ${op.padEnd(widths[1] ?? 0)}  ${what}`.trimEnd()),
    ...(rows > LINES_SHOWN
      ? [`    … and ${(rows - LINES_SHOWN).toLocaleString('en')} more: select plan from sync.holds where id = ${id};`]
      : []),
    `  relate-mirror holds approve ${id}   ${approves}`,
    `  relate-mirror holds reject ${id}    ${rejects}`,
    '',
  ];
};

const nameOf = ({ contact_id: id, crm_id: crmId }: PlanLine): string => `contact ${id ?? '?'}${crmId === null ? '' : ` (CRM ${crmId})`}`;

const takes = ({ fields = [], links = {} }: PlanLine): string => {
  const removed = Object.entries(links).map(([kind, ids]) => `${kind} ${ids.join(', ')}`);
  return [
    ...(fields.length > 0 ? [`empties ${fields.join(', ')}`] : []),
    ...(removed.length > 0 ? [`unlinks ${removed.join('; ')}`] : []),
  ].join('; ');
};

const minute = (at: Date): string => at.toISOString().slice(0, 16).replace('T', ' ');
