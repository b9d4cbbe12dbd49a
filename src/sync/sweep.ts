/**
 * The sweep: everything, compared. A manual resync is the same walk, and may read all links anew.
 *
 * - The walk goes by id, ascending: ids never change and new ones land at the end. It resumes after a crash at the page it had stored.
 * - `complete` needs evidence: M is the largest id and N the total when the walk began; ids up to M that were seen, plus those proven gone,
 *   have to make N. Seen = total is no proof: one contact trashed and one created between two pages hide a third. Short at the end, it
 *   walks again and takes the union; still short, the run is `partial`.
 * - Absence from a list proves nothing. Each row that was not seen is asked for by its id, one by one, with a control; only a 404 removes it.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import type { RemoteContact } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { CallOptions, ContactPage, CrmResult, ListParams } from '../ports/crm.ts';
import type { Run, RunCursor } from '../ports/mirror.ts';
import { clockOffsetMs, loadContext, type RunContext } from './context.ts';
import { callOptions, pausedBy, type SyncDeps } from './deps.ts';
import { endsTheRound, hide } from './marks.ts';
import { applyPage } from './page.ts';
import { isEndless } from './pages.ts';
import { controlAnswers, removeGone } from './removal.ts';

export interface SweepReport {
  readonly complete: boolean;
  readonly rowsSeen: number;
  readonly rowsWritten: number;
  readonly removed: number;
  readonly held: number;
  /** Something of it is stored: it can go on from there. */
  readonly resumable: boolean;
  readonly stoppedBy: CrmFailure | null;
}

const PASSES_MAX = 3;
/** How often one call of the walk is made: one bad minute must not cost a walk of thousands of pages. */
const ATTEMPTS_MAX = 5;
/** Unseen rows asked for side by side. */
const ASK_CHUNK = 20;

/** Walks the account once for a run that was started. Does not throw for what the CRM answers; the caller finishes the run. */
export const sweep = async (deps: SyncDeps, run: Run): Promise<SweepReport> => {
  const report = { complete: false, rowsSeen: 0, rowsWritten: 0, removed: 0, held: 0, resumable: true };
  const begun = await begin(deps, run);
  if ('failure' in begun) return { ...report, resumable: false, stoppedBy: begun.failure };
  const walker: Walker = { deps, run, cursor: begun.cursor, context: await loadContext(deps), report };

  const stoppedBy = await walkUntilProven(walker);
  if (stoppedBy !== null) return { ...report, stoppedBy };
  const asked = await askUnseen(walker);
  if (asked.stoppedBy !== null) return { ...report, stoppedBy: asked.stoppedBy };

  const seen = await deps.mirror.countSeen(walker.cursor.maxId);
  const short = walker.cursor.total - seen;
  report.complete = asked.proven && (short <= 0 || short <= Math.min(asked.gone.length, await goneMeanwhile(walker)));
  if (report.complete && walker.cursor.startedAt !== null) await moveWatermark(walker, new Date(walker.cursor.startedAt));
  return { ...report, stoppedBy: null };
};

/**
 * How many contacts were deleted since the walk began, at most: only so many of those proven gone can have been among the ones that were counted then.
 * The others were gone before, and must not make up for one that nobody saw.
 */
const goneMeanwhile = async ({ deps, cursor }: Walker): Promise<number> => {
  const now = await patiently(deps, (options) =>
    deps.crm.list({ order: { field: 'id', direction: 'desc' }, perPage: 1, page: 1 }, options),
  );
  if (!now.ok) return 0;
  const made = (await deps.mirror.countSeen(Number.MAX_SAFE_INTEGER)) - (await deps.mirror.countSeen(cursor.maxId));
  return Math.max(0, cursor.total + made - now.value.total);
};

interface Walker {
  readonly deps: SyncDeps;
  readonly run: Run;
  context: RunContext;
  cursor: RunCursor;
  readonly report: { complete: boolean; rowsSeen: number; rowsWritten: number; removed: number; held: number };
}

const begin = async (deps: SyncDeps, run: Run): Promise<{ readonly cursor: RunCursor } | { readonly failure: CrmFailure }> => {
  const { crm, mirror } = deps;
  if (run.cursor !== null) return { cursor: run.cursor };
  const newest = await patiently(deps, (options) => crm.list({ order: { field: 'id', direction: 'desc' }, perPage: 1, page: 1 }, options));
  if (!newest.ok) return { failure: newest.failure };
  const maxId = newest.value.records[0]?.crmId ?? newest.value.bad[0]?.crmId ?? 0;
  const startedAt = newest.meta.date?.toISOString() ?? null;
  const cursor = { page: 1, pass: 1, maxId, total: newest.value.total, seen: 0, startedAt };
  await mirror.clearSeen();
  await mirror.transaction((tx) => tx.saveRun(run.id, { cursor }));
  return { cursor };
};

