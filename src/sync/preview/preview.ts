/**
 * The dry run of both directions. First the pull, by the very code that would carry it out, on a mirror that writes nothing (`rehearsal.ts`); then the
 * push, on the rows that this pull would have left. Calls of the CRM are reads, within the budget.
 */
import type { CrmFailure } from '../../domain/errors.ts';
import type { Clock, Log, Random } from '../../ports/ambient.ts';
import type { Crm } from '../../ports/crm.ts';
import type { MirrorView } from '../../ports/mirror-view.ts';
import type { Mirror, Run } from '../../ports/mirror.ts';
import { NO_TELEMETRY } from '../../ports/telemetry.ts';
import { audit } from '../audit.ts';
import { loadContext } from '../context.ts';
import type { SyncDeps, SyncSettings } from '../deps.ts';
import { pullChanges } from '../pull.ts';
import { createCapabilityStore, needsSweep, probeOnce, type Probe } from '../rounds.ts';
import { sweep } from '../sweep.ts';
import type { Tell } from './lines.ts';
import { createRehearsalNotes } from './notes.ts';
import { onlyReads } from './only-reads.ts';
import type { PushView } from './push-plan.ts';
import { previewPush } from './push-preview.ts';
import { createRehearsalMirror } from './rehearsal.ts';
import { createSums, type Sums } from './totals.ts';
import { tellWaiting } from './waiting.ts';

export interface PreviewDeps {
  readonly view: MirrorView;
  readonly crm: Crm;
  /** Finds out what the CRM can do, where nobody has lately. */
  readonly probe: Probe;
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
  const { view, signal } = given;
  const sums = createSums();
  const told: Tell = (line) => {
    sums.add(line);
    tell(line);
  };
  const asked = onlyReads(given.crm);
  const notes = createRehearsalNotes();
  let walk = { done: 0, total: null as number | null };
  const mirror = createRehearsalMirror({
    view,
    notes,
    tell: told,
    at: await view.now(),
    onRun: ({ cursor, rowsSeen = 0 }) => {
      walk = { done: walk.done + rowsSeen, total: cursor?.total ?? walk.total };
      onProgress(walk.done, walk.total);
    },
  });
  const { deps, store } = depsOf({ ...given, crm: asked.crm }, mirror);
  await tellState(view, told);
  const unprobed = await probeOnce(deps, store, given.probe);
  const pulled =
    unprobed === null ? await previewPull({ deps, full, tell: told, sums }) : { stoppedBy: unprobed, creates: 'wait' as const };
  const { stoppedBy, creates } = pulled;
  for (const [endpoint, calls] of asked.made()) sums.call(endpoint, calls);
  if (stoppedBy !== null) {
    const why = stoppedBy.status === null ? stoppedBy.code : `${stoppedBy.code} (${stoppedBy.status})`;
    told({ kind: 'note', code: 'stopped', detail: `The CRM could not be read to the end: ${why}. What follows is of what was read.` });
  }
  if (!signal.aborted) {
    const context = await loadContext(deps);
    const common = { deps, view, notes, context, tell: told };
    await tellWaiting(common);
    await previewPush({ ...common, creates, goneAs: (crmId) => asked.goneAs(crmId) });
  }
  sums.call('get', notes.reads.links.size + (await view.countMarks(['links'])));
  sums.call('activities', notes.reads.activities.size + (await view.countMarks(['activities'])));
  const perMinute = (await view.leadersBudget()) ?? given.callsPerMinute();
  tell(
    sums.total(
      perMinute,
      [...asked.made().values()].reduce((sum, calls) => sum + calls, 0),
    ),
  );
  return stoppedBy;
};

const depsOf = ({ crm, settings, clock, random, log, signal }: PreviewDeps, mirror: Mirror) => {
  const store = createCapabilityStore(mirror);
  const ambient = { clock, random, log, telemetry: NO_TELEMETRY };
  const deps: SyncDeps = { crm, mirror, ...ambient, settings, capabilities: store, maySend: () => true, signal, giveUp: signal };
  return { deps, store };
};

const tellState = async (view: MirrorView, tell: Tell): Promise<void> => {
  const { paused, identityHold, twins } = await view.account();
  if (!(await view.isThere()))
    tell({ kind: 'note', code: 'no_mirror', detail: 'There is no mirror yet: the first start makes it, and loads it.' });
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

interface Pull {
  readonly deps: SyncDeps;
  readonly full: boolean;
  readonly tell: Tell;
  readonly sums: Sums;
}
interface Pulled {
  readonly stoppedBy: CrmFailure | null;
  readonly creates: PushView['creates'];
}

/** In the order of the daemon: changes, then the sweep, then the audit that follows a complete one. */
const previewPull = async ({ deps, full, tell, sums }: Pull): Promise<Pulled> => {
  const { firstSweepAt, twins } = await deps.mirror.account();
  const isFirst = await needsSweep(deps);
  const usual = twins || firstSweepAt === null ? 'wait' : 'now';
  if (!isFirst) {
    const { stoppedBy } = await pullChanges(deps, { overlapMs: deps.settings.overlapMs, beforePush: false });
    if (stoppedBy !== null || !full) return { stoppedBy, creates: usual };
  }
  if (!full) return { stoppedBy: await estimate({ deps, tell, sums }), creates: firstSweepAt === null && !twins ? 'after' : usual };
  const swept = await sweep(deps, WHOLE);
  if (swept.stoppedBy !== null) return { stoppedBy: swept.stoppedBy, creates: usual };
  if (!swept.complete) {
    tell({
      kind: 'note',
      code: 'incomplete',
      detail: 'The CRM did not show as many contacts as it counts: the sweep would have to be repeated.',
    });
    return { stoppedBy: null, creates: usual };
  }
  await audit(deps);
  return { stoppedBy: null, creates: twins ? 'wait' : 'now' };
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

/** What the sweep that is due would take: all pages, and on the first load the links that no list carries. */
const estimate = async ({ deps, tell, sums }: Pick<Pull, 'deps' | 'tell' | 'sums'>): Promise<CrmFailure | null> => {
  const { firstSweepAt } = await deps.mirror.account();
  const { perPage, withLinks, activities } = deps.capabilities.get();
  const newest = await deps.crm.list(
    { order: { field: 'id', direction: 'desc' }, perPage: 1, page: 1 },
    { lane: 'changes', signal: deps.signal },
  );
  if (!newest.ok) return newest.failure;
  const { total } = newest.value;
  // Rows that were here first have no links yet either.
  const loaded = (await deps.mirror.oneSeen()) === null ? 0 : await deps.mirror.contactCount();
  const fresh = firstSweepAt === null ? Math.max(0, total - loaded) : 0;
  const calls = { list: Math.ceil(total / perPage), get: withLinks ? 0 : fresh, activities: activities ? fresh : 0 } as const;
  for (const [endpoint, times] of Object.entries(calls)) sums.call(endpoint as keyof typeof calls, times);
  const all = Object.values(calls).reduce((sum, times) => sum + times, 0);
  const since =
    firstSweepAt === null ? 'Both sides have not been compared as a whole yet' : 'Both sides have to be compared as a whole again';
  tell({
    kind: 'note',
    code: 'full_comparison_needed',
    detail: `${since}: ${counted(total, 'contact')}, some ${counted(all, 'call')}. What that brings is not told here; --full compares here and now, and writes nothing.`,
  });
  return null;
};

const counted = (number: number, what: string): string => `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
