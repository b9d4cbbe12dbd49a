/**
 * The changes pull: what changed in the CRM since the watermark, into the mirror.
 *
 * - Marks first: contacts that an earlier page could not settle are read by their ids.
 * - Then the newest changes, `updated_at` descending, down to the watermark less an overlap: commits come late and times have whole
 *   seconds, so content is compared, never times. In this order an edit repeats rows and hides none but its own, which a last look finds.
 * - The watermark moves once, in the transaction of the last page, to the run's start on the CRM's clock. Until then a crash repeats pages.
 *   A page that lacks rows, or repeats the one before, keeps it where it is.
 * - A deletion is followed only where the CRM lists the id in its trash, here, or answers 404 for it, in the sweep.
 * - A run that finds nothing writes nothing: no row of its own, no watermark.
 */
import type { CrmFailure } from '../domain/errors.ts';
import type { ContactPage, CrmResult, ListParams } from '../ports/crm.ts';
import { clockOffsetMs, loadContext, type RunContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { endsTheRound, readMarks } from './marks.ts';
import { applyPage, type PageReport } from './page.ts';
import { isEndless, isWhole } from './pages.ts';
import { removeGone } from './removal.ts';

export interface PullOptions {
  /** How far before the watermark to read again. */
  readonly overlapMs: number;
  /**
   * The short look before a push: it must not stand in for a pull with the full overlap, so it leaves the watermark, and it need not look
   * into the trash, since a write to a trashed contact is answered with 404.
   */
  readonly beforePush: boolean;
  /** Before a push: when the last look began. Without it the watermark. */
  readonly since?: Date | null;
}

export interface PullReport {
  readonly pages: number;
  readonly rowsSeen: number;
  readonly rowsWritten: number;
  readonly removed: number;
  /** When the run began, on the CRM's clock: everything older was seen. Null where it did not get that far. */
  readonly through: Date | null;
  /** What ended the run early; what it had stored stays stored, the watermark does not move. */
  readonly stoppedBy: CrmFailure | null;
}

type Feed = 'changes' | 'trash';

export const pullChanges = async (deps: SyncDeps, options: PullOptions): Promise<PullReport> => {
  const marks = await readMarks(deps, ['twin', 'deferred', 'approved'], 'changes');
  if (marks.stoppedBy !== null && endsTheRound(marks.stoppedBy))
    return { pages: 0, rowsSeen: marks.read, rowsWritten: marks.written, removed: 0, through: null, stoppedBy: marks.stoppedBy };
  const account = await deps.mirror.account();
  if (account.changesWatermark === null)
    return { pages: 0, rowsSeen: marks.read, rowsWritten: marks.written, removed: 0, through: null, stoppedBy: null };

  const context = await loadContext(deps);
  const changes = await walkChanges(deps, context, account.changesWatermark, options);
  if (changes.stoppedBy !== null || options.beforePush || !deps.capabilities.get().trash) return add(changes, marks.read, marks.written);
  const trash = await walkFeed(deps, context, 'trash', account.trashWatermark ?? account.changesWatermark, options);
  return add(
    { ...trash, through: changes.through, pages: changes.pages + trash.pages, rowsWritten: changes.rowsWritten },
    marks.read + changes.rowsSeen,
    marks.written,
  );
};

const add = (report: PullReport, seen: number, written: number): PullReport => ({
  ...report,
  rowsSeen: report.rowsSeen + seen,
  rowsWritten: report.rowsWritten + written,
});

/**
 * An edit while several pages are read moves its contact to the front, past us; and what had been edited in it before would be passed by with it,
 * and overwritten by the push that relies on this walk. So the front is looked at once more, until that is a single page.
 */
const walkChanges = async (deps: SyncDeps, context: RunContext, watermark: Date, options: PullOptions): Promise<PullReport> => {
  const walked = await walkFeed(deps, context, 'changes', watermark, options);
  let last = walked;
  let all = walked;
  for (let look = 0; look < FRONT_LOOKS_MAX && last.pages > 1 && last.through !== null && last.stoppedBy === null; look += 1) {
    // Both times are the CRM's, cut to the second: what moved past us carries this one or a later one.
    last = await walkFeed(deps, context, 'changes', watermark, { overlapMs: 0, beforePush: true, since: last.through });
    all = { ...add(last, all.rowsSeen, all.rowsWritten), pages: all.pages + last.pages, through: walked.through };
  }
  return all;
};
const FRONT_LOOKS_MAX = 3;
/** The CRM's times have whole seconds, and a commit takes a moment; what comes later still is the scheduled pull's. */
export const LOOK_OVERLAP_MS = 2000;

const walkFeed = async (deps: SyncDeps, runContext: RunContext, feed: Feed, watermark: Date, options: PullOptions): Promise<PullReport> => {
  const since = new Date((options.since ?? watermark).getTime() - options.overlapMs);
  const report = { pages: 0, rowsSeen: 0, rowsWritten: 0, removed: 0 };
  let context = runContext;
  let startedAt: Date | null = null;
  let total: number | null = null;
  let whole = true;
  let before: ReadonlySet<number> = new Set();
  const seen = new Set<number>();
  let promised: number | null = null;
  for (let page = 1; ; page += 1) {
    const requestedAt = await deps.mirror.now();
    const answer = await listPage(deps, feed, page, since);
    if (!answer.ok) return { ...report, through: null, stoppedBy: answer.failure };
    const { value, meta } = answer;
    startedAt ??= meta.date;
    const again = repeats(value, before);
    const last = (deps.capabilities.get().orderByUpdatedAt && reachesBack(value, since)) || isEnd(value, again);
    // Something was deleted while we read: rows slid towards the front, across the edge of the page before.
    const shrank = total !== null && value.total < total;
    total = value.total;
    // Rows are missing, or those of the page before came once more: what the others would have told is not passed by.
    whole &&= isWhole(value) && !again;
    before = new Set(value.records.map(({ crmId }) => crmId));
    for (const crmId of before) seen.add(crmId);
    promised ??= value.total;
    const isThrough = last && whole && !shrank && !options.beforePush;
    // The CRM's clock was set back: what is edited there from now on would be older than the watermark until it has caught up.
    const setBack = startedAt !== null && startedAt < watermark;
    const movesTo = isThrough && startedAt !== null && (setBack || startedAt > watermark) ? startedAt : null;
    const stored = await storePage(deps, feed, value, {
      requestedAt,
      context,
      offset: clockOffsetMs(requestedAt, meta),
      movesTo,
      setBack,
      pages: page,
    });
    context = { ...context, customFields: stored.customFields };
    report.pages += 1;
    report.rowsSeen += value.records.length;
    report.rowsWritten += stored.written;
    report.removed += stored.removed;
    if (shrank && page > 1) page -= 2;
    // An empty list may be a broken answer as well as a quiet hour: nothing is taken for seen because of it.
    else if (last) return { ...report, through: whole && value.total > 0 ? startedAt : null, stoppedBy: null };
    else if (isEndless({ page, perPage: value.perPage, seen: seen.size, promised })) {
      deps.log.warn({ pages: page, seen: seen.size }, 'the list of changes does not end: it is left, and read again next time');
      return { ...report, through: null, stoppedBy: null };
    }
  }
};

const listPage = async (deps: SyncDeps, feed: Feed, page: number, since: Date): Promise<CrmResult<ContactPage>> => {
  const capabilities = deps.capabilities.get();
  const params: ListParams = {
    order: { field: 'updated_at', direction: 'desc' },
    perPage: capabilities.perPage,
    page,
    ...(capabilities.filters ? { updatedSince: since } : {}),
    ...(capabilities.withLinks && feed === 'changes' ? { with: ['companies', 'deals'] } : {}),
  };
  const options = callOptions(deps, 'changes');
  return feed === 'changes' ? await deps.crm.list(params, options) : await deps.crm.listTrashed(params, options);
};

/** Older than what is asked for: where the CRM ignores the filter, this ends the walk just as well. A CRM that ignores the order is read whole. */
const reachesBack = (page: ContactPage, since: Date): boolean =>
  page.records.length + page.bad.length === 0 || page.records.some(({ updatedAt }) => updatedAt !== null && updatedAt < since);

/** A full page may be followed by another one, whatever the total says: a count that lags must not end the walk. One that repeats ends it. */
const isEnd = ({ records, bad, page, perPage, lastPage }: ContactPage, again: boolean): boolean =>
  page >= lastPage && (again || records.length + bad.length < perPage);

/** Nobody here who was not on the page before. So many edits between two pages would do the same; then the next run reads them again. */
const repeats = ({ records }: ContactPage, before: ReadonlySet<number>): boolean =>
  records.length > 0 && records.every(({ crmId }) => before.has(crmId));

interface Store {
  readonly requestedAt: Date;
  readonly context: RunContext;
  readonly offset: number;
  /** The new watermark, on the last page. */
  readonly movesTo: Date | null;
  /** … which is then earlier than the old one. */
  readonly setBack: boolean;
  readonly pages: number;
}

const storePage = async (
  deps: SyncDeps,
  feed: Feed,
  page: ContactPage,
  { requestedAt, context, offset, movesTo, setBack, pages }: Store,
): Promise<Pick<PageReport, 'written' | 'customFields'> & { readonly removed: number }> => {
  if (feed === 'trash') {
    // Listed in the trash: proof for that very id.
    const gone = await removeGone(
      deps,
      page.records.map(({ crmId }) => crmId),
      requestedAt,
    );
    if (movesTo !== null && (gone.removed > 0 || pages > 1 || setBack))
      await deps.mirror.transaction((tx) => tx.saveWatermark(feed, movesTo));
    return { written: 0, removed: gone.removed, customFields: context.customFields };
  }
  const applied = await deps.mirror.transaction(async (tx) => {
    const report = await applyPage(
      tx,
      { records: page.records, bad: page.bad, requestedAt, answers: [] },
      { ...context, clockOffsetMs: offset },
    );
    // Not for nothing: a quiet run leaves no trace, and reads the same few records again next time.
    if (movesTo !== null && (report.changed || pages > 1 || setBack)) await tx.saveWatermark(feed, movesTo);
    return report;
  });
  return { ...applied, removed: 0 };
};
