/** Runs: begun, saved page by page, resumed, ended; and what a sweep has seen. */
import type { Mirror, MirrorTx, Run, RunCursor, RunKind, RunState } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import { PRUNE_DAMAGE } from './sql/brake.ts';
import {
  CLEAR_SEEN,
  CLOSE_INTERRUPTED,
  COUNT_SEEN,
  FINISH_RUN,
  ONE_SEEN,
  PRUNE_CALLS,
  PRUNE_CONFLICTS,
  PRUNE_HOLDS,
  PRUNE_LOG,
  PRUNE_RUNS,
  PRUNE_TOMBSTONES,
  RESUME_RUN,
  SAVE_CHANGES_WATERMARK,
  SAVE_RUN,
  SAVE_SEEN,
  SAVE_TRASH_WATERMARK,
  START_RUN,
  TAKE_REQUEST,
  UNSEEN,
} from './sql/runs.ts';

interface RunRow {
  readonly id: number;
  readonly kind: RunKind;
  readonly state: RunState;
  readonly with_links: boolean;
  readonly is_requested: boolean;
  readonly started_at: Date | null;
  readonly cursor: RunCursor | null;
}

const toRun = ({ with_links, is_requested, started_at, ...row }: RunRow): Run => ({
  ...row,
  withLinks: with_links,
  isRequested: is_requested,
  startedAt: started_at,
});

export const createRunSteps = (session: Session): Pick<MirrorTx, 'saveRun' | 'saveSeen' | 'saveWatermark'> => ({
  saveRun: async (runId, { cursor, pages = 0, rowsSeen = 0, rowsWritten = 0, calls = 0 }) => {
    const json = cursor === undefined ? null : JSON.stringify(cursor);
    await session.query(SAVE_RUN, [runId, json, pages, rowsSeen, rowsWritten, calls]);
  },
  saveSeen: async (crmIds) => (crmIds.length === 0 ? 0 : (await session.query(SAVE_SEEN, [crmIds])).count),
  saveWatermark: async (name, at) => {
    await session.query(name === 'changes' ? SAVE_CHANGES_WATERMARK : SAVE_TRASH_WATERMARK, [at.toISOString()]);
  },
});

export const startRun = async (session: Session, kind: RunKind, withLinks: boolean): Promise<Run> => {
  const { rows } = await session.query<RunRow>(START_RUN, [kind, withLinks, session.epoch]);
  if (rows[0] === undefined) throw new Error('sync.runs answered no row.');
  return toRun(rows[0]);
};

export const resumableRun = async (session: Session, kind: RunKind): Promise<Run | null> => {
  const { rows } = await session.query<RunRow>(RESUME_RUN, [kind, session.epoch]);
  await session.query(CLOSE_INTERRUPTED, [kind, session.epoch]);
  return rows[0] === undefined ? null : toRun(rows[0]);
};

export const takeRequest = async (session: Session): Promise<Run | null> => {
  const { rows } = await session.query<RunRow>(TAKE_REQUEST, [session.epoch]);
  return rows[0] === undefined ? null : toRun(rows[0]);
};

export const finishRun = async (session: Session, runId: number, end: Parameters<Mirror['finishRun']>[1]): Promise<void> => {
  await session.query(FINISH_RUN, [runId, end.state, end.complete, end.error]);
};

export const prune = async (session: Session, olderThanDays: number): Promise<number> => {
  let removed = 0;
  for (const statement of [PRUNE_LOG, PRUNE_RUNS, PRUNE_CALLS, PRUNE_TOMBSTONES, PRUNE_CONFLICTS, PRUNE_HOLDS])
    removed += (await session.query(statement, [olderThanDays])).count;
  removed += (await session.query(PRUNE_DAMAGE)).count;
  return removed;
};

export const clearSeen = async (session: Session): Promise<void> => {
  await session.query(CLEAR_SEEN);
};

export const createSeenReads = (query: Query): Pick<Mirror, 'countSeen' | 'unseen' | 'oneSeen'> => ({
  countSeen: async (maxId) => {
    const { rows } = await query<{ seen: number }>(COUNT_SEEN, [maxId]);
    return rows[0]?.seen ?? 0;
  },
  unseen: async (afterId, limit) => {
    const { rows } = await query<{ crm_id: number }>(UNSEEN, [afterId, limit]);
    return rows.map((row) => row.crm_id);
  },
  oneSeen: async () => {
    const { rows } = await query<{ crm_id: number | null }>(ONE_SEEN);
    return rows[0]?.crm_id ?? null;
  },
});
