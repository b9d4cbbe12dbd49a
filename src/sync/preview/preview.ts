/**
 * The dry run of both directions. First the pull, by the very code that would carry it out, on a mirror that writes nothing (`rehearsal.ts`); then the
 * push, on the rows that this pull would have left. Calls of the CRM are reads, within the budget.
 */
import { brakeAllowance, describeLimits } from '../../domain/brake.ts';
import type { CrmFailure } from '../../domain/errors.ts';
import type { Clock, Log, Random } from '../../ports/ambient.ts';
import { DOCUMENTED_ONLY, type Crm } from '../../ports/crm.ts';
import type { MirrorView } from '../../ports/mirror-view.ts';
import type { Mirror, Run } from '../../ports/mirror.ts';
import { NO_TELEMETRY, type Endpoint } from '../../ports/telemetry.ts';
import { loadContext } from '../context.ts';
import type { SyncDeps, SyncSettings } from '../deps.ts';
import { pullChanges } from '../pull.ts';
import { sweep } from '../sweep.ts';
import type { Direction, PlanChange, PlanCounts, PlanLine, Tell } from './lines.ts';
import { createRehearsalNotes, type RehearsalNotes } from './notes.ts';
import { planPush } from './push-plan.ts';
import { createRehearsalMirror } from './rehearsal.ts';

export interface PreviewDeps {
  readonly view: MirrorView;
  readonly crm: Crm;
  readonly settings: SyncSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** What this process may spend a minute, as far as is known. */
  readonly callsPerMinute: () => number;
}

export interface PreviewOptions {
  /** Compare everything, as a sweep does, and not only what changed since the last pull. */
  readonly full: boolean;
  readonly tell: Tell;
  readonly onProgress: (done: number, total: number | null) => void;
}

/** @returns what kept it from an end, or null */
export const preview = async (given: PreviewDeps, { full, tell, onProgress }: PreviewOptions): Promise<CrmFailure | null> => {
  const sums = createSums();
  const told: Tell = (line) => {
    sums.add(line);
    tell(line);
  };
  const { crm, made } = onlyReads(given.crm);
  const notes = createRehearsalNotes();
  let walk = { done: 0, total: null as number | null };
  const mirror = createRehearsalMirror({
    view: given.view,
    notes,
    tell: told,
    onRun: ({ cursor, rowsSeen = 0 }) => {
      walk = { done: walk.done + rowsSeen, total: cursor?.total ?? walk.total };
      onProgress(walk.done, walk.total);
    },
  });
  const deps = await depsOf({ ...given, crm }, mirror);
  await tellState(given.view, told);
  const stoppedBy = await previewPull(deps, full, told);
  const pulled = made.total();
  if (stoppedBy !== null) {
    const why = stoppedBy.status === null ? stoppedBy.code : `${stoppedBy.code} (${stoppedBy.status})`;
    told({ kind: 'note', code: 'stopped', detail: `The CRM could not be read to the end: ${why}. What follows is of what was read.` });
  }
  if (!given.signal.aborted) await previewPush(deps, given.view, notes, told);
  const linkReads = notes.linkReads.size + (await given.view.countMarks(['links', 'activities']));
  if (linkReads > 0) sums.call('get', linkReads);
  for (const [endpoint, calls] of pulled) sums.call(endpoint, calls);
  const perMinute = (await given.view.leadersBudget()) ?? given.callsPerMinute();
  tell(
    sums.total(
      perMinute,
      [...made.total().values()].reduce((sum, calls) => sum + calls, 0),
    ),
  );
  return stoppedBy;
};

const depsOf = async ({ view, crm, settings, clock, random, log, signal }: PreviewDeps, mirror: Mirror): Promise<SyncDeps> => {
  const found = (await view.capabilities())?.found ?? DOCUMENTED_ONLY;
  const capabilities = { get: () => found, learn: async () => {} };
  return { crm, mirror, clock, random, log, telemetry: NO_TELEMETRY, settings, capabilities, maySend: () => true, signal, giveUp: signal };
};

const tellState = async (view: MirrorView, tell: Tell): Promise<void> => {
  const { paused, identityHold, twins } = await view.account();
  if (paused) tell({ kind: 'note', code: 'paused', detail: 'Paused: nothing of it is done before `relate-mirror resume`.' });
  if (identityHold !== null)
    tell({
      kind: 'note',
      code: 'restored',
      detail: `This database was restored, cloned or failed over: nothing is pushed before hold ${identityHold.holdId} is approved.`,
    });
  if (twins)
    tell({ kind: 'note', code: 'twins', detail: 'A row that may be a contact of the CRM is locked by somebody: creates wait for it.' });
};

const WHOLE: Run = {
  id: 0,
  kind: 'sweep',
  state: 'running',
  withLinks: false,
  isRequested: false,
  startedAt: null,
  cursor: null,
};

