/**
 * Reads contacts by their ids, where a page could not settle them (`deferred`), did not carry their links (`links`, `activities`), or where
 * a person approved a removal (`approved`: it is proven again before anything is removed). A mark goes only when its answer was stored.
 */
import { type RemoteContact } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { mergeLinks, linkDeltas } from '../domain/merge.ts';
import type { BadRecord, Lane } from '../ports/crm.ts';
import type { Mark, MarkReason, MirrorTx } from '../ports/mirror.ts';
import { clockOffsetMs, loadContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { applyPage } from './page.ts';
import { controlAnswers, removeGone } from './removal.ts';
import { isEmptyWrite } from './reconcile.ts';

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

const readActivities = async (deps: SyncDeps, crmIds: readonly number[], lane: Lane): Promise<ChunkReport> => {
  if (crmIds.length === 0) return { written: 0, stoppedBy: null };
  const requestedAt = await deps.mirror.now();
  const answers = await Promise.all(crmIds.map(async (crmId) => ({ crmId, answer: await allActivities(deps, crmId, lane) })));
  let written = 0;
  let stoppedBy: CrmFailure | null = null;
  for (const { crmId, answer } of answers) {
    if ('failure' in answer) {
      // 404 or 403: the contact itself tells the rest, with the next pull or sweep.
      if (answer.failure.class === 'refetch' || answer.failure.class === 'park') await dropMark(deps, crmId, requestedAt);
      else stoppedBy ??= answer.failure;
    } else if (await storeActivities(deps, crmId, answer, requestedAt)) written += 1;
  }
  return { written, stoppedBy };
};

const dropMark = async (deps: SyncDeps, crmId: number, requestedAt: Date): Promise<void> =>
  await deps.mirror.transaction((tx) => tx.unmark([crmId], ['activities'], requestedAt));

interface Activities {
  readonly ids: readonly number[];
  readonly names: RemoteContact['names'];
}

/** Exported for the push, which reads a contact's activities before it settles an unknown write. */
export const allActivities = async (deps: SyncDeps, crmId: number, lane: Lane): Promise<Activities | { readonly failure: CrmFailure }> => {
  const ids: number[] = [];
  const names: RemoteContact['names'][number][] = [];
  for (let page = 1; ; page += 1) {
    const answer = await deps.crm.listActivities(crmId, page, callOptions(deps, lane));
    if (!answer.ok) return { failure: answer.failure };
    ids.push(...answer.value.ids);
    names.push(...answer.value.names);
    if (page >= answer.value.lastPage || answer.value.ids.length === 0) return { ids: [...new Set(ids)].sort((a, b) => a - b), names };
  }
};

/** The activities of one contact, merged under the same locks and the same age rule as a page. Answers whether anything was written. */
const storeActivities = async (deps: SyncDeps, crmId: number, { ids, names }: Activities, requestedAt: Date): Promise<boolean> =>
  await deps.mirror.transaction(async (tx) => {
    const peek = (await tx.peek([crmId])).get(crmId);
    if (peek === undefined || !peek.hasRow) {
      await tx.unmark([crmId], ['activities'], requestedAt);
      return false;
    }
    const { contactId } = peek;
    const rows = await tx.lockContacts([contactId], 'skip');
    const states = await tx.lockStates([contactId], 'skip');
    const situation = (await tx.read([contactId])).get(contactId);
    const free = rows.has(contactId) && states.has(contactId) && situation?.attempt === null;
    const stale = situation?.settledAt != null && situation.settledAt >= requestedAt;
    if (!free || stale || situation.row === null || situation.base === null) {
      await tx.mark([{ crmId, reason: 'activities' }]);
      return false;
    }
    const remote = { companies: null, deals: null, activities: ids };
    const merged = mergeLinks(situation.base.links, situation.row.links, remote, situation.open);
    const deltas = linkDeltas(situation.row.links, merged.local);
    const known = situation.base.links.activities?.join() === ids.join() && situation.base.links.activities !== null;
    const write = {
      contactId,
      fields: null,
      addLinks: deltas.add,
      removeLinks: deltas.remove,
      base: known ? null : { fields: situation.base.fields, hash: peek.baseHash ?? '', links: merged.base },
      extra: null,
      crmTimes: null,
    };
    const changes = !isEmptyWrite(write);
    await tx.saveNames(names);
    if (changes) await tx.save([write]);
    await tx.unmark([crmId], ['activities'], requestedAt);
    return changes;
  });