/** A call of the walk, made again after a while where the CRM was not able to answer. */
const patiently = async <T>(deps: SyncDeps, call: (options: CallOptions) => Promise<CrmResult<T>>): Promise<CrmResult<T>> => {
  for (let attempt = 1; ; attempt += 1) {
    const paused = await pausedBy(deps);
    if (paused !== null) return { ok: false, failure: paused, meta: null };
    const answer = await call(callOptions(deps, 'sweep'));
    if (answer.ok || attempt === ATTEMPTS_MAX || deps.signal.aborted || !deps.maySend()) return answer;
    if (answer.failure.class !== 'retry' && answer.failure.class !== 'later') return answer;
    const delayMs = retryDelayMs(attempt, deps.settings.backoff, deps.random(), answer.failure.retryAfterMs ?? 0);
    await deps.clock.sleep(delayMs, deps.signal);
  }
};

/** Passes until every id that was there at the start was seen, or another pass finds nothing more. */
const walkUntilProven = async (walker: Walker): Promise<CrmFailure | null> => {
  let before = -1;
  for (;;) {
    const stoppedBy = await walkPages(walker);
    if (stoppedBy !== null) return stoppedBy;
    const seen = await walker.deps.mirror.countSeen(walker.cursor.maxId);
    if (seen >= walker.cursor.total || seen === before || walker.cursor.pass >= PASSES_MAX) return null;
    before = seen;
    walker.cursor = { ...walker.cursor, page: 1, pass: walker.cursor.pass + 1 };
  }
};

const walkPages = async (walker: Walker): Promise<CrmFailure | null> => {
  const { crm, mirror, capabilities } = walker.deps;
  let total: number | null = null;
  for (;;) {
    const { page } = walker.cursor;
    const { perPage, withLinks } = capabilities.get();
    const params: ListParams = {
      order: { field: 'id', direction: 'asc' },
      perPage,
      page,
      ...(withLinks ? { with: ['companies', 'deals'] } : {}),
    };
    let requestedAt = await mirror.now();
    const answer = await patiently(walker.deps, async (options) => {
      requestedAt = await mirror.now();
      return await crm.list(params, options);
    });
    if (!answer.ok) return answer.failure;
    // Somebody trashed a contact of an earlier page: rows slid to the front, so the page before has one that nobody saw.
    const shrank = total !== null && answer.value.total < total && page > 1;
    total = answer.value.total;
    const before = walker.cursor.seen;
    await store(walker, answer.value, requestedAt, clockOffsetMs(requestedAt, answer.meta), shrank ? page - 1 : page + 1);
    if (!shrank && isLast(answer.value, page, walker.cursor, walker.cursor.seen > before)) return null;
    const { seen, total: promised, maxId } = walker.cursor;
    if (isEndless({ page, perPage: answer.value.perPage, seen, promised: Math.max(promised, maxId) })) {
      walker.deps.log.warn({ pages: page, seen }, 'the list of contacts does not end: it is left');
      return null;
    }
  }
};

/**
 * Nothing behind it. A page that is full before the largest id was seen is not, whatever its meta tells: a total may be too small. But where
 * it shows nobody new the walk ends: a CRM that answers every page with the first one would keep it going for ever.
 */
const isLast = ({ records, bad, perPage, lastPage }: ContactPage, page: number, { maxId }: RunCursor, isNew: boolean): boolean => {
  const rows = records.length + bad.length;
  const reachesMax = [...records, ...bad].some(({ crmId }) => crmId !== null && crmId >= maxId);
  return rows === 0 || (page >= lastPage && (rows < perPage || reachesMax || !isNew));
};

const store = async (walker: Walker, page: ContactPage, requestedAt: Date, offset: number, nextPage: number): Promise<void> => {
  const { deps, run, report } = walker;
  const ids = [...page.records.map(({ crmId }) => crmId), ...page.bad.flatMap(({ crmId }) => crmId ?? [])];
  const cursor = { ...walker.cursor, page: nextPage };
  const applied = await deps.mirror.transaction(async (tx) => {
    const written = await applyPage(
      tx,
      { records: page.records, bad: page.bad, requestedAt, answers: [] },
      { ...walker.context, clockOffsetMs: offset },
    );
    const seen = walker.cursor.seen + (await tx.saveSeen(ids));
    // In this very transaction: a crash resumes exactly behind what is stored.
    await tx.saveRun(run.id, {
      cursor: { ...cursor, seen },
      rowsSeen: page.records.length,
      rowsWritten: written.written,
      pages: 1,
      calls: 1,
    });
    return { ...written, seen };
  }, 'resync');
  walker.cursor = { ...cursor, seen: applied.seen };
  walker.context = { ...walker.context, customFields: applied.customFields };
  report.rowsSeen += page.records.length;
  report.rowsWritten += applied.written;
};

