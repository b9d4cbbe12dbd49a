/** `sync` and `resync`: through the running daemon where there is one (a request row and a notification), by this process otherwise. */
import { LeaderExists, type App } from '../app.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { Clock } from '../ports/ambient.ts';
import type { RunRow } from '../postgres/operator.ts';
import type { SyncDeps } from '../sync/deps.ts';
import { createPushMemory } from '../sync/push.ts';
import { backfillLinks, serveRequest, syncOnce } from '../sync/rounds.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { createProgress, type Progress } from './progress.ts';

export interface WorkContext {
  readonly io: Io;
  readonly app: App;
  readonly clock: Clock;
}

const LOOK_EVERY_MS = 200;
/** A leader that is gone this long will not serve the request. */
const LEADERLESS_MS = 4000;

/** `sync`: one pull (on an empty mirror the full load), then the push until nothing is due. */
export const runSync = async (context: WorkContext): Promise<ExitCode> => {
  const { io, app } = context;
  const { leader } = await app.operator.status();
  if (leader !== null) return await throughLeader(context, 'sync', false);
  const progress = createProgress(io, context.clock);
  const shown = showRuns(context, progress);
  try {
    const failed = await app.asLeader(io.signal, (deps) => syncOnce(deps, createPushMemory()));
    return failed === null ? await ended(context) : failedBy(io, failed);
  } catch (error) {
    if (error instanceof LeaderExists) return await throughLeader(context, 'sync', false);
    throw error;
  } finally {
    await shown.stop();
  }
};

export interface ResyncOptions {
  readonly links: boolean;
  readonly wait: boolean;
}

/** `resync`: the whole account again, with `links` every contact's links too. */
export const runResync = async (context: WorkContext, { links, wait }: ResyncOptions): Promise<ExitCode> =>
  await throughLeader(context, 'resync', links, wait);

const throughLeader = async (context: WorkContext, kind: 'sync' | 'resync', withLinks: boolean, wait = true): Promise<ExitCode> => {
  const { io, app } = context;
  const runId = await app.operator.request(kind, withLinks);
  if (!wait) {
    io.out(JSON.stringify({ run_id: runId }));
    return EXIT.done;
  }
  const progress = createProgress(io, context.clock);
  const shown = showRuns(context, progress);
  try {
    for (;;) {
      const run = await waitForRun(context, runId);
      if (run !== 'nobody leads') return await endedRun(context, run);
      try {
        await app.asLeader(io.signal, (deps) => serve(deps, runId));
      } catch (error) {
        if (!(error instanceof LeaderExists)) throw error;
      }
    }
  } finally {
    await shown.stop();
  }
};

/** As the leader: everything that was asked for, ours among it, and the links that a resync wants read. */
const serve = async (deps: SyncDeps, runId: number): Promise<void> => {
  const memory = createPushMemory();
  const left = (await deps.mirror.resumableRun('resync')) ?? null;
  if (left !== null) await serveRequest(deps, memory, left);
  for (let request = await deps.mirror.takeRequest(); request !== null; request = await deps.mirror.takeRequest()) {
    const failed = await serveRequest(deps, memory, request);
    if (failed === null && request.withLinks) await backfillLinks(deps);
    if (request.id === runId) return;
  }
};

/** Until the run has ended, its back-fill of links included; or nobody is there to serve it. */
const waitForRun = async ({ io, app, clock }: WorkContext, runId: number): Promise<RunRow | 'nobody leads'> => {
  let leaderSeenMs = clock.monotonicMs();
  for (;;) {
    const [run, status] = [await app.operator.run(runId), await app.operator.status()];
    const open = run === null || run.state === 'requested' || run.state === 'running';
    if (!open && (run.state !== 'done' || !run.with_links || run.marks === 0)) return run;
    const now = clock.monotonicMs();
    if (status.leader !== null) leaderSeenMs = now;
    // Never led at all: no need to wait for a lease to run out.
    else if (open && (run?.state === 'requested' || now - leaderSeenMs > LEADERLESS_MS)) return 'nobody leads';
    else if (!open) return run;
    if (io.signal.aborted) throw new Error('stopped while waiting; the run goes on');
    await clock.sleep(LOOK_EVERY_MS, io.signal);
  }
};

/** Shows the run that is under way, whoever works on it, until stopped. */
const showRuns = ({ app, clock }: WorkContext, progress: Progress): { stop(): Promise<void> } => {
  const stopped = new AbortController();
  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const run = await app.operator.currentRun();
      if (run?.state === 'running')
        progress.show({
          phase: run.pass !== null && run.pass > 1 ? `pass ${run.pass}` : 'contacts',
          done: run.rows_seen,
          total: run.expected,
        });
      else if (run !== null && run.marks > 0)
        progress.show({ phase: 'links', done: Math.max(0, run.rows_seen - run.marks), total: run.rows_seen });
      await clock.sleep(LOOK_EVERY_MS, stopped.signal);
    }
  };
  const done = watch();
  return {
    stop: async () => {
      stopped.abort();
      await done;
      progress.end();
    },
  };
};

const endedRun = async (context: WorkContext, run: RunRow): Promise<ExitCode> => {
  context.io.out(
    JSON.stringify({
      run_id: run.id,
      kind: run.kind,
      state: run.state,
      complete: run.complete,
      rows_seen: run.rows_seen,
      rows_written: run.rows_written,
      error: run.error,
    }),
  );
  return run.state === 'done' ? await ended(context) : EXIT.failed;
};

/** Done; but is everything? */
const ended = async ({ app }: WorkContext): Promise<ExitCode> => ((await app.operator.needsAttention()) ? EXIT.attention : EXIT.done);

const failedBy = (io: Io, { code, status }: CrmFailure): ExitCode => {
  io.err(`The CRM cannot be worked with: ${code}${status === null ? '' : ` (HTTP ${status})`}`);
  return EXIT.failed;
};