const previewPull = async (deps: SyncDeps, full: boolean, tell: Tell): Promise<CrmFailure | null> => {
  if (full) return (await sweep(deps, WHOLE)).stoppedBy;
  const { firstSweepAt, identityHold } = await deps.mirror.account();
  if (firstSweepAt !== null && identityHold?.swept !== false)
    return (await pullChanges(deps, { overlapMs: deps.settings.overlapMs, beforePush: false })).stoppedBy;
  const options = { lane: 'changes', signal: deps.signal } as const;
  const newest = await deps.crm.list({ order: { field: 'id', direction: 'desc' }, perPage: 1, page: 1 }, options);
  if (!newest.ok) return newest.failure;
  const { total } = newest.value;
  const pages = Math.ceil(total / deps.capabilities.get().perPage) + 1;
  tell({
    kind: 'note',
    code: 'full_comparison_needed',
    detail: `Both sides have not been compared as a whole yet: that is ${total.toLocaleString('en')} contacts, some ${pages.toLocaleString('en')} calls. --full does it here, and writes nothing.`,
  });
  return null;
};

const BATCH = 500;

const previewPush = async (deps: SyncDeps, view: MirrorView, notes: RehearsalNotes, tell: Tell): Promise<void> => {
  const context = await loadContext(deps);
  const { firstSweepAt, twins } = await view.account();
  const limits = deps.settings.brake;
  const load = await view.look((reads) => reads.brakeLoad('push'));
  const braked =
    Math.max(1, load.waiting) <= brakeAllowance(load.lastHour, load.mirrorRows, limits)
      ? null
      : `${load.waiting.toLocaleString('en')} contacts would be deleted, emptied or unlinked, more than may be in an hour: ${describeLimits(limits)}`;
  const plan = async (ids: readonly number[]): Promise<void> => {
    const situations = await deps.mirror.transaction((tx) => tx.read(ids));
    const deferred = await view.look((reads) => reads.deferred([...situations.values()].flatMap(({ crmId }) => crmId ?? [])));
    const edits = deps.settings.writeMode === 'ordered' ? await view.openEdits(ids) : null;
    for (const [id, situation] of situations) {
      const isDeferred = deferred.has(situation.crmId ?? 0);
      const own = edits === null ? null : (edits.get(id) ?? []);
      const lines = planPush(situation, { context, isDeferred, mayCreate: firstSweepAt !== null && !twins, braked, edits: own });
      for (const line of lines) tell(line);
    }
  };
  const planned = new Set<number>();
  for (let after = 0; !deps.signal.aborted;) {
    const ids = await view.openContacts(after, BATCH);
    const last = ids.at(-1);
    if (last === undefined) break;
    await plan(ids);
    for (const id of ids) planned.add(id);
    after = last;
  }
  // What the merge of this pull leaves to push, though nobody edited it just now.
  await plan([...notes.queued].filter((id) => !planned.has(id)));
};

/** Counts what goes through, and lets nothing through that would write. */
const onlyReads = (crm: Crm): { readonly crm: Crm; readonly made: { total(): ReadonlyMap<Endpoint, number> } } => {
  const made = new Map<Endpoint, number>();
  const counted =
    <A extends readonly unknown[], R>(endpoint: Endpoint, call: (...args: A) => R) =>
    (...args: A): R => {
      made.set(endpoint, (made.get(endpoint) ?? 0) + 1);
      return call(...args);
    };
  const refused = (): never => {
    throw new Error('A dry run writes nothing.');
  };
  return {
    made: { total: () => new Map(made) },
    crm: {
      ...crm,
      list: counted('list', (params, options) => crm.list(params, options)),
      retrieve: counted('get', (id, options) => crm.retrieve(id, options)),
      search: counted('search', (params, options) => crm.search(params, options)),
      listTrashed: counted('trash', (params, options) => crm.listTrashed(params, options)),
      listActivities: counted('activities', (id, page, options) => crm.listActivities(id, page, options)),
      customFields: counted('fields', (options) => crm.customFields(options)),
      create: refused,
      update: refused,
      delete: refused,
      attach: refused,
      detach: refused,
      sync: refused,
      restore: refused,
    },
  };
};

const NO_COUNTS: PlanCounts = { creates: 0, updates: 0, deletes: 0, links: 0, held: 0, parked: 0, waiting: 0 };

const createSums = () => {
  const counts: { [D in Direction]: { -readonly [K in keyof PlanCounts]: number } } = { pull: { ...NO_COUNTS }, push: { ...NO_COUNTS } };
  const calls: { [E in Endpoint]?: number } = {};
  let conflicts = 0;
  const call = (endpoint: Endpoint, times: number): void => void (calls[endpoint] = (calls[endpoint] ?? 0) + times);
  const addChange = ({ direction, action, state, links, calls: its }: PlanChange): void => {
    const sum = counts[direction];
    if (state === 'held' || state === 'parked' || state === 'waiting') {
      sum[state] += 1;
      return;
    }
    if (action !== 'pair') sum[`${action}s`] += 1;
    if (Object.keys(links).length > 0) sum.links += 1;
    for (const endpoint of its) call(endpoint, 1);
  };
  return {
    call,
    add: (line: PlanLine): void => {
      if (line.kind === 'conflict') conflicts += 1;
      if (line.kind === 'change') addChange(line);
    },
    total: (perMinute: number, callsMade: number): PlanLine => {
      const total = Object.values(calls).reduce((sum, times) => sum + times, 0);
      return {
        kind: 'total',
        ...counts,
        conflicts,
        calls,
        calls_total: total,
        calls_per_minute: perMinute,
        minutes: Math.round((total / Math.max(1, perMinute)) * 10) / 10,
        calls_made: callsMade,
      };
    },
  };
};
