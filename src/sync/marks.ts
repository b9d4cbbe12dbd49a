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
import { callOptions, pausedBy, type SyncDeps } from './deps.ts';
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
  chunksMax = Number.POSITIVE_INFINITY,
): Promise<MarksReport> => {
  const report = { read: 0, written: 0 };
  // What this round marks anew is newer than this, and waits for the next round.
  const before = await deps.mirror.now();
  for (let chunks = 0; ; chunks += 1) {
    const marks = await deps.mirror.marks(reasons, CHUNK, before);
    if (marks.length === 0 || chunks >= chunksMax || deps.signal.aborted) return { ...report, stoppedBy: null };
    const paused = await pausedBy(deps);
    if (paused !== null) return { ...report, stoppedBy: paused };
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
  const contacts = await readContacts(
    deps,
    byId(({ reason }) => reason !== 'activities'),
    { approved, twins: marks.some(({ reason }) => reason === 'twin') },
    lane,
  );
  const stops = contacts.failures.find(({ failure }) => endsTheRound(failure))?.failure;
  if (stops !== undefined) return { written: contacts.written, stoppedBy: stops };
  const activities = await readActivities(
    deps,
    byId(({ reason }) => reason === 'activities'),
    lane,
  );
  const written = contacts.written + activities.written;
  return { written, stoppedBy: await putOff(deps, marks, contacts.failures, activities.failures) };
};

/** One contact's failure, from here on. */
export interface ReadFailure {
  readonly crmId: number;
  readonly failure: CrmFailure;
}

/** The token, or the CRM's patience: asking for anything else would meet it as well. A poisoned contact is nobody else's trouble. */
export const endsTheRound = ({ class: kind, code }: CrmFailure): boolean =>
  kind === 'fatal' || kind === 'later' || code === 'aborted' || code === 'paused' || code === 'not_leader';

/**
 * A contact that the CRM cannot answer for keeps its marks, at the end of the line: it is asked for in the next round and keeps nobody
 * waiting. Where nobody of a chunk got an answer the CRM is not well, and the round ends.
 */
const putOff = async (
  deps: SyncDeps,
  marks: readonly Mark[],
  contacts: readonly ReadFailure[],
  activities: readonly ReadFailure[],
): Promise<CrmFailure | null> => {
  const failures = [...contacts, ...activities];
  const stops = failures.find(({ failure }) => endsTheRound(failure));
  if (stops !== undefined) return stops.failure;
  const [byRetrieve, byActivities] = [contacts, activities].map((list) => new Set(list.map(({ crmId }) => crmId)));
  const failed = marks.filter(({ crmId, reason }) => (reason === 'activities' ? byActivities : byRetrieve)?.has(crmId));
  await deps.mirror.transaction((tx) => tx.putOff(failed));
  return failed.length === marks.length ? (failures[0]?.failure ?? null) : null;
};

const BY_RETRIEVE = ['deferred', 'twin', 'links', 'approved'] as const satisfies readonly MarkReason[];

const readContacts = async (
  deps: SyncDeps,
  crmIds: readonly number[],
  { approved, twins }: { readonly approved: ReadonlySet<number>; readonly twins: boolean },
  lane: Lane,
): Promise<{ readonly written: number; readonly failures: readonly ReadFailure[] }> => {
  if (crmIds.length === 0) return { written: 0, failures: [] };
  const known = await loadContext(deps);
  // Also one that is not waited for any more is met by its row.
  const context = { ...known, firstRun: known.firstRun || twins };
  const requestedAt = await deps.mirror.now();
  const answers = await Promise.all(
    crmIds.map(async (crmId) => ({ crmId, answer: await deps.crm.retrieve(crmId, callOptions(deps, lane)) })),
  );
  const records: RemoteContact[] = [];
  const bad: BadRecord[] = [];
  const gone: number[] = [];
  const hidden: number[] = [];
  const failures: ReadFailure[] = [];
  let offset = 0;
  for (const { crmId, answer } of answers) {
    if (answer.ok) {
      records.push(answer.value);
      offset = clockOffsetMs(requestedAt, answer.meta);
      continue;
    }
    const { failure } = answer;
    if (failure.code === 'not_found' && failure.proven) gone.push(crmId);
    else if (failure.class === 'park' && failure.code === 'forbidden') hidden.push(crmId);
    else if (failure.code === 'bad_answer' && failure.proven) bad.push({ crmId, problem: failure.message });
    else failures.push({ crmId, failure });
  }
  const stored = await deps.mirror.transaction(async (tx) => {
    const applied = await applyPage(
      tx,
      { records, bad, requestedAt, answers: BY_RETRIEVE, approved },
      { ...context, clockOffsetMs: offset },
    );
    await hide(tx, hidden);
    await tx.unmark([...hidden, ...bad.flatMap(({ crmId }) => crmId ?? [])], BY_RETRIEVE, requestedAt);
    return applied;
  });
  const removed = await settleGone(deps, gone, approved, records[0]?.crmId ?? (await deps.mirror.oneSeen()), requestedAt);
  return { written: stored.written + removed, failures };
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
  let removed = 0;
  if (control.proven) {
    const isApproved = (crmId: number): boolean => approved.has(crmId);
    removed += (
      await removeGone(
        deps,
        gone.filter((crmId) => !isApproved(crmId)),
        requestedAt,
      )
    ).removed;
    removed += (await removeGone(deps, gone.filter(isApproved), requestedAt, { approved: true })).removed;
  }
  await deps.mirror.transaction(async (tx) => {
    // Only now: what the removal had to put off is marked anew, and that mark stays.
    await tx.unmark(gone, BY_RETRIEVE, requestedAt);
    // Without a control the 404 proves nothing: the next sweep asks again, and what a person approved stays marked until it is proven.
    if (!control.proven) await tx.mark(gone.filter((crmId) => approved.has(crmId)).map((crmId) => ({ crmId, reason: 'approved' })));
  });
  return removed;
};
