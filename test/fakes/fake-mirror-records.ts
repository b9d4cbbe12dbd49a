/** Steps on what is written down beside the contacts: conflicts, marks, names, runs. */
import { sameValue } from '../../src/domain/contact.ts';
import {
  LOCK_NOT_AVAILABLE,
  MARK_RETRY,
  type ConflictRecord,
  type Mirror,
  type MirrorTx,
  type Run,
  type RunKind,
} from '../../src/ports/mirror.ts';
import { Blocked, RefusedByRule } from './fake-database.ts';
import type { RunRow, Step } from './fake-rows.ts';

type RecordSteps = Pick<
  MirrorTx,
  | 'recordConflicts'
  | 'mark'
  | 'putOff'
  | 'deferred'
  | 'unmark'
  | 'refuse'
  | 'clearRefused'
  | 'saveNames'
  | 'savepoint'
  | 'saveRun'
  | 'saveSeen'
  | 'saveWatermark'
>;

const recordConflict = ({ tx, world }: Step, record: Parameters<MirrorTx['recordConflicts']>[0][number]): void => {
  const { conflicts } = world.tables;
  const isOpen = record.outcome === 'open';
  const open = tx.all(conflicts).find((row) => row.contactId === record.contactId && row.field === record.field && row.state === 'open');
  if (isOpen && open !== undefined) {
    const next = { ...open, ...record };
    if (!sameValue(open, next)) tx.put(conflicts, open.id, next);
    return;
  }
  const last = tx
    .all(conflicts)
    .filter((row) => row.contactId === record.contactId && row.field === record.field)
    .sort((a, b) => b.id - a.id)[0];
  const told = ({ base, local, remote, outcome }: ConflictRecord): unknown => [base, local, remote, outcome];
  if (!isOpen && last?.state === 'decided' && sameValue(told(last), told(record))) return;
  const id = world.nextId('conflicts');
  tx.put(conflicts, id, { ...record, id, state: isOpen ? 'open' : 'decided', decidedAt: isOpen ? null : world.now() });
};

export const createRecordSteps = (step: Step): RecordSteps => {
  const { tx, world } = step;
  const { marks, refused, names, runs, seen, account } = world.tables;
  return {
    recordConflicts: async (records) => records.forEach((record) => recordConflict(step, record)),
    mark: async (wanted) =>
      wanted.forEach((mark) => {
        const key = `${mark.crmId} ${mark.reason}`;
        tx.put(marks, key, { ...mark, at: world.now(), attempts: tx.get(marks, key)?.attempts ?? 0, nextAt: world.now() });
      }),
    putOff: async (wanted) =>
      wanted.forEach((mark) => {
        const key = `${mark.crmId} ${mark.reason}`;
        const attempts = tx.get(marks, key)?.attempts ?? 0;
        const delayMs = Math.min(MARK_RETRY.maxMs, MARK_RETRY.minMs * 2 ** attempts);
        const nextAt = new Date(world.now().getTime() + delayMs);
        tx.put(marks, key, { ...mark, at: world.now(), attempts: attempts + 1, nextAt });
      }),
    deferred: async (crmIds) => new Set(crmIds.filter((crmId) => tx.get(marks, `${crmId} deferred`) !== undefined)),
    unmark: async (crmIds, reasons, requestedAt) => {
      for (const mark of tx.all(marks)) {
        const answered = crmIds.includes(mark.crmId) && reasons.includes(mark.reason) && mark.at <= requestedAt;
        if (answered) tx.put(marks, `${mark.crmId} ${mark.reason}`, undefined);
      }
    },
    refuse: async (crmId, code, error) => {
      const next = { crmId, code, error };
      if (!sameValue(tx.get(refused, crmId), next)) tx.put(refused, crmId, next);
    },
    clearRefused: async (crmIds) => {
      for (const id of crmIds) if (tx.get(refused, id) !== undefined) tx.put(refused, id, undefined);
    },
    saveNames: async (wanted) => {
      const latest = new Map(wanted.map((name) => [`${name.kind} ${name.id}`, name]));
      for (const [key, name] of latest) {
        if (!sameValue(tx.get(names, key), name)) tx.put(names, key, name);
      }
    },
    savepoint: async (steps) => {
      const rollback = tx.mark();
      try {
        await steps();
        return null;
      } catch (error) {
        rollback();
        if (error instanceof Blocked) return { sqlState: LOCK_NOT_AVAILABLE, message: error.message };
        if (!(error instanceof RefusedByRule)) throw error;
        return { sqlState: error.sqlState, message: error.message };
      }
    },
    saveRun: async (runId, { cursor, pages = 0, rowsSeen = 0, rowsWritten = 0, calls = 0 }) => {
      const run = tx.get(runs, runId);
      if (run === undefined) return;
      tx.put(runs, runId, {
        ...run,
        cursor: cursor ?? run.cursor,
        pages: run.pages + pages,
        rowsSeen: run.rowsSeen + rowsSeen,
        rowsWritten: run.rowsWritten + rowsWritten,
        calls: run.calls + calls,
      });
    },
    saveSeen: async (crmIds) => {
      const fresh = [...new Set(crmIds)].filter((id) => tx.get(seen, id) === undefined);
      for (const id of fresh) tx.put(seen, id, id);
      return fresh.length;
    },
    saveWatermark: async (name, at) => {
      const before = tx.get(account, 'only');
      if (before === undefined) return;
      const next = name === 'changes' ? { ...before, changesWatermark: at } : { ...before, trashWatermark: at };
      if (!sameValue(before, next)) tx.put(account, 'only', next);
    },
  };
};

