/**
 * Reads contacts by their ids, where a page could not settle them (`deferred`), did not carry their links (`links`, `activities`), or where
 * a person approved a removal (`approved`: it is proven again before anything is removed). A mark goes only when its answer was stored.
 */
import { type RemoteContact } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { BadRecord, Lane } from '../ports/crm.ts';
import type { Mark, MarkReason, MirrorTx } from '../ports/mirror.ts';
import { readActivities } from './activities.ts';
import { clockOffsetMs, loadContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { applyPage } from './page.ts';
import { controlAnswers, removeGone } from './removal.ts';

export interface MarksReport {
  readonly read: number;
  readonly written: number;
  readonly stoppedBy: CrmFailure | null;
}

/** Contacts read side by side: enough to hide the latency, few enough to hold in one transaction. */
const CHUNK = 25;

/** Reads until no mark of these reasons is left that a new attempt could settle. */
export const readMarks = async (
  deps: SyncDeps,
  reasons: readonly MarkReason[],
  lane: Lane,
  onProgress: (read: number) => Promise<void> = async () => {},
): Promise<MarksReport> => {
  const report = { read: 0, written: 0 };
  // What this round marks anew is newer than this, and waits for the next round.
  const before = await deps.mirror.now();
  for (;;) {
    const marks = await deps.mirror.marks(reasons, CHUNK, before);
    if (marks.length === 0 || deps.signal.aborted) return { ...report, stoppedBy: null };
    const chunk = await readChunk(deps, marks, lane);
    report.read += marks.length;
    report.written += chunk.written;
    if (chunk.stoppedBy !== null) return { ...report, stoppedBy: chunk.stoppedBy };
    await onProgress(report.read);
  }
};

interface ChunkReport {
  readonly written: number;
  readonly stoppedBy: CrmFailure | null;
}

const readChunk = async (deps: SyncDeps, marks: readonly Mark[], lane: Lane): Promise<ChunkReport> => {
  const byId = (wanted: (mark: Mark) => boolean): readonly number[] => [...new Set(marks.filter(wanted).map(({ crmId }) => crmId))];
  const approved = new Set(byId(({ reason }) => reason === 'approved'));
  const contacts = await readContacts(deps, byId(({ reason }) => reason !== 'activities'), approved, lane);
  if (contacts.stoppedBy !== null) return contacts;
  const activities = await readActivities(deps, byId(({ reason }) => reason === 'activities'), lane);
  return {
    written: contacts.written + activities.written,
    stoppedBy: activities.stoppedBy,
  };
};

const BY_RETRIEVE = ['deferred', 'links', 'approved'] as const satisfies readonly MarkReason[];

const readContacts = async (
  deps: SyncDeps,
  crmIds: readonly number[],
  approved: ReadonlySet<number>,
  lane: Lane,
): Promise<ChunkReport> => {
  if (crmIds.length === 0) return { written: 0, stoppedBy: null };
  const context = await loadContext(deps);
  const requestedAt = await deps.mirror.now();
  const answers = await Promise.all(crmIds.map(async (crmId) => ({ crmId, answer: await deps.crm.retrieve(crmId, callOptions(deps, lane)) })));
  const records: RemoteContact[] = [];
  const bad: BadRecord[] = [];
  const gone: number[] = [];
  const hidden: number[] = [];
  let stoppedBy: CrmFailure | null = null;
  let offset = 0;
  for (const { crmId, answer } of answers) {
    if (answer.ok) {
      records.push(answer.value);
      offset = clockOffsetMs(requestedAt, answer.meta);
    } else if (answer.failure.code === 'not_found' && answer.failure.proven) gone.push(crmId);
    else if (answer.failure.class === 'park' && answer.failure.code === 'forbidden') hidden.push(crmId);
    else if (answer.failure.code === 'bad_answer' || answer.failure.class === 'park') bad.push({ crmId, problem: answer.failure.message });
    else stoppedBy ??= answer.failure;
  }
  const stored = await deps.mirror.transaction(async (tx) => {
    const applied = await applyPage(tx, { records, bad, requestedAt, answers: BY_RETRIEVE }, { ...context, clockOffsetMs: offset });
    await hide(tx, hidden);
    await tx.unmark([...hidden, ...bad.flatMap(({ crmId }) => crmId ?? [])], BY_RETRIEVE, requestedAt);
    return applied;
  });
  const removed = await settleGone(deps, gone, approved, records[0]?.crmId ?? (await deps.mirror.oneSeen()), requestedAt);
  return { written: stored.written + removed, stoppedBy };
};

/** 403: there, but no longer visible to this token. The row stays and is marked. */
export const hide = async (tx: MirrorTx, crmIds: readonly number[]): Promise<void> => {
  const peeks = await tx.peek(crmIds);
  await tx.markVisibility(
    [...peeks.values()].filter(({ hasRow, hiddenAt }) => hasRow && hiddenAt === null).map(({ contactId }) => contactId),
    'hidden',
  );
};

const settleGone = async (
  deps: SyncDeps,
  gone: readonly number[],
  approved: ReadonlySet<number>,
  controlId: number | null,
  requestedAt: Date,
): Promise<number> => {
  if (gone.length === 0) return 0;
  const control = await controlAnswers(deps, controlId);
  await deps.mirror.transaction(async (tx) => {
    await tx.unmark(gone, BY_RETRIEVE, requestedAt);
    // Without a control the 404 proves nothing: the next sweep asks again, and what a person approved stays marked until it is proven.
    if (!control.proven) await tx.mark(gone.filter((crmId) => approved.has(crmId)).map((crmId) => ({ crmId, reason: 'approved' })));
  });
  if (!control.proven) return 0;
  const ordinary = await removeGone(deps, gone.filter((crmId) => !approved.has(crmId)), requestedAt);
  const byPerson = await removeGone(deps, gone.filter((crmId) => approved.has(crmId)), requestedAt, { approved: true });
  return ordinary.removed + byPerson.removed;
};
