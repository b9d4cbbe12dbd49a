/**
 * The daemon: while it leads, four loops over one mirror and one budget; while it does not, nothing but waiting for the lease.
 *
 * Each term of leadership has its own abort signal, so that what an old term started can neither call nor store anything afterwards.
 */
import type { CrmFailure } from '../domain/errors.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import type { BiKeeper } from '../ports/bi.ts';
import type { HistoryKeeper } from '../ports/history.ts';
import type { PhoneFormsKeeper } from '../ports/phone-forms.ts';
import type { Identity } from '../ports/mirror.ts';
import type { SyncDeps } from '../sync/deps.ts';
import { createPushMemory, pushDue, type PushMemory } from '../sync/push.ts';
import { backfillLinks, needsSweep, pullOnce, serveRequest, sweepOnce } from '../sync/rounds.ts';
import { createColumnsLoop } from './columns-loop.ts';
import { createHistoryLoop } from './history-loop.ts';
import { createLoop, type Loop } from './loop.ts';
import { createPhoneFormsLoop } from './phone-forms-loop.ts';
import { createSchedule } from './schedule.ts';
import { BUSY_POLL_MS, newTermState, pauseAfter, type TermState } from './term-state.ts';
import type { Service } from '../ports/service.ts';

export interface DaemonOptions {
  /** The deps of one term: nothing new begins once `stopping` fired, and what is under way ends with `giveUp`. */
  readonly depsFor: (stopping: AbortSignal, giveUp: AbortSignal) => SyncDeps;
  /** Whether database and CRM_URL are those that the mirror was filled from; holds the push where they are not. */
  readonly checkIdentity: (deps: SyncDeps, again: boolean) => Promise<Identity>;
  /** Finds out what the CRM can do, if that is due. */
  readonly probe: (deps: SyncDeps) => Promise<CrmFailure | null>;
  readonly clock: Clock;
  readonly log: Log;
  readonly pullCron: string;
  readonly sweepCron: string;
  readonly cronTimeZone: string;
  /** PUSH_POLL_MS */
  readonly pushPollMs: number;
  /** RETRY_MIN_MS and RETRY_MAX_MS */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** CRM_TIMEOUT_MS + CREATE_RECHECK_MS: how long an old leader's POST may still be under way. */
  readonly createGraceMs: number;
  readonly history: HistoryKeeper;
  readonly bi: BiKeeper;
  readonly phones: PhoneFormsKeeper;
}

export interface Daemon extends Service {
  /** Leadership began: the loops start. */
  lead(): Promise<void>;
  /** Leadership ended: the loops stop and what is in flight is given up at once. */
  follow(): Promise<void>;
  /** Something was edited in the mirror, or asked for (a run, a pause, a retry): look now. */
  wake(why: 'edit' | 'request'): void;
  /** How long a pull has been due that has not gone through; null: none is, or this process does not lead. */
  pullDueForMs(): number | null;
}

/** How long it is looked that often after a wake without work: a writer that skipped its notification may commit after the one that sent one. */
const BUSY_FOR_MS = 1000;
/** A sweep that stayed short is walked again, not at once: it costs the whole account's calls. */
const PARTIAL_PAUSE_MS = 60_000;
/** What is in flight at a stop may finish until then; the container's own limit is ten seconds. */
export const STOP_GRACE_MS = 6000;

