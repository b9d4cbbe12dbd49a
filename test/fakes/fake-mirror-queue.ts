/** Steps on the queue. */
import { canonicalIds } from '../../src/domain/contact.ts';
import type { ChangeState } from '../../src/domain/change.ts';
import type { DueKinds, MirrorTx, Settled, Settlement } from '../../src/ports/mirror.ts';
import { isFirst } from './fake-mirror-ordered.ts';
import { addLog, countDamage, openLog, putLog, putState, type LogRow, type Step } from './fake-rows.ts';

const WAITING: ReadonlySet<ChangeState> = new Set(['pending', 'retry', 'unknown']);
const CLAIMABLE: ReadonlySet<ChangeState> = new Set([...WAITING, 'parked']);

const crmIdOf = ({ tx, world }: Step, contactId: number): number | null =>
  tx.get(world.tables.states, contactId)?.crmId ?? tx.get(world.tables.contacts, contactId)?.crmId ?? null;

/** Whether a log row can make its contact due at its time, as far as the contact's state is concerned. */
const mayBeDue = (step: Step, row: LogRow, { creates, ordered = false }: DueKinds): boolean => {
  if (!WAITING.has(row.state) || row.nextAttemptAt === null) return false;
  const attempt = step.tx.get(step.world.tables.states, row.contactId)?.attempt ?? null;
  if (attempt?.state === 'sending' || (attempt?.state === 'unknown' && row.state !== 'unknown')) return false;
  if (ordered && !isFirst(step, row)) return false;
  return creates || crmIdOf(step, row.contactId) !== null;
};

export const nextDueMs = (step: Step, kinds: DueKinds): number | null => {
  const times = step.tx
    .all(step.world.tables.log)
    .filter((row) => mayBeDue(step, row, kinds))
    .map((row) => (row.nextAttemptAt as Date).getTime());
  return times.length === 0 ? null : Math.max(0, Math.min(...times) - step.world.now().getTime());
};

const lockDue = (step: Step, limit: number, kinds: DueKinds): readonly number[] => {
  const { tx, world } = step;
  const now = world.now();
  const due = tx
    .all(world.tables.log)
    .filter((row) => mayBeDue(step, row, kinds) && (row.nextAttemptAt as Date) <= now)
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

const settle = (step: Step, { contactId, attempt, outcomes, ends }: Settlement): readonly Settled[] => {
  const { tx, world } = step;
  const now = world.now();
  const settled = new Map<ChangeState, number>();
  for (const row of openLog(step, contactId)) {
    const outcome = outcomes.find(({ ops }) => ops.includes(row.op));
    if (outcome === undefined || row.attempt !== attempt || (row.state !== 'sending' && row.state !== 'unknown')) continue;
    const { state, code, error, delayMs } = outcome;
    const settledAt = state === 'done' || state === 'merged' ? now : null;
    const nextAttemptAt = WAITING.has(state) ? new Date(now.getTime() + delayMs) : null;
    putLog(step, { ...row, state, code, error, settledAt, nextAttemptAt });
    settled.set(state, (settled.get(state) ?? 0) + 1);
    if (row.op === 'delete' && state === 'done') countDamage(step, 'push', [{ contactId, op: 'delete' }]);
  }
  const ended = [...settled].map(([state, rows]) => ({ state, rows }));
  const state = tx.get(world.tables.states, contactId);
  if (state === undefined || state.attempt?.number !== attempt) return ended;
  const deleted = outcomes.some(({ ops, state: end }) => ops.includes('delete') && (end === 'done' || end === 'merged'));
  // A deletion that was logged since the claim still has to be pushed.
  const isOpen = openLog(step, contactId).some(({ op }) => op === 'delete');
  const buried = deleted && !isOpen && tx.get(world.tables.contacts, contactId) === undefined;
  putState(step, contactId, {
    settledAt: now,
    attempt: ends === 'unknown' ? { ...state.attempt, state: 'unknown' } : null,
    sent: ends === 'unknown' ? state.sent : null,
    ...(buried && { deletedAt: state.deletedAt ?? now, deletedBy: state.deletedBy ?? 'mirror' }),
  });
  return ended;
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

type QueueSteps = Pick<MirrorTx, 'lockDue' | 'claim' | 'saveSent' | 'saveIntent' | 'doubtIntent' | 'clearIntent' | 'settle' | 'queue'>;

export const createQueueSteps = (step: Step): QueueSteps => ({
  lockDue: async (limit, kinds) => lockDue(step, limit, kinds),
  claim: async (contactIds) => claim(step, contactIds),
  saveSent: async (writes) => writes.forEach(({ contactId, sent }) => putState(step, contactId, { sent })),
  saveIntent: async (contactId, intent) => {
    const stored = { at: step.world.now(), key: `key-${step.world.nextId('intent')}`, unknownAt: null, ...intent };
    putState(step, contactId, { intent: stored });
    return stored;
  },
  doubtIntent: async (contactId) => {
    const intent = step.tx.get(step.world.tables.states, contactId)?.intent ?? null;
    if (intent !== null && intent.unknownAt === null) putState(step, contactId, { intent: { ...intent, unknownAt: step.world.now() } });
  },
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
});
