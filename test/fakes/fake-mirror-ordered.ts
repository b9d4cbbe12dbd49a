/** Steps of WRITE_MODE=ordered. */
import { fieldNames, fieldValue, LINK_KINDS, type FieldName } from '../../src/domain/contact.ts';
import type { ChangeState } from '../../src/domain/change.ts';
import type { MirrorTx, Step as TakenStep, StepEdit } from '../../src/ports/mirror.ts';
import { openLog, putLog, putState, type LogRow, type Step } from './fake-rows.ts';

const WAITING: ReadonlySet<ChangeState> = new Set(['pending', 'retry', 'unknown']);

const isOwn = (row: LogRow): boolean => row.oldValues === null && row.newValues === null;

/** What is in doubt comes first, what we queued ourselves last. */
const byRank = (a: LogRow, b: LogRow): number => {
  const rank = (row: LogRow): number => (row.state === 'unknown' ? 0 : isOwn(row) ? 2 : 1);
  return rank(a) - rank(b) || a.id - b.id;
};

const firstOf = (rows: readonly LogRow[]): LogRow | undefined => rows.filter(({ state }) => state !== 'parked').toSorted(byRank)[0];

export const isFirst = (step: Step, row: LogRow): boolean => firstOf(openLog(step, row.contactId))?.id === row.id;

const taken = (step: Step, contactId: number): readonly LogRow[] => {
  const open = openLog(step, contactId).toSorted((a, b) => a.id - b.id);
  const head = firstOf(open);
  if (head === undefined || !WAITING.has(head.state)) return [];
  const claimable = open.filter(({ state }) => WAITING.has(state) || state === 'parked');
  const { states, contacts } = step.world.tables;
  const crmId = step.tx.get(states, contactId)?.crmId ?? step.tx.get(contacts, contactId)?.crmId ?? null;
  const inserts = open.some((row) => row.op === 'insert' && !isOwn(row) && row.state !== 'held');
  if (isOwn(head) || (crmId === null && !inserts)) return claimable;
  if (head.state === 'unknown') return claimable.filter(({ state }) => state === 'unknown');
  const runEnds = open.find((row) => row.id > head.id && row.state !== 'parked' && (row.op !== head.op || row.txid !== head.txid))?.id;
  return claimable.filter(
    (row) =>
      row.id === head.id ||
      (row.state === 'parked' && row.id < head.id) ||
      (row.state === 'retry' && head.state === 'retry' && row.attempt === head.attempt) ||
      ((head.op === 'attach' || head.op === 'detach') &&
        row.op === head.op &&
        row.txid === head.txid &&
        row.state === head.state &&
        row.id > head.id &&
        row.id < (runEnds ?? Infinity)),
  );
};

const toEdit = ({ op, oldValues, newValues }: LogRow): StepEdit => {
  if (op !== 'attach' && op !== 'detach') return { op, before: oldValues, after: newValues, link: null };
  const values = newValues ?? oldValues ?? {};
  const kind = LINK_KINDS.find((name) => typeof values[name] === 'number');
  return { op, before: null, after: null, link: kind === undefined ? null : { kind, id: values[kind] as number } };
};

const readStep = (step: Step, attempt: number, contactId: number): TakenStep | null => {
  const open = openLog(step, contactId).toSorted((a, b) => a.id - b.id);
  const edits = open.filter((row) => row.attempt === attempt).map(toEdit);
  const row = step.tx.get(step.world.tables.contacts, contactId);
  const newest = new Map<string, { set: unknown; holds: unknown }>();
  for (const { op, newValues } of open) {
    if (row === undefined || (op !== 'insert' && op !== 'update')) continue;
    for (const [name, set] of Object.entries(newValues ?? {})) {
      const names: readonly string[] = fieldNames(row.fields);
      newest.set(name, { set, holds: names.includes(name) ? fieldValue(row.fields, name as FieldName) : null });
    }
  }
  return edits.length === 0 ? null : { edits, newest };
};

export const createOrderedSteps = (step: Step): Pick<MirrorTx, 'claimSteps' | 'readSteps'> => ({
  claimSteps: async (contactIds) => {
    const number = step.world.nextId('attempt');
    for (const contactId of contactIds) {
      for (const row of taken(step, contactId))
        putLog(step, { ...row, state: 'sending', attempt: number, attempts: row.attempts + 1, nextAttemptAt: null });
      putState(step, contactId, { attempt: { number, state: 'sending', epoch: step.epoch, at: step.world.now() } });
    }
    return number;
  },
  readSteps: async (attempt, contactIds) =>
    new Map(
      contactIds.flatMap((contactId) => {
        const found = readStep(step, attempt, contactId);
        return found === null ? [] : [[contactId, found] as const];
      }),
    ),
});