export const createDaemon = (options: DaemonOptions): Daemon => {
  let term: Term | null = null;
  const pull = createSchedule({
    ...cronOf(options, options.pullCron),
    name: 'pull',
    task: () => {
      if (term !== null) term.state.pullDueSinceMs ??= options.clock.monotonicMs();
      term?.pull.wake();
    },
  });
  const sweep = createSchedule({
    ...cronOf(options, options.sweepCron),
    name: 'sweep',
    task: () => {
      if (term !== null) term.state.sweepDue = true;
      term?.sweep.wake();
    },
  });

  const end = async (graceMs: number): Promise<void> => {
    const ending = term;
    term = null;
    await Promise.all([pull.stop(), sweep.stop()]);
    if (ending === null) return;
    ending.stopping.abort();
    const stopped = Promise.all(ending.loops.map((loop) => loop.stop()));
    const over = new AbortController();
    void options.clock.sleep(graceMs, over.signal).then(() => ending.giveUp.abort());
    await stopped;
    over.abort();
  };
  return {
    start: async () => {},
    stop: async () => await end(STOP_GRACE_MS),
    follow: async () => await end(0),
    lead: async () => {
      if (term !== null) return;
      term = createTerm(options);
      await Promise.all(term.loops.map((loop) => loop.start()));
      await Promise.all([pull.start(), sweep.start()]);
    },
    wake: (why) => {
      if (term === null) return;
      term.state.wokenMs = options.clock.monotonicMs();
      term.push.wake();
      // An edit is the push's business alone: it must not find the database busy with somebody else's look around.
      if (why === 'request') term.sweep.wake();
    },
    pullDueForMs: () => {
      const sinceMs = term?.state.pullDueSinceMs ?? null;
      return sinceMs === null ? null : options.clock.monotonicMs() - sinceMs;
    },
  };
};

const cronOf = ({ cronTimeZone, log }: DaemonOptions, cron: string) => ({ cron, timeZone: cronTimeZone, log });

interface Term {
  readonly stopping: AbortController;
  readonly giveUp: AbortController;
  readonly loops: readonly Loop[];
  readonly push: Loop;
  readonly pull: Loop;
  readonly sweep: Loop;
  readonly state: TermState;
}
const createTerm = (options: DaemonOptions): Term => {
  const [stopping, giveUp] = [new AbortController(), new AbortController()];
  const deps = options.depsFor(stopping.signal, giveUp.signal);
  const { clock, log } = options;
  const state = newTermState(clock);
  const memory: PushMemory = createPushMemory();

  /** Wraps a round: only when the term is ready and nobody paused it; a failure of the CRM decides the rest. */
  const guarded = (work: () => Promise<{ readonly stoppedBy: CrmFailure | null; readonly restMs: number }>) => {
    let failures = 0;
    return async (): Promise<number> => {
      state.ready ??= recover(deps, options, state).catch((error: unknown) => {
        state.ready = null;
        throw error;
      });
      await state.ready;
      const blockedMs = state.blockedUntilMs - clock.monotonicMs();
      if (blockedMs > 0) return blockedMs;
      if ((await deps.mirror.account()).paused) return options.pushPollMs;
      // Put right, or approved, by now?
      if (state.isOtherAccount && (await options.checkIdentity(deps, true)).verdict === 'other_account') return options.pushPollMs;
      state.isOtherAccount = false;
      const { stoppedBy, restMs } = await work();
      if (stoppedBy !== null) return pauseAfter({ deps, options, state, failures: (failures += 1) }, stoppedBy);
      // The CRM is back: the other loops need not wait for the end of their pauses.
      if (failures > 0) for (const loop of [pull, sweep, push]) loop.wake();
      failures = 0;
      return restMs;
    };
  };

  const backfill = createLoop({
    name: 'links',
    clock,
    log,
    round: guarded(async () => ({ stoppedBy: await backfillLinks(deps), restMs: 60_000 })),
  });
  const pull = createLoop({
    name: 'pull',
    clock,
    log,
    round: guarded(async () => {
      const failed = await options.probe(deps);
      if (failed !== null) return { stoppedBy: failed, restMs: 0 };
      const { stoppedBy } = await pullOnce(deps, memory);
      if (stoppedBy === null) state.pullDueSinceMs = null;
      backfill.wake();
      // The schedule wakes it; this is only for a schedule that never comes.
      return { stoppedBy, restMs: 3_600_000 };
    }),
  });
  const sweep = createLoop({ name: 'sweep', clock, log, round: guarded(() => sweepRound(deps, options, state, memory, backfill)) });
  const push = createLoop({
    name: 'push',
    clock,
    log,
    round: guarded(async () => {
      const { stoppedBy, contacts } = await pushDue(deps, memory);
      const now = clock.monotonicMs();
      if (contacts > 0) state.wokenMs = now;
      if (now - state.wokenMs < BUSY_FOR_MS) return { stoppedBy, restMs: BUSY_POLL_MS };
      const { firstSweepAt, twins, identityHold } = await deps.mirror.account();
      // However much is due: a person comes first.
      if (identityHold !== null) return { stoppedBy, restMs: options.pushPollMs };
      const due = await deps.mirror.nextDueMs({ creates: firstSweepAt !== null && !twins, ordered: deps.settings.writeMode === 'ordered' });
      return { stoppedBy, restMs: Math.max(BUSY_POLL_MS, Math.min(options.pushPollMs, due ?? options.pushPollMs)) };
    }),
  });
  const upkeep = [createHistoryLoop, createColumnsLoop, createPhoneFormsLoop].map((create) => create(options, stopping.signal));
  return { stopping, giveUp, loops: [pull, sweep, push, backfill, ...upkeep], push, pull, sweep, state };
};