const NO_PROGRESS = { complete: null, error: null, pages: 0, rowsSeen: 0, rowsWritten: 0, calls: 0, cursor: null } as const;

const toRun = ({ id, kind, state, withLinks, isRequested, startedAt, cursor }: RunRow): Run => ({
  id,
  kind,
  state,
  withLinks,
  isRequested,
  startedAt,
  cursor,
});

export const requestRun = ({ tx, world }: Step, kind: RunKind, withLinks: boolean): number => {
  const id = world.nextId('runs');
  tx.put(world.tables.runs, id, {
    ...NO_PROGRESS,
    id,
    kind,
    state: 'requested',
    isRequested: true,
    withLinks,
    startedAt: null,
    epoch: null,
  });
  return id;
};

export const startRun = ({ tx, world, epoch }: Step, kind: RunKind, withLinks: boolean): Run => {
  const id = world.nextId('runs');
  const run: RunRow = { ...NO_PROGRESS, id, kind, state: 'running', isRequested: false, withLinks, startedAt: world.now(), epoch };
  tx.put(world.tables.runs, id, run);
  return toRun(run);
};

export const takeRequest = ({ tx, world, epoch }: Step): Run | null => {
  const left = (run: RunRow): boolean =>
    run.state === 'running' && run.isRequested && run.epoch !== epoch && (run.kind === 'sync' || run.cursor === null);
  const requested = tx.all(world.tables.runs).filter((run) => run.state === 'requested' || left(run));
  const oldest = requested.sort((a, b) => a.id - b.id)[0];
  if (oldest === undefined) return null;
  const run: RunRow = { ...oldest, state: 'running', startedAt: world.now(), epoch };
  tx.put(world.tables.runs, run.id, run);
  return toRun(run);
};

export const resumableRun = ({ tx, world, epoch }: Step, kind: RunKind): Run | null => {
  const running = tx.all(world.tables.runs).filter((run) => run.state === 'running' && run.kind === kind);
  const newest = running.filter((run) => run.cursor !== null).sort((a, b) => b.id - a.id)[0];
  const resumed = newest?.cursor?.seen === tx.all(world.tables.seen).length ? newest : undefined;
  if (resumed !== undefined) tx.put(world.tables.runs, resumed.id, { ...resumed, epoch });
  for (const run of running) {
    if (run.id === resumed?.id || run.epoch === epoch) continue;
    tx.put(world.tables.runs, run.id, { ...run, state: 'failed', complete: false, error: 'interrupted' });
  }
  return resumed === undefined ? null : toRun(resumed);
};

export const finishRun = ({ tx, world }: Step, runId: number, end: Parameters<Mirror['finishRun']>[1]): void => {
  const run = tx.get(world.tables.runs, runId);
  if (run === undefined) return;
  tx.put(world.tables.runs, runId, { ...run, ...end });
  const account = tx.get(world.tables.account, 'only');
  if (account === undefined || !end.complete || (run.kind !== 'sweep' && run.kind !== 'resync')) return;
  const now = world.now();
  tx.put(world.tables.account, 'only', { ...account, firstSweepAt: account.firstSweepAt ?? now, lastCompleteSweepAt: now });
};