interface Asked {
  readonly gone: readonly number[];
  /** Every row that was not seen got its answer. */
  readonly proven: boolean;
  readonly stoppedBy: CrmFailure | null;
}

/** Asks for each row that the walk did not see: 200 is page drift, 403 hides it, 404 with a control removes it. */
const askUnseen = async (walker: Walker): Promise<Asked> => {
  const { deps, report } = walker;
  const gone: number[] = [];
  const firstAskedAt = await deps.mirror.now();
  let proven = true;
  let stoppedBy: CrmFailure | null = null;
  for (let afterId = 0; stoppedBy === null;) {
    const ids = await deps.mirror.unseen(afterId, ASK_CHUNK);
    const last = ids.at(-1);
    if (last === undefined) break;
    afterId = last;
    const control = await controlAnswers(deps, await deps.mirror.oneSeen());
    // Nothing of this account answers as it did a moment ago, or nothing was seen at all: no word about anybody is believed.
    if (!control.proven) return { gone: [], proven: false, stoppedBy: control.failure };
    const asked = await askChunk(walker, ids);
    gone.push(...asked.gone);
    proven &&= asked.proven;
    stoppedBy = asked.stoppedBy;
  }
  // All together, so that the brake sees the whole damage before the first row goes.
  const removal = await removeGone(deps, gone, firstAskedAt);
  report.removed += removal.removed;
  report.held += removal.held;
  return { gone, proven, stoppedBy };
};

const askChunk = async (walker: Walker, ids: readonly number[]): Promise<Asked> => {
  const { deps } = walker;
  const answers = await Promise.all(ids.map((crmId) => askOne(deps, crmId)));
  const gone: number[] = [];
  const hidden: number[] = [];
  let proven = true;
  let stoppedBy: CrmFailure | null = null;
  for (const { crmId, requestedAt, answer } of answers) {
    if (answer.ok) await storeFound(walker, answer.value, requestedAt, clockOffsetMs(requestedAt, answer.meta));
    else if (answer.failure.code === 'not_found' && answer.failure.proven) gone.push(crmId);
    else if (answer.failure.class === 'park' && answer.failure.code === 'forbidden') hidden.push(crmId);
    else if (endsTheRound(answer.failure)) stoppedBy ??= answer.failure;
    // Nobody knows about this one; the others' answers stand.
    else proven = false;
  }
  if (hidden.length > 0) await deps.mirror.transaction((tx) => hide(tx, hidden));
  return { gone, proven, stoppedBy };
};

const askOne = async (deps: SyncDeps, crmId: number) => {
  let requestedAt = await deps.mirror.now();
  const answer = await patiently(deps, async (options) => {
    requestedAt = await deps.mirror.now();
    return await deps.crm.retrieve(crmId, options);
  });
  return { crmId, requestedAt, answer };
};

/** It is there, only not in the list: the page drifted. */
const storeFound = async (walker: Walker, record: RemoteContact, requestedAt: Date, offset: number): Promise<void> => {
  const { deps, run, context, report } = walker;
  const page = { records: [record], bad: [], requestedAt, answers: ['deferred', 'links'] as const };
  const applied = await deps.mirror.transaction(async (tx) => {
    const seen = walker.cursor.seen + (await tx.saveSeen([record.crmId]));
    await tx.saveRun(run.id, { cursor: { ...walker.cursor, seen } });
    return { ...(await applyPage(tx, page, { ...context, clockOffsetMs: offset })), seen };
  }, 'resync');
  walker.cursor = { ...walker.cursor, seen: applied.seen };
  report.rowsWritten += applied.written;
};

/** The changes pull goes on from the walk's beginning: whatever changed meanwhile is read again. */
const moveWatermark = async ({ deps }: Walker, startedAt: Date): Promise<void> => {
  const { changesWatermark } = await deps.mirror.account();
  if (changesWatermark !== null && changesWatermark >= startedAt) return;
  await deps.mirror.transaction(async (tx) => {
    await tx.saveWatermark('changes', startedAt);
    await tx.saveWatermark('trash', startedAt);
  });
};
