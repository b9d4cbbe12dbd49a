/** Steps on the queue and the brake. */
import { canonicalIds } from '../../src/domain/contact.ts';
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { BrakeDirection, BrakeLoad, MirrorTx, Settlement } from '../../src/ports/mirror.ts';
import { addLog, openLog, putLog, putState, type HoldRow, type LogRow, type Step } from './fake-rows.ts';

const HOUR_MS = 3_600_000;
const WAITING: ReadonlySet<ChangeState> = new Set(['pending', 'retry', 'unknown']);
const CLAIMABLE: ReadonlySet<ChangeState> = new Set([...WAITING, 'parked']);

const crmIdOf = ({ tx, world }: Step, contactId: number): number | null =>
  tx.get(world.tables.states, contactId)?.crmId ?? tx.get(world.tables.contacts, contactId)?.crmId ?? null;

/** Whether a log row can make its contact due at its time, as far as the contact's state is concerned. */
const mayBeDue = (step: Step, row: LogRow, creates: boolean): boolean => {
  if (!WAITING.has(row.state) || row.nextAttemptAt === null) return false;
  const attempt = step.tx.get(step.world.tables.states, row.contactId)?.attempt ?? null;
  if (attempt?.state === 'sending' || (attempt?.state === 'unknown' && row.state !== 'unknown')) return false;
  return creates || crmIdOf(step, row.contactId) !== null;
};

export const nextDueMs = (step: Step, creates: boolean): number | null => {
  const times = step.tx
    .all(step.world.tables.log)
    .filter((row) => mayBeDue(step, row, creates))
    .map((row) => (row.nextAttemptAt as Date).getTime());
  return times.length === 0 ? null : Math.max(0, Math.min(...times) - step.world.now().getTime());
};

const lockDue = (step: Step, limit: number, creates: boolean): readonly number[] => {
  const { tx, world } = step;
  const now = world.now();
  const due = tx
    .all(world.tables.log)
    .filter((row) => mayBeDue(step, row, creates) && (row.nextAttemptAt as Date) <= now)
    .sort((a, b) => a.id - b.id);
  const locked: number[] = [];
  for (const contactId of new Set(due.map((row) => row.contactId))) {
    if (locked.length === limit) break;
    if (!tx.tryLock(`states ${contactId}`)) continue;
    if (tx.get(world.tables.states, contactId) === undefined) putState(step, contactId, { crmId: crmIdOf(step, contactId) });
    locked.push(contactId);
  }
  return locked;
};

const claim = (step: Step, contactIds: readonly number[]): number => {
  const number = step.world.nextId('attempt');
  for (const contactId of contactIds) {
    for (const row of openLog(step, contactId)) {
      if (!CLAIMABLE.has(row.state)) continue;
      putLog(step, { ...row, state: 'sending', attempt: number, attempts: row.attempts + 1, nextAttemptAt: null });
    }
    putState(step, contactId, { attempt: { number, state: 'sending', epoch: step.epoch, at: step.world.now() } });
  }
  return number;
};

const settle = (step: Step, { contactId, attempt, outcomes, ends }: Settlement): void => {
  const { tx, world } = step;
  const now = world.now();
  for (const row of openLog(step, contactId)) {
    const outcome = outcomes.find(({ ops }) => ops.includes(row.op));
    if (outcome === undefined || row.attempt !== attempt || (row.state !== 'sending' && row.state !== 'unknown')) continue;
    const { state, code, error, delayMs } = outcome;
    const settledAt = state === 'done' || state === 'merged' ? now : null;
    const nextAttemptAt = WAITING.has(state) ? new Date(now.getTime() + delayMs) : null;
    putLog(step, { ...row, state, code, error, settledAt, nextAttemptAt });
  }
  const state = tx.get(world.tables.states, contactId);
  if (state === undefined || state.attempt?.number !== attempt) return;
  const deleted = outcomes.some(({ ops, state: end }) => ops.includes('delete') && (end === 'done' || end === 'merged'));
  // A deletion that was logged since the claim still has to be pushed.
  const isOpen = openLog(step, contactId).some(({ op }) => op === 'delete');
  const buried = deleted && !isOpen && tx.get(world.tables.contacts, contactId) === undefined;
  putState(step, contactId, {
    settledAt: now,
    attempt: ends === 'unknown' ? { ...state.attempt, state: 'unknown' } : null,
    ...(buried && { deletedAt: state.deletedAt ?? now, deletedBy: state.deletedBy ?? 'mirror' }),
  });
};