/** What the last leader had in flight is unknown now. */
const recover = async (
  deps: SyncDeps,
  { createGraceMs, checkIdentity, probe, history }: DaemonOptions,
  state: TermState,
): Promise<void> => {
  const recovered = await deps.mirror.recoverAttempts(createGraceMs);
  if (recovered > 0)
    deps.log.warn({ contacts: recovered }, 'calls of an earlier leader were in flight; they are read before anything is sent');
  state.isOtherAccount = (await checkIdentity(deps, false)).verdict === 'other_account';
  if (state.isOtherAccount) return;
  await history.begin(deps.signal);
  const failed = await probe(deps);
  if (failed !== null) deps.log.warn({ code: failed.code }, 'the CRM could not be probed; only documented calls are used until it can');
};

/** What was requested first, then what the schedule or the first start asks for. */
const sweepRound = async (
  deps: SyncDeps,
  { pushPollMs }: DaemonOptions,
  state: TermState,
  memory: PushMemory,
  backfill: Loop,
): Promise<{ readonly stoppedBy: CrmFailure | null; readonly restMs: number }> => {
  if (state.unended !== null) await deps.mirror.finishRun(state.unended, { state: 'failed', complete: false, error: 'internal_error' });
  state.unended = null;
  const request = await deps.mirror.takeRequest();
  if (request !== null) {
    // A walk needs no such memory: it is resumed where it stands.
    if (request.kind === 'sync') state.unended = request.id;
    const stoppedBy = await serveRequest(deps, memory, request);
    state.unended = null;
    if (stoppedBy?.code !== 'paused')
      deps.log.info({ run: request.id, kind: request.kind, code: stoppedBy?.code ?? null }, 'a requested run ended');
    backfill.wake();
    return { stoppedBy, restMs: 0 };
  }
  const interrupted = (await deps.mirror.resumableRun('resync')) ?? (await deps.mirror.resumableRun('sweep'));
  if (interrupted === null && !(await needsSweep(deps)) && !state.sweepDue) return { stoppedBy: null, restMs: pushPollMs };
  state.sweepDue = false;
  const { stoppedBy, complete, rowsWritten, removed, held } = await sweepOnce(
    deps,
    interrupted?.kind === 'resync' ? 'resync' : 'sweep',
    interrupted,
  );
  if (stoppedBy?.code !== 'paused') deps.log.info({ complete, rows_written: rowsWritten, removed, held }, 'swept');
  backfill.wake();
  return { stoppedBy, restMs: complete ? 0 : Math.max(pushPollMs, PARTIAL_PAUSE_MS) };
};