export const recoverAttempts = (step: Step, createGraceMs: number): number => {
  const now = step.world.now();
  const lost = step.tx
    .all(step.world.tables.states)
    .filter((state) => state.attempt !== null && state.attempt.state === 'sending' && state.attempt.epoch !== step.epoch);
  for (const { contactId, crmId, attempt, intent } of lost) {
    if (attempt === null) continue;
    const grace = intent === null ? 0 : attempt.at.getTime() + createGraceMs - now.getTime();
    const nextAttemptAt = new Date(now.getTime() + Math.max(0, grace));
    putState(step, contactId, { attempt: { ...attempt, state: 'unknown' } });
    const rows = openLog(step, contactId).filter((row) => row.state === 'sending' || row.state === 'held');
    for (const row of rows) putLog(step, { ...row, state: 'unknown', nextAttemptAt });
    if (rows.length > 0) continue;
    const asked = { op: 'update', state: 'unknown', attempt: attempt.number, nextAttemptAt } as const;
    addLog(step, { contactId, crmId, oldValues: null, newValues: null, changedBy: 'relate-mirror', ...asked });
  }
  return lost.length;
};

const worstOp = (direction: BrakeDirection, ops: readonly ChangeOp[]): ChangeOp => {
  if (direction === 'pull' || ops.includes('delete')) return 'delete';
  return ops.includes('detach') ? 'detach' : 'update';
};

const hold = (step: Step, direction: BrakeDirection, reason: string, contactIds: readonly number[]): number => {
  const { tx, world } = step;
  const open = tx.all(world.tables.holds).find((row) => row.direction === direction && row.state === 'open');
  const before: HoldRow = open ?? { id: world.nextId('holds'), direction, reason, plan: [], state: 'open' };
  const lines = canonicalIds(contactIds)
    .filter((id) => !before.plan.some((line) => line.contact_id === id))
    .map((id) => ({
      contact_id: id,
      crm_id: crmIdOf(step, id),
      op: worstOp(
        direction,
        openLog(step, id).map((row) => row.op),
      ),
    }));
  tx.put(world.tables.holds, before.id, { ...before, plan: [...before.plan, ...lines] });
  for (const id of contactIds) {
    const state = tx.get(world.tables.states, id);
    if (direction === 'pull') {
      if (state !== undefined) putState(step, id, { holdId: before.id, goneAt: state.goneAt ?? world.now() });
      continue;
    }
    for (const row of openLog(step, id)) putLog(step, { ...row, state: 'held', holdId: before.id, nextAttemptAt: null });
    if (state !== undefined && state.attempt !== null) putState(step, id, { attempt: null });
  }
  return before.id;
};

const brakeLoad = (step: Step, direction: BrakeDirection): BrakeLoad => {
  const { tx, world } = step;
  const since = world.now().getTime() - HOUR_MS;
  const log = tx.all(world.tables.log).filter((row) => row.op === 'delete');
  const openDeletes = log.filter((row) => row.settledAt === null);
  const missing = new Set(openDeletes.map((row) => row.contactId).filter((id) => tx.get(world.tables.contacts, id) === undefined));
  const mirrorRows = tx.all(world.tables.contacts).length + missing.size;
  if (direction === 'pull') {
    const gone = tx.all(world.tables.states).filter((state) => state.deletedBy === 'crm' && (state.deletedAt?.getTime() ?? 0) > since);
    return { lastHour: gone.length, waiting: 0, mirrorRows };
  }
  const isApproved = (row: LogRow): boolean => row.holdId !== null && tx.get(world.tables.holds, row.holdId)?.state === 'approved';
  const waiting = openDeletes.filter(
    (row) =>
      (WAITING.has(row.state) || row.state === 'sending') &&
      !isApproved(row) &&
      (tx.get(world.tables.states, row.contactId)?.crmId ?? null) !== null,
  );
  const done = log.filter((row) => row.state === 'done' && (row.settledAt?.getTime() ?? 0) > since);
  return { lastHour: done.length, waiting: new Set(waiting.map((row) => row.contactId)).size, mirrorRows };
};

type QueueSteps = Pick<MirrorTx, 'lockDue' | 'claim' | 'saveIntent' | 'clearIntent' | 'settle' | 'queue' | 'hold' | 'brakeLoad'>;

export const createQueueSteps = (step: Step): QueueSteps => ({
  lockDue: async (limit, { creates }) => lockDue(step, limit, creates),
  claim: async (contactIds) => claim(step, contactIds),
  saveIntent: async (contactId, intent) => putState(step, contactId, { intent: { at: step.world.now(), ...intent } }),
  clearIntent: async (contactId) => {
    const state = step.tx.get(step.world.tables.states, contactId);
    if (state !== undefined && state.intent !== null) putState(step, contactId, { intent: null });
  },
  settle: async (settlement) => settle(step, settlement),
  queue: async (contactIds, op) => {
    for (const contactId of canonicalIds(contactIds)) {
      if (openLog(step, contactId).some((row) => row.state === 'pending')) continue;
      addLog(step, { contactId, crmId: crmIdOf(step, contactId), op, oldValues: null, newValues: null, changedBy: 'relate-mirror' });
    }
  },
  hold: async (direction, reason, contactIds) => hold(step, direction, reason, contactIds),
  brakeLoad: async (direction) => brakeLoad(step, direction),
});
